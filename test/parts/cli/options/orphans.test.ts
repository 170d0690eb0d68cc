/** What is left over at OpenAI, found and deleted: against the emulator. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { deleteOrphans, findOrphans, type OrphanDeps } from '../../../../cli/options/orphans.ts';
import { startEmulator } from '../../../../local/openai-emulator/emulator.ts';
import { DAY_MS, HOUR_MS } from '../../../../src/contract/time.ts';
import { inputFilename, metadataOf } from '../../../../src/core/lifecycle/ownership.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { OpenAIBatches } from '../../../../src/providers/openai/batch-api.ts';
import { createOpenAIClient } from '../../../../src/runtime/deps/openai.ts';
import { attemptOf, batchOf, jobOf } from '../../../support/records.ts';
import { batchdrop } from '../../../support/run-script.ts';

const STACK = 'stack-1';
const LINE = `${JSON.stringify({
  custom_id: 'a',
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-6-luna', messages: [{ role: 'user', content: 'hi' }] },
})}\n`;

async function started() {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-orphans-'));
  const clock = { present: Date.UTC(2026, 10, 21) };
  const emulator = await startEmulator({
    dir,
    clock: {
      now: () => clock.present,
      advance: (ms) => {
        clock.present += ms;
      },
    },
  });
  onTestFinished(async () => {
    await emulator.close();
    await rm(dir, { recursive: true, force: true });
  });
  const api = new OpenAIBatches(createOpenAIClient(async () => 'sk-test', emulator.endpoint));
  const jobs = new Map<string, Job>();
  const batches = new Map<string, BatchRecord>();
  const deps = (): OrphanDeps => ({
    stackId: STACK,
    api,
    now: clock.present,
    jobs: {
      getJob: async (jobId: string) => jobs.get(jobId),
      getBatch: async (jobId: string, batchId: string) => batches.get(`${jobId}/${batchId}`),
    } as OrphanDeps['jobs'],
  });
  /** Uploads the input of a batch, and creates it if that is wanted. */
  const send = async (jobId: string, { stack = STACK, creates = true } = {}) => {
    const record = batchOf(jobId, 0, { attempt: attemptOf({ nonce: 'n1' }) });
    const bytes = Buffer.from(LINE);
    const body = (async function* () {
      yield bytes;
    })();
    const filename = inputFilename(stack, record, 'n1');
    const { id } = await api.uploadFile({ bytes: bytes.length, body, filename });
    if (!creates) return { id, record };
    const metadata = metadataOf(stack, record);
    const remote = await api.createBatch({ inputFileId: id, endpoint: '/v1/chat/completions', metadata });
    return { id, record, batchId: remote.id };
  };
  return { emulator, api, jobs, batches, clock, deps, send };
}

test('input files and results that no job knows are found and deleted; those of jobs and of other stacks are not', async () => {
  const { emulator, api, jobs, batches, deps, send } = await started();
  const lost = await send('lost');
  const unsent = await send('unsent', { creates: false });
  const other = await send('other', { stack: 'stack-2' });
  const known = await send('known');
  jobs.set('known', jobOf('known'));
  batches.set(`known/${known.record.batchId}`, {
    ...known.record,
    state: 'submitted',
    attempt: attemptOf({ inputFileId: known.id }),
  });
  emulator.clock.advance(HOUR_MS);
  await api.getBatch(lost.batchId!);
  emulator.clock.advance(3 * DAY_MS);

  const found = await findOrphans(deps());
  expect(found).toMatchObject({ running: [], young: 0 });
  expect(found.files.map(({ kind, jobId, bytes = 0 }) => [kind, jobId, bytes > 0])).toEqual([
    ['results', 'lost', true],
    ['input', expect.stringMatching(/^(lost|unsent)$/), true],
    ['input', expect.stringMatching(/^(lost|unsent)$/), true],
  ]);
  expect(await deleteOrphans(deps(), found.files)).toEqual(found.files);
  expect((await findOrphans(deps())).files).toEqual([]);
  expect(await api.fileSize(lost.id)).toBeUndefined();
  expect(await api.fileSize(unsent.id)).toBeUndefined();
  expect(await api.fileSize(other.id)).toBeDefined();
  expect(await api.fileSize(known.id)).toBeDefined();
});

test('what is younger than a day stays, and so do the results until a day after the end of their window', async () => {
  const { emulator, deps, send } = await started();
  await send('lost');
  emulator.clock.advance(HOUR_MS);
  const young = await findOrphans(deps());
  expect(young).toEqual({ files: [], running: [], young: 2 });
  emulator.clock.advance(DAY_MS);
  const older = await findOrphans(deps());
  expect(older.files.map(({ kind }) => kind)).toEqual(['input']);
  expect(older.young).toBe(1);
  emulator.clock.advance(DAY_MS);
  expect((await findOrphans(deps())).files).toHaveLength(2);
});

test('a batch that runs is named and keeps its input file, however old that is', async () => {
  const { emulator, deps, send } = await started();
  emulator.setFaults([{ effect: { kind: 'batch.stuck', state: 'in_progress' } }]);
  const { batchId } = await send('lost');
  emulator.clock.advance(20 * HOUR_MS);
  // As a clock that is a week ahead would see it.
  const found = await findOrphans({ ...deps(), now: deps().now + 7 * DAY_MS });
  expect(found).toEqual({ files: [], running: [batchId], young: 0 });
});

test('a file that a job has taken up since it was found is not deleted', async () => {
  const { emulator, api, batches, deps, send } = await started();
  const { id, record } = await send('back', { creates: false });
  emulator.clock.advance(2 * DAY_MS);
  const { files } = await findOrphans(deps());
  expect(files).toHaveLength(1);
  batches.set(`back/${record.batchId}`, {
    ...record,
    state: 'uploaded',
    attempt: attemptOf({ inputFileId: id }),
  });
  expect(await deleteOrphans(deps(), files)).toEqual([]);
  expect(await api.fileSize(id)).toBeDefined();
});

test('of a list that is cut short nothing is said to be left over', async () => {
  const { deps } = await started();
  const api = { ...deps().api, listBatches: async () => ({ batches: [], isCut: true }) };
  await expect(findOrphans({ ...deps(), api })).rejects.toThrow("OpenAI's list of batches is not whole");
});

test('without a key OpenAI is not looked at, and the command ends with 2', async () => {
  const { status, stderr } = await batchdrop('doctor', '--local', '--clean', '--yes');
  expect(status).toBe(2);
  expect(stderr).toContain('set OPENAI_API_KEY to a key of the project');
});
