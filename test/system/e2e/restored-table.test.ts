/**
 * The table of the synthesized stack is restored to an older state under its name, or lost whole, while the bucket and OpenAI
 * stay as they are: jobs are finished, with the rights that the functions have, and nothing is bought again. Every other state
 * of a job: test/parts/pipeline/restore.test.ts.
 */
import { PutBucketNotificationConfigurationCommand } from '@aws-sdk/client-s3';
import { BatchWriteCommand, type DynamoDBDocumentClient, paginateScan } from '@aws-sdk/lib-dynamodb';
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { TABLE_PARTITION_KEY, TABLE_SORT_KEY } from '../../../src/contract/table.ts';
import { DAY_MS, HOUR_MS } from '../../../src/contract/time.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c'];
/** DynamoDB API reference, BatchWriteItem: 25 requests at most. */
const MAX_WRITES = 25;

type Items = Record<string, unknown>[];
const keyOf = ({ [TABLE_PARTITION_KEY]: pk, [TABLE_SORT_KEY]: sk }: Items[number]) => ({
  [TABLE_PARTITION_KEY]: pk,
  [TABLE_SORT_KEY]: sk,
});

async function itemsOf(client: DynamoDBDocumentClient, TableName: string): Promise<Items> {
  const all: Items = [];
  for await (const { Items = [] } of paginateScan({ client }, { TableName })) all.push(...Items);
  return all;
}

/** Puts the items of another time in place of those that are there. */
async function restore(client: DynamoDBDocumentClient, table: string, items: Items): Promise<void> {
  const now = await itemsOf(client, table);
  const requests = [
    ...now.map((item) => ({ DeleteRequest: { Key: keyOf(item) } })),
    ...items.map((Item) => ({ PutRequest: { Item } })),
  ];
  // An item may be in one request of a call only: first all deletions, then all puts.
  for (const each of [requests.slice(0, now.length), requests.slice(now.length)])
    for (let at = 0; at < each.length; at += MAX_WRITES)
      await client.send(
        new BatchWriteCommand({ RequestItems: { [table]: each.slice(at, at + MAX_WRITES) } }),
      );
}

async function start() {
  const parts = await startEmulatedStack();
  const { dynamodb, stack, poll, read, emulator } = parts;
  const table = stack().resources.table;
  const receipt = async () => {
    const text = await read('receipts/a.json');
    return text === undefined ? undefined : receiptSchema.parse(JSON.parse(text));
  };
  const jobs = async () => (await itemsOf(dynamodb, table)).filter((item) => item[TABLE_SORT_KEY] === 'JOB');
  return {
    ...parts,
    snapshot: () => itemsOf(dynamodb, table),
    restoreTo: (items: Items) => restore(dynamodb, table, items),
    receipt,
    /** Runs the schedule until the job has ended in the table, for two days at the most. */
    async pollUntilEnded(): Promise<void> {
      for (let hours = 0; hours < 48; hours++) {
        const [job] = await jobs();
        if (job?.state === 'completed') return;
        await poll(HOUR_MS);
      }
    },
    async expectDoneOnce(): Promise<void> {
      expect(await jobs()).toMatchObject([{ state: 'completed' }]);
      expect(await receipt()).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
      const output = (await read('output/a.jsonl'))!.trimEnd().split('\n');
      expect(output.map((line) => JSON.parse(line).custom_id)).toEqual(IDS);
      expect((await emulator.ledger.all()).length).toBe(IDS.length);
      expect(await emulator.ledger.boughtTwice()).toEqual([]);
    },
  };
}

test.each<[string, 'before' | 'during' | 'lost', number]>([
  ['restored to before the file was dropped', 'before', HOUR_MS],
  ['restored to when its batch was at OpenAI', 'during', HOUR_MS],
  ['lost whole', 'lost', HOUR_MS],
  ['restored to before the file was dropped, five days after the end of its job', 'before', 5 * DAY_MS],
  ['lost whole, five days after the end of its job', 'lost', 5 * DAY_MS],
])(
  'a table that is %s comes to the same end, and nothing is bought again',
  { timeout: 240_000 },
  async (_, to, laterMs) => {
    const started = await start();
    const { drop, poll, snapshot, restoreTo, pollUntilEnded, expectDoneOnce } = started;
    // The first listing: what is put from now on is looked for.
    await poll(HOUR_MS);
    const states = { before: await snapshot(), during: [] as Items, lost: [] as Items };
    await drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
    states.during = await snapshot();
    await pollUntilEnded();
    await expectDoneOnce();
    await poll(laterMs);
    await restoreTo(states[to]);
    await pollUntilEnded();
    await expectDoneOnce();
  },
);

test('of a job that OpenAI has not ended, a table that is lost whole is filled again, and the job is finished', {
  timeout: 240_000,
}, async () => {
  const { drop, poll, restoreTo, pollUntilEnded, expectDoneOnce, receipt } = await start();
  await poll(HOUR_MS);
  await drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await restoreTo([]);
  expect(await receipt()).toBeUndefined();
  await pollUntilEnded();
  await expectDoneOnce();
});

test('a file that nobody has recorded when the table is lost whole runs once it is dropped again', {
  timeout: 240_000,
}, async () => {
  const { s3, bucket, put, drop, poll, restoreTo, receipt, emulator } = await start();
  const tell = (EventBridgeConfiguration: object | undefined) =>
    s3.send(
      new PutBucketNotificationConfigurationCommand({
        Bucket: bucket,
        NotificationConfiguration: EventBridgeConfiguration === undefined ? {} : { EventBridgeConfiguration },
      }),
    );
  await poll(HOUR_MS);
  await tell(undefined);
  await put(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await restoreTo([]);
  for (let hours = 0; hours < 6; hours++) await poll(HOUR_MS);
  expect(await emulator.ledger.all()).toEqual([]);
  await tell({});
  await drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  // The version before it is the job, and the new one its duplicate.
  for (let hours = 0; hours < 24 && (await receipt()) === undefined; hours++) await poll(HOUR_MS);
  expect(await receipt()).toMatchObject({ result: 'succeeded', counts: { requests: IDS.length } });
  expect((await emulator.ledger.all()).length).toBe(IDS.length);
});
