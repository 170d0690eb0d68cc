/**
 * An account whose functions may run ten at a time, as new ones have it, while those of the stack may run 45 and the
 * poll.
 */
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';

const LIMIT = 10;
const FILES = Array.from({ length: 14 }, (_, index) => `f${index}`);
const REQUESTS = 40;

test('jobs end under a concurrency of 10 with nothing paid twice or given up, and the poll has its turn', {
  timeout: 240_000,
}, async () => {
  const { stack, s3, bucket, read, emulator } = await startEmulatedStack({
    concurrency: LIMIT,
    // Sixteen minutes in AWS.
    deliver: { throttledForSeconds: 1 },
    settings: {
      quota: { concurrentSlices: 20 },
      routes: [{ name: 'now', prefix: 'input/', tiers: ['standard'], budget: 'unlimited' }],
    },
    faults: {
      rules: [{ match: { route: 'POST /v1/chat/completions' }, effect: { kind: 'http.delay', seconds: 3 } }],
    },
  });
  await Promise.all(
    FILES.map((name) => {
      const Body = Array.from({ length: REQUESTS }, (_, index) => chatLine(`${name}-${index}`)).join('\n');
      return s3.send(new PutObjectCommand({ Bucket: bucket, Key: `input/${name}.jsonl`, Body }));
    }),
  );
  await expect.poll(() => stack().stats.call!.throttles, { timeout: 90_000 }).toBeGreaterThan(0);
  // While every place is taken.
  const polled = await stack().runSchedule();
  expect(polled).toMatchObject([{ ok: true }]);
  expect(stack().concurrency.running).toBeGreaterThan(0);
  await stack().idle();
  expect(stack().concurrency).toMatchObject({ limit: LIMIT, running: 0, peak: LIMIT });
  for (const name of FILES) {
    const receipt = receiptSchema.parse(JSON.parse((await read(`receipts/${name}.json`))!));
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  }
  const answers = (await emulator.ledger.all()).filter(({ status }) => status === 200);
  expect(answers).toHaveLength(FILES.length * REQUESTS);
  for (const role of ['ingest', 'call', 'collect', 'finalize'])
    expect(stack().queueDepth(`${role}-dead-letters`)).toEqual({ ready: 0, delayed: 0, inFlight: 0 });
});
