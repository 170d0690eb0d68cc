/** What submit does about a create whose answer was lost, and about turns. */
import { expect, test } from 'vitest';
import { MemoryBatches } from '../../src/adapters/memory/batches.ts';
import { MemoryJobs } from '../../src/adapters/memory/jobs.ts';
import { MemoryObjects } from '../../src/adapters/memory/objects.ts';
import { MemoryParks } from '../../src/adapters/memory/parks.ts';
import { MemoryQuota } from '../../src/adapters/memory/quota.ts';
import { defaultSettings, quotaSchema } from '../../src/contract/settings.ts';
import { createTurnsOf } from '../../src/core/admission/scopes.ts';
import type { BatchRecord } from '../../src/core/model.ts';
import type { RemoteBatch } from '../../src/core/ports.ts';
import { type SubmitDeps, submit } from '../../src/core/submit/submit.ts';

const NOW = 1_790_000_000_000;
const HOUR_MS = 60 * 60_000;
const KEY = { jobId: 'job', batchId: '0-00000' };

async function start(record: Partial<BatchRecord>) {
  const clock = { now: NOW };
  let nonces = 0;
  const ambient = { now: () => clock.now, nonce: () => `nonce-${nonces++}` };
  const jobs = new MemoryJobs();
  const deps = {
    stackId: 'stack',
    settings: { ...defaultSettings(), quota: quotaSchema.parse({ createsPerHour: 1 }) },
    objects: new MemoryObjects({ bucket: 'bucket' }, ambient),
    jobs,
    quota: new MemoryQuota(jobs),
    parks: new MemoryParks(),
    batches: new MemoryBatches(ambient),
    ambient,
    log: { info: () => {}, warn: () => {} },
  } satisfies SubmitDeps;
  await jobs.addBatch({
    v: 1,
    ...KEY,
    round: 0,
    state: 'admitted',
    endpoint: '/v1/responses',
    model: 'm',
    manifestKey: 'work/m',
    requests: 1,
    bytes: 10,
    createdAt: NOW - HOUR_MS,
    updatedAt: NOW - HOUR_MS,
    ...record,
  });
  return { deps, clock, read: async () => (await jobs.getBatch(KEY.jobId, KEY.batchId))! };
}

test('a fenced batch is found on the last page of a list in no order, behind old batches that look newest first', async () => {
  const { deps, read } = await start({
    state: 'submitting',
    nonce: 'mine',
    inputFileId: 'file-1',
    intentAt: NOW - HOUR_MS,
    fencedAt: NOW - HOUR_MS / 2,
  });
  const old = (id: string, daysAgo: number): RemoteBatch => ({
    id,
    status: 'completed',
    inputFileId: `file-of-${id}`,
    metadata: {},
    createdAt: NOW - daysAgo * 24 * HOUR_MS,
  });
  const ours: RemoteBatch = {
    ...old('batch_ours', 0),
    status: 'in_progress',
    metadata: { batchdrop_stack: 'stack', batchdrop_nonce: 'mine' },
    createdAt: NOW - HOUR_MS,
  };
  deps.batches.listBatches = async (after) =>
    after === undefined ? { batches: [old('a', 3), old('b', 4)], next: 'b' } : { batches: [ours] };
  await submit(deps, { v: 1, ...KEY });
  expect(await read()).toMatchObject({ state: 'submitted', openaiBatchId: 'batch_ours' });
});

test('a batch is not created before it has a turn, and keeps its file meanwhile', async () => {
  const { deps, clock, read } = await start({
    state: 'uploaded',
    nonce: 'mine',
    inputFileId: 'file-1',
  });
  expect(await deps.quota.takeTurn(createTurnsOf('default'), 1, NOW)).toBe(0);
  await submit(deps, { v: 1, ...KEY });
  const waiting = await read();
  expect(waiting).toMatchObject({ state: 'uploaded', inputFileId: 'file-1' });
  expect(waiting.notBefore).toBeGreaterThan(NOW + HOUR_MS);
  expect((await deps.batches.listBatches()).batches).toEqual([]);
  clock.now = waiting.notBefore!;
  await submit(deps, { v: 1, ...KEY });
  expect(await read()).toMatchObject({ state: 'submitted' });
});
