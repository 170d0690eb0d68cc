/** A deadline on the synthesized stack: batches that stall, flex that is refused every other time, and standard. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import { startEmulator } from '../../local/openai-emulator/emulator.ts';
import { startLocalStack } from '../../local/stack.ts';
import { ensureSynth } from '../../local/synth.ts';
import { receiptSchema } from '../../src/contract/receipt.ts';
import { settingsSchema } from '../../src/contract/settings.ts';
import { chatLine } from '../support/pipeline.ts';

const POLL_MS = 5 * 60_000;
const DEADLINE_MS = 2 * 3_600_000;
const SETTINGS = settingsSchema.parse({
  routes: [
    {
      name: 'today',
      prefix: 'input/',
      tiers: ['batch', 'flex', 'standard'],
      deadline: '2h',
      budget: { perJobUsd: '5' },
    },
  ],
});
const FUNCTIONS = ['ingest', 'submit', 'call', 'poll', 'collect', 'finalize'];
const IDS = Array.from({ length: 60 }, (_, index) => `id-${index}`);

test('a job whose batch stalls is complete before its deadline, through flex and standard, and nothing is paid twice', {
  timeout: 240_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-ladder-'));
  let aheadMs = 0;
  const clock = {
    now: () => Date.now() + aheadMs,
    advance: (ms: number) => {
      aheadMs += ms;
    },
  };
  const emulator = await startEmulator({
    dir: join(dir, 'openai'),
    clock,
    faults: {
      rules: [
        { match: {}, effect: { kind: 'batch.stuck', state: 'in_progress' } },
        { match: { tier: '^flex$' }, share: 0.5, effect: { kind: 'line.resource_unavailable' } },
      ],
    },
  });
  const environment = { SETTINGS: JSON.stringify(SETTINGS) };
  const stack = await startLocalStack({
    dir: join(dir, 'aws'),
    cdkOut: await ensureSynth({ root: resolve(import.meta.dirname, '../..') }),
    openai: { baseUrl: emulator.endpoint, apiKey: 'sk-test' },
    scheduleEveryMs: 'manual',
    now: clock.now,
    functions: Object.fromEntries(FUNCTIONS.map((name) => [name, { environment }])),
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
  const read = async (Key: string): Promise<string | undefined> => {
    try {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      return await Body!.transformToString();
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
  };
  // Embeddings have no flex tier: they go from batch to standard.
  const body = IDS.map((id, index) =>
    index % 2 === 0
      ? chatLine(id)
      : JSON.stringify({
          custom_id: id,
          method: 'POST',
          url: '/v1/embeddings',
          body: { model: 'text-embedding-3-small', input: id },
        }),
  );
  await s3.send(new PutObjectCommand({ Bucket, Key: 'input/a.jsonl', Body: body.join('\n') }));
  const droppedAt = clock.now();
  await stack.idle();
  let receipt: string | undefined;
  while (receipt === undefined && clock.now() < droppedAt + 2 * DEADLINE_MS) {
    clock.advance(POLL_MS);
    await stack.runSchedule();
    await stack.idle();
    receipt = await read('receipts/a.json');
  }
  const { result, timings, possiblyBilledTwice, cost } = receiptSchema.parse(JSON.parse(receipt!));
  expect(result).toBe('succeeded');
  expect(possiblyBilledTwice).toEqual({});
  expect(Date.parse(timings.completedAt)).toBeLessThan(droppedAt + DEADLINE_MS);
  const output = (await read('output/a.jsonl'))!.trimEnd().split('\n');
  expect(output.map((line) => JSON.parse(line).custom_id)).toEqual(IDS);
  const answers = (await emulator.ledger.all()).filter(({ status }) => status === 200);
  expect(new Set(answers.map(({ request_hash }) => request_hash)).size).toBe(IDS.length);
  expect(answers).toHaveLength(IDS.length);
  expect(new Set(answers.map(({ tier, model }) => `${tier} ${model}`)).size).toBe(2);
  expect(Object.keys(cost.byTier).sort()).toEqual(['flex', 'standard']);
});
