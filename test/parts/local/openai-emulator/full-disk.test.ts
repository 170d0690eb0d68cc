import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import OpenAI from 'openai';
import { expect, onTestFinished, test } from 'vitest';
import { chatLine, chatLines, createBatch, linesOf, temporaryFolder, toJsonl, upload } from './support.ts';

const MAIN = resolve(import.meta.dirname, '../../../../local/openai-emulator/main.ts');

/**
 * The emulator in a process of its own whose files cannot grow beyond a limit: a write over it is short, and the next
 * one fails, as on a disk that runs full.
 * @param blocks the limit of each file, in the shell's blocks of 512 or 1,024 bytes
 */
async function startWithLimit(dir: string, blocks: string) {
  const script = `trap '' XFSZ; ulimit -f ${blocks}; exec "$0" "$1" --port 0 --dir "$2" --scale 0.001`;
  const child: ChildProcess = spawn('sh', ['-c', script, process.execPath, MAIN, dir]);
  onTestFinished(() => void child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout! })) {
    const endpoint = /^export OPENAI_BASE_URL=(.+)$/.exec(line)?.[1];
    if (endpoint === undefined) continue;
    const client = new OpenAI({ baseURL: endpoint, apiKey: 'sk-test', maxRetries: 0 });
    const advance = async (ms: number) =>
      (await fetch(new URL('/emulator/advance', endpoint), { method: 'POST', body: JSON.stringify({ ms }) }))
        .status;
    const ledger = async () => {
      const text = await (await fetch(new URL('/emulator/ledger', endpoint))).text();
      return text
        .split('\n')
        .filter((row) => row !== '')
        .map((row) => JSON.parse(row) as { custom_id: string });
    };
    const kill = async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    };
    return { client, advance, ledger, kill };
  }
  throw new Error(`main.ts ended without an endpoint: see ${join(dir, 'journal.jsonl')}`);
}

test('what was acknowledged while the disk ran full is there after a restart, and nothing that was refused', async () => {
  const dir = temporaryFolder();
  const full = await startWithLimit(dir, '8');
  const acknowledged: string[] = [];
  const called: string[] = [];
  const refusals: unknown[] = [];
  const content = toJsonl(chatLines(1));
  // Each name has another length, so that lines of the journal end at any distance from the limit.
  for (let i = 0; refusals.length < 6 && i < 200; i++) {
    const name = `${'n'.repeat((i * 37) % 101)}.jsonl`;
    await upload(full.client, content, name).then(
      (file) => acknowledged.push(file.id),
      (error: unknown) => refusals.push(error),
    );
    const headers = { 'X-Client-Request-Id': `call-${i}` };
    await full.client.chat.completions.create(chatLine('x').body as never, { headers }).then(
      () => called.push(`call-${i}`),
      (error: unknown) => refusals.push(error),
    );
  }
  expect(acknowledged.length).toBeGreaterThan(5);
  expect(refusals.every((error) => error instanceof OpenAI.APIError && error.status === 500)).toBe(true);
  await full.kill();
  const again = await startWithLimit(dir, 'unlimited');
  const files = (await again.client.files.list()).data.map(({ id }) => id);
  expect(files.sort()).toEqual(acknowledged.sort());
  expect((await again.ledger()).map(({ custom_id }) => custom_id)).toEqual(called);
});

test('a batch whose results found no room has every line once when there is room again', async () => {
  const dir = temporaryFolder();
  const full = await startWithLimit(dir, '100');
  const lines = chatLines(200);
  const batch = await createBatch(full.client, lines);
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) statuses.push(await full.advance(10_000));
  expect(statuses.filter((status) => status === 500).length).toBeGreaterThan(1);
  await full.kill();
  const again = await startWithLimit(dir, 'unlimited');
  expect(await again.advance(3_600_000)).toBe(200);
  const { status, output_file_id, request_counts } = await again.client.batches.retrieve(batch.id);
  expect({ status, request_counts }).toEqual({
    status: 'completed',
    request_counts: { total: 200, completed: 200, failed: 0 },
  });
  const ids = (await linesOf(again.client, output_file_id)).map(({ custom_id }) => custom_id);
  expect(ids.sort()).toEqual(lines.map(({ custom_id }) => custom_id).sort());
  expect((await again.ledger()).length).toBe(200);
});
