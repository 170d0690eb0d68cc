/** The whole local stack is killed in the middle of a step: the next start takes the work up at once. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { startLocalPipeline } from '../../../local/stack/pipeline.ts';
import { ensureSynth } from '../../../local/stack/synth.ts';
import type { Doom } from '../../support/doomed-stack.ts';
import { chatLine } from '../../support/pipeline.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const TEXT = ['a', 'b', 'c'].map((id) => chatLine(id)).join('\n');
/** A calm run takes a few seconds of this; what waits for a dead worker takes minutes. */
const RESUMED_WITHIN_MS = 30_000;

let cdkOut: string;
beforeAll(async () => {
  cdkOut = await ensureSynth({ root: ROOT });
}, 120_000);

/** Runs a stack until it kills itself. */
async function die(doom: Doom): Promise<void> {
  const script = join(ROOT, 'test/support/doomed-stack.ts');
  const child = spawn(process.execPath, [script, JSON.stringify(doom)], { cwd: ROOT, stdio: 'ignore' });
  const signal = await new Promise((done) => child.once('close', (_code, by) => done(by)));
  expect(signal).toBe('SIGKILL');
}

test.each<Doom['at']>([
  { functionName: 'ingest', operation: 'PutObject', moment: 'before' },
  { functionName: 'poll', operation: 'UpdateItem', moment: 'after' },
  { functionName: 'submit', operation: 'POST /v1/files', moment: 'before' },
  { functionName: 'submit', operation: 'POST /v1/batches', moment: 'before' },
  { functionName: 'submit', operation: 'POST /v1/batches', moment: 'after' },
  { functionName: 'collect', operation: 'GET /v1/files', moment: 'after' },
  { functionName: 'finalize', operation: 'PutObject', moment: 'before', nth: 2 },
])(
  'a stack killed in $functionName $moment $operation resumes within seconds of its next start',
  { timeout: 120_000 },
  async (at) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'batchdrop-killed-'));
    onTestFinished(() => rm(stateDir, { recursive: true, force: true }));
    await die({ stateDir, cdkOut, text: TEXT, at });
    const file = join(stateDir, 'a.jsonl');
    await writeFile(file, TEXT);
    const pipeline = await startLocalPipeline({ stateDir });
    onTestFinished(() => pipeline.stop());
    const { jobId, isResumed } = await pipeline.drop(file, 'input/a.jsonl');
    expect(isResumed).toBe(true);
    await vi.waitFor(
      async () => expect((await pipeline.look(jobId)).job?.receiptKey).toBe('receipts/a.json'),
      { timeout: RESUMED_WITHIN_MS, interval: 100 },
    );
    const { job, batches } = await pipeline.look(jobId);
    expect([job?.result, batches.map(({ state }) => state)]).toEqual(['succeeded', ['collected']]);
  },
);

test('Ctrl-C stops the command in good order, and the same command continues', {
  timeout: 120_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'batchdrop-killed-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'a.jsonl');
  await writeFile(file, TEXT);
  const process = (onStderr: (text: string, interrupt: () => void) => void) =>
    new Promise<{ status: number | null; stderr: string }>((done) => {
      const parameters = [
        'local',
        'process',
        file,
        '--state',
        join(folder, 's'),
        '--out',
        join(folder, 'out'),
      ];
      const child = spawn(globalThis.process.execPath, [join(ROOT, 'cli/main.ts'), ...parameters], {
        cwd: ROOT,
      });
      let stderr = '';
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
        onStderr(stderr, () => child.kill('SIGINT'));
      });
      child.once('close', (status) => done({ status, stderr }));
    });
  let isInterrupted = false;
  const interrupted = await process((text, interrupt) => {
    if (isInterrupted || !text.includes('Answers come from')) return;
    isInterrupted = true;
    interrupt();
  });
  expect(interrupted).toMatchObject({ status: 130, stderr: expect.stringContaining('Interrupted') });
  expect((await process(() => {})).status).toBe(0);
});
