import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { onTestFinished } from 'vitest';
import {
  type Emulator,
  type EmulatorOptions,
  startEmulator,
  virtualClock,
} from '../../../../local/openai-emulator/emulator.ts';

/** An emulator on a virtual clock and the official client for it; both go when the test ends. */
export async function startForTest(options: Partial<EmulatorOptions> = {}): Promise<{
  emulator: Emulator;
  client: OpenAI;
  dir: string;
}> {
  const dir = options.dir ?? temporaryFolder();
  const emulator = await startEmulator({ clock: virtualClock(), ...options, dir });
  onTestFinished(() => emulator.close());
  return { emulator, client: clientFor(emulator), dir };
}

export function clientFor(emulator: Emulator, apiKey = 'sk-test'): OpenAI {
  return new OpenAI({ baseURL: emulator.endpoint, apiKey, maxRetries: 0 });
}

export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'openai-emulator-test-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A valid batch line for chat completions. */
export function chatLine(custom_id: string, body: Record<string, unknown> = {}) {
  return {
    custom_id,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: `Question of ${custom_id}` }],
      ...body,
    },
  };
}

export const chatLines = (count: number, body?: Record<string, unknown>) =>
  Array.from({ length: count }, (_, i) => chatLine(`request-${i + 1}`, body));

export const toJsonl = (lines: readonly (object | string)[]): string =>
  lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('');

export async function upload(client: OpenAI, content: string | Uint8Array, name = 'input.jsonl') {
  return client.files.create({
    purpose: 'batch',
    file: new File([content as Uint8Array<ArrayBuffer>], name),
  });
}

/** Uploads lines and creates their batch. */
export async function createBatch(
  client: OpenAI,
  lines: readonly (object | string)[],
  params: Partial<OpenAI.Batches.BatchCreateParams> = {},
): Promise<OpenAI.Batches.Batch> {
  const file = await upload(client, toJsonl(lines));
  return client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...params,
  });
}

/** Creates a batch and moves the clock until it has ended. */
export async function runBatch(
  { emulator, client }: { emulator: Emulator; client: OpenAI },
  lines: readonly (object | string)[],
  params: Partial<OpenAI.Batches.BatchCreateParams> = {},
): Promise<OpenAI.Batches.Batch> {
  const batch = await createBatch(client, lines, params);
  emulator.clock.advance(7 * 3_600_000);
  return client.batches.retrieve(batch.id);
}

/** One line of an output or error file. */
export type OutputLine = {
  id: string;
  custom_id: string;
  response: { status_code: number; request_id: string; body: Record<string, unknown> } | null;
  error: { code: string; message: string } | null;
};

export async function contentOf(client: OpenAI, fileId: string | null | undefined): Promise<string> {
  if (!fileId) return '';
  return (await client.files.content(fileId)).text();
}

export async function linesOf(client: OpenAI, fileId: string | null | undefined): Promise<OutputLine[]> {
  const text = await contentOf(client, fileId);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OutputLine);
}

/** The error that a promise rejects with, as the SDK's class. */
export async function refusalOf(promise: PromiseLike<unknown>) {
  try {
    await promise;
  } catch (error) {
    if (error instanceof OpenAI.APIError) return error;
    throw error;
  }
  throw new Error('expected a refusal, got an answer');
}

/** Replaces ids by their kind and timestamps by seconds since `created_at`, so that two captures can be compared. */
export function normalised(object: object): Record<string, unknown> {
  const start = (object as { created_at: number }).created_at;
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => {
      if (key.endsWith('_at') && typeof value === 'number') return [key, value - start];
      if (key === 'id' || key.endsWith('_id'))
        return [key, typeof value === 'string' ? kindOf(value) : value];
      return [key, value];
    }),
  );
}

const kindOf = (id: string) => id.replace(/^(file-|batch_)\w+$/, '$1...');
