import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const OWNERS_KEY = '.batchdrop/owners.json';

test('the deployed stack runs nothing of a prefix that another stack owns, and takes it over when its settings say so', {
  timeout: 300_000,
}, async () => {
  const routes = [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }];
  const stack = await startEmulatedStack({ settings: { routes } });
  // As the stack of a colleague would have left it. This one writes over it with If-Match, so that its role is asked
  // for the right to.
  const owners = [{ prefix: 'input/', stackId: 'id-other', stackName: 'other', since: 1 }];
  const Body = JSON.stringify({ v: 1, owners });
  await stack.s3.send(new PutObjectCommand({ Bucket: stack.bucket, Key: OWNERS_KEY, Body }));
  await stack.drop('input/a.jsonl', chatLine('a'));
  expect(await stack.read('receipts/a.json')).toBeUndefined();
  const claimed = JSON.parse((await stack.read(OWNERS_KEY))!).owners;
  expect(claimed[0]).toEqual(owners[0]);
  expect(claimed.map(({ prefix }: { prefix: string }) => prefix)).toContain('work/');

  await stack.deploy({ routes, takeOver: 'other' });
  await stack.poll(0);
  stack.clock.advance(3 * MINUTE_MS);
  await stack.drop('input/b.jsonl', chatLine('b'));
  for (let days = 0; days < 5 && (await stack.read('receipts/b.json')) === undefined; days++)
    await stack.poll(24 * 60 * MINUTE_MS);
  expect(JSON.parse((await stack.read('receipts/b.json'))!).result).toBe('succeeded');
  expect(await stack.read('receipts/a.json')).toBeUndefined();
  const executions = await Array.fromAsync(stack.emulator.ledger.executions());
  expect(executions.map(({ custom_id }) => custom_id)).toEqual(['b']);
});
