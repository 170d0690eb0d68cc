/**
 * `npm run bench -- webhooks`: how long it takes from the end of a batch at OpenAI to its receipt when OpenAI sends
 * webhooks, on the local stack: the emulator signs and sends, and no poll runs. With every process there from the file
 * before (warm), and with all of them killed just before the batch ends (cold): then four functions start one after
 * the other. Nothing is known from this about how long OpenAI takes to send a webhook, or AWS to start a function.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type Emulator, startEmulator } from '../local/openai-emulator/emulator.ts';
import type { LocalStack } from '../local/stack/local-stack.ts';
import { startLocalStack } from '../local/stack/start.ts';
import { ensureSynth } from '../local/stack/synth.ts';
import { DEFAULT_API_KEY } from '../src/contract/api-key.ts';
import { defaultSettings } from '../src/contract/settings.ts';
import { HOUR_MS, SECOND_MS } from '../src/contract/time.ts';
import { median, rounded } from './statistics.ts';

const ROOT = resolve(import.meta.dirname, '..');
/** How often it is looked whether the receipt is there. */
const LOOK_MS = 10;
/** A receipt that has not come by then never will. */
const GIVE_UP_MS = 120 * SECOND_MS;

/** Seconds from the end at OpenAI to the receipt, medians. */
export interface WebhooksReport {
  warmSeconds: number;
  coldSeconds: number;
  /** Files of each kind. */
  rounds: number;
}

/** @throws if a receipt does not come, or OpenAI was asked by a poll. */
export async function runWebhooks({
  rounds,
  say,
}: {
  rounds: number;
  say(message: string): void;
}): Promise<WebhooksReport> {
  const dir = mkdtempSync(join(tmpdir(), 'batchdrop-webhooks-'));
  const cdkOut = await ensureSynth({
    root: ROOT,
    settings: { ...defaultSettings(), webhooks: { apiKeys: [DEFAULT_API_KEY], endpoint: 'function_url' } },
    onProgress: say,
  });
  let aheadMs = 0;
  const clock = {
    now: () => Date.now() + aheadMs,
    advance: (ms: number) => {
      aheadMs += ms;
    },
  };
  const emulator = await startEmulator({ dir: join(dir, 'openai'), clock, lenient: ['shutdowns'] });
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const stack = await startLocalStack({
    dir: join(dir, 'aws'),
    cdkOut,
    openai: {
      baseUrl: emulator.endpoint,
      apiKey: 'sk-bench',
      webhookSecrets: { [DEFAULT_API_KEY]: secret },
    },
    scheduleEveryMs: 'manual',
    now: clock.now,
  });
  const { region, credentials, endpoints } = stack;
  const s3 = new S3Client({ region, credentials, endpoint: endpoints.s3 });
  try {
    emulator.setFaults({ webhooks: [{ url: stack.outputs.WebhookUrl!, secret, timestamps: 'clock' }] });
    const leap = () => {
      clock.advance(2 * HOUR_MS);
      // S3 refuses requests of another time.
      s3.config.systemClockOffset = aheadMs;
    };
    const times: Record<'warm' | 'cold', number[]> = { warm: [], cold: [] };
    // The first file starts every function and is not counted.
    for (let file = 0; file <= 2 * rounds; file++) {
      const kind = file % 2 === 1 ? 'cold' : 'warm';
      const ms = await oneFile({ stack, emulator, s3, leap }, file, kind);
      if (file > 0) times[kind].push(ms);
      say(
        `webhooks ${file}/${2 * rounds} ${file === 0 ? 'first' : kind}: ${Math.round(ms)} ms to the receipt`,
      );
    }
    const polled = emulator.calls()['GET /v1/batches'] ?? 0;
    if (polled > 0) throw new Error(`OpenAI's list of batches was read ${polled} times; webhooks need none`);
    return {
      warmSeconds: rounded(median(times.warm) / SECOND_MS),
      coldSeconds: rounded(median(times.cold) / SECOND_MS),
      rounds,
    };
  } finally {
    s3.destroy();
    await stack.stop();
    await emulator.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Parts {
  stack: LocalStack;
  emulator: Emulator;
  s3: S3Client;
  /** Moves the clock on until the batch has ended. */
  leap(): void;
}

/** @returns milliseconds from the end of the file's batch to its receipt. */
async function oneFile(
  { stack, emulator, s3, leap }: Parts,
  file: number,
  kind: 'warm' | 'cold',
): Promise<number> {
  const { bucket } = stack.resources;
  await s3.send(new PutObjectCommand({ Bucket: bucket, Key: `input/${file}.jsonl`, Body: lineOf(file) }));
  await stack.idle();
  if (kind === 'cold') await stack.killFunctions();
  leap();
  const began = performance.now();
  await emulator.deliverWebhooks();
  while (!(await isThere(s3, bucket, `receipts/${file}.json`))) {
    if (performance.now() - began > GIVE_UP_MS)
      throw new Error(
        `receipts/${file}.json is not there ${GIVE_UP_MS / SECOND_MS} s after the batch has ended`,
      );
    await wait(LOOK_MS);
  }
  const ms = performance.now() - began;
  await stack.idle();
  return ms;
}

async function isThere(s3: S3Client, Bucket: string, Key: string): Promise<boolean> {
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    await Body!.transformToByteArray();
    return true;
  } catch (error) {
    if (error instanceof NoSuchKey) return false;
    throw error;
  }
}

function lineOf(file: number): string {
  const messages = [{ role: 'user', content: `Question ${file}` }];
  const body = { model: 'gpt-6-luna', messages };
  return JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body });
}

/** As text. */
export function renderWebhooks({ warmSeconds, coldSeconds, rounds }: WebhooksReport): string {
  return [
    '| from the end of a batch at OpenAI to its receipt | median, s | files |',
    '| --- | --- | --- |',
    `| every function warm | ${warmSeconds} | ${rounds} |`,
    `| every function started | ${coldSeconds} | ${rounds} |`,
  ].join('\n');
}
