/** A bucket that tells nobody of its objects, on the synthesized stack: the functions list them with the rights they have. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  GetObjectCommand,
  NoSuchKey,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import { startEmulator } from '../../local/openai-emulator/emulator.ts';
import { startLocalStack } from '../../local/stack.ts';
import { ensureSynth } from '../../local/synth.ts';
import { receiptSchema } from '../../src/contract/receipt.ts';
import { chatLine } from '../support/pipeline.ts';

const POLL_MS = 20 * 60_000;
/** Five hours. */
const MOST_POLLS = 15;

test('an object of which no event came is found by the hourly listing and runs to its receipt', {
  timeout: 240_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-lost-event-'));
  let aheadMs = 0;
  const clock = {
    now: () => Date.now() + aheadMs,
    advance: (ms: number) => {
      aheadMs += ms;
    },
  };
  const emulator = await startEmulator({ dir: join(dir, 'openai'), clock });
  const stack = await startLocalStack({
    dir: join(dir, 'aws'),
    cdkOut: await ensureSynth({ root: resolve(import.meta.dirname, '../..') }),
    openai: { baseUrl: emulator.endpoint, apiKey: 'sk-test' },
    scheduleEveryMs: 'manual',
    now: clock.now,
  });
  const { region, credentials, endpoints } = stack;
  const s3 = new S3Client({ endpoint: endpoints.s3, region, credentials });
  onTestFinished(async () => {
    s3.destroy();
    await stack.stop();
    await emulator.close();
    await rm(dir, { recursive: true, force: true });
  });
  const Bucket = stack.resources.bucket;
  const poll = async (): Promise<void> => {
    clock.advance(POLL_MS);
    await stack.runSchedule();
    await stack.idle();
  };
  // The first run of the deployment: what is put from now on is looked for.
  await poll();
  await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration: {} }));
  await s3.send(new PutObjectCommand({ Bucket, Key: 'input/a b+ü.jsonl', Body: chatLine('a') }));
  await stack.idle();

  const receiptOf = async (): Promise<string | undefined> => {
    try {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'receipts/a b+ü.json' }));
      return await Body!.transformToString();
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
  };
  let receipt: string | undefined;
  for (let polls = 0; receipt === undefined && polls < MOST_POLLS; polls++) {
    await poll();
    receipt = await receiptOf();
  }
  expect(receiptSchema.parse(JSON.parse(receipt!))).toMatchObject({ result: 'succeeded' });
});
