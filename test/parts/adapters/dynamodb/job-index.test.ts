import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { expect, onTestFinished, test, vi } from 'vitest';
import { DynamoDBJobIndex } from '../../../../src/adapters/dynamodb/job-index.ts';
import { describeJobIndex, jobEnd } from '../../../support/contracts/job-index.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryJobIndex } from '../../../support/memory/job-index.ts';

describeJobIndex('memory', async () => ({ index: new MemoryJobIndex(), close: async () => {} }));

describeJobIndex('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  return { index: new DynamoDBJobIndex(client, { table: TABLE }), close };
});

async function started() {
  const { client, close } = await startLocalDynamoDB();
  onTestFinished(close);
  return { client, index: new DynamoDBJobIndex(client, { table: TABLE }) };
}

const TOTAL = { pk: 'MONTH#2026-11', sk: 'TOTAL' };

test('a job is listed for 400 days, and its month is kept', async () => {
  const { client, index } = await started();
  const end = jobEnd('one');
  await index.recordEnd(end);
  const expiresAt = end.ended.endedAt / 1_000 + 400 * 86_400;
  for (const Key of [
    { pk: 'JOBS#2026-11-30', sk: '2026-11-30T12:00:00.000Z#one' },
    { pk: 'INPUT#bucket/input/a.jsonl', sk: 'one' },
  ])
    expect((await client.send(new GetCommand({ TableName: TABLE, Key }))).Item).toMatchObject({ expiresAt });
  const { Item } = await client.send(new GetCommand({ TableName: TABLE, Key: TOTAL }));
  expect(Item).not.toHaveProperty('expiresAt');
});

test('a job whose month another transaction writes at that moment is added once that is done', async () => {
  const { client, index } = await started();
  const send = client.send.bind(client) as (command: unknown) => Promise<unknown>;
  let conflicts = 2;
  vi.spyOn(client, 'send').mockImplementation((async (command: object) => {
    if (command.constructor.name === 'TransactWriteCommand' && conflicts-- > 0)
      throw new TransactionCanceledException({
        message: 'cancelled',
        $metadata: {},
        CancellationReasons: [{ Code: 'None' }, { Code: 'None' }, { Code: 'TransactionConflict' }],
      });
    return send(command);
  }) as typeof client.send);
  expect(await index.recordEnd(jobEnd('one'))).toBe(true);
  expect(await index.recordEnd(jobEnd('one'))).toBe(false);
  const [total] = await index.readMonth('2026-11');
  expect(total?.amounts.jobs).toBe(1);
});

test('fails on lines and sums of a version that it does not read', async () => {
  const { client, index } = await started();
  await client.send(
    new PutCommand({ TableName: TABLE, Item: { pk: 'JOBS#2026-11-30', sk: '2026#x', v: 2 } }),
  );
  await client.send(new PutCommand({ TableName: TABLE, Item: { ...TOTAL, v: 2 } }));
  await expect(Array.fromAsync(index.listEndedOn('2026-11-30'))).rejects.toThrow(/has version 2/);
  await expect(index.readMonth('2026-11')).rejects.toThrow(/has version 2/);
});
