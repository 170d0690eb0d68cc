/**
 * A budget on the synthesized stack: a job stops before the cent that would break it, and goes on when it is raised.
 */
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import type { SettingsInput } from '../../../lib/configuration.ts';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { fromUsd, toMicrodollars } from '../../../src/core/base/money.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { jobBudgetLedgerOf } from '../../../src/core/scheduling/scopes.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';

const POLL_MS = 5 * 60_000;
const KEY = 'input/a.jsonl';
const IDS = Array.from({ length: 60 }, (_, index) => `id-${index}`);

/**
 * A request costs about a fifth of a cent at the most: 20 tokens of output at 100 USD a million, and a few of input.
 */
const settingsOf = (perJobUsd: string): SettingsInput => ({
  routes: [{ name: 'paid', prefix: 'input/', tiers: ['batch'], budget: { perJobUsd } }],
  prices: { rows: [{ model: 'gpt-6-luna', tier: 'batch', input: 1, output: 100 }] },
});
const line = (id: string): string =>
  JSON.stringify({
    custom_id: id,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model: 'gpt-6-luna',
      max_completion_tokens: 20,
      messages: [{ role: 'user', content: `Say ${id}` }],
    },
  });

test('a job over its budget stops before the cent that would break it, keeps what it has, and completes when a deployment raises it', {
  timeout: 240_000,
}, async () => {
  const { clock, emulator, s3, bucket, quota, drop, read, poll, deploy } = await startEmulatedStack({
    settings: settingsOf('0.05'),
  });
  const answered = async () => (await emulator.ledger.all()).filter(({ status }) => status === 200);
  await drop(KEY, IDS.map(line).join('\n'));
  const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: KEY }));
  const jobId = jobIdOf({
    bucket,
    key: KEY,
    versionId: head.VersionId!,
    etag: head.ETag!,
    lastModified: head.LastModified!.getTime(),
    size: head.ContentLength!,
  });
  const ledger = async () => (await quota.getLedger(jobBudgetLedgerOf(jobId)))!;
  const most = toMicrodollars(fromUsd('0.05')!);
  // Until nothing moves for two hours.
  for (let still = 0, before = -1; still < 24; ) {
    await poll(POLL_MS);
    const { used, reserved } = await ledger();
    expect(used + reserved).toBeLessThanOrEqual(most);
    still = used + reserved === before ? still + 1 : 0;
    before = used + reserved;
  }
  const stopped = await ledger();
  const done = await answered();
  expect(stopped.reserved).toBe(0);
  expect(done.length).toBeGreaterThan(5);
  expect(done.length).toBeLessThan(IDS.length);
  expect(await read('receipts/a.json')).toBeUndefined();

  const raisedAt = clock.now();
  await deploy(settingsOf('5'));
  expect(await ledger()).toEqual(stopped);
  let receipt: string | undefined;
  for (let polls = 0; receipt === undefined && polls < 100; polls++) {
    await poll(POLL_MS);
    receipt = await read('receipts/a.json');
  }
  const { result, counts, cost, batches, possiblyBilledTwice } = receiptSchema.parse(JSON.parse(receipt!));
  expect([result, counts.succeeded, possiblyBilledTwice]).toEqual(['succeeded', IDS.length, {}]);
  const output = (await read('output/a.jsonl'))!.trimEnd().split('\n');
  expect(output.map((text) => JSON.parse(text).custom_id)).toEqual(IDS);
  // Every request was answered once, and what had been answered by then was not asked again.
  const all = await answered();
  expect(all).toHaveLength(IDS.length);
  expect(new Set(all.map(({ request_hash }) => request_hash)).size).toBe(IDS.length);
  expect(all.slice(0, done.length)).toEqual(done);
  // The books are the receipt's: each batch rounded up to a millionth.
  const booked = batches.reduce((sum, { usd }) => sum + toMicrodollars(fromUsd(usd)!), 0);
  expect(await ledger()).toMatchObject({ reserved: 0, used: booked });
  expect(toMicrodollars(fromUsd(cost.usd)!)).toBeLessThanOrEqual(booked);
  // What the receipt says of the time before.
  const before = batches.filter(({ submittedAt }) => submittedAt && Date.parse(submittedAt) < raisedAt);
  expect(before.reduce((sum, { requests }) => sum + requests, 0)).toBe(done.length);
  const spent = before.reduce((sum, { usd }) => sum + fromUsd(usd)!, 0n);
  expect(spent).toBeGreaterThan(0n);
  expect(spent).toBeLessThanOrEqual(fromUsd('0.05')!);
});
