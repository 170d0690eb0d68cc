/** One batch in a store of its own, for tests of submit alone. */
import { MemoryBatches } from '../../src/adapters/memory/batches.ts';
import { noHeartbeat } from '../../src/adapters/memory/heartbeat.ts';
import { MemoryJobs } from '../../src/adapters/memory/jobs.ts';
import { MemoryObjects } from '../../src/adapters/memory/objects.ts';
import { MemoryOutbox } from '../../src/adapters/memory/outbox.ts';
import { MemoryParks } from '../../src/adapters/memory/parks.ts';
import { MemoryQuota } from '../../src/adapters/memory/quota.ts';
import type { BatchMessage } from '../../src/contract/messages.ts';
import { defaultSettings, quotaSchema } from '../../src/contract/settings.ts';
import type { BatchRecord } from '../../src/core/model.ts';
import type { BatchApi } from '../../src/core/ports.ts';
import type { SubmitDeps } from '../../src/core/submit/submit.ts';

/** When each of these tests begins. */
export const NOW = 1_790_000_000_000;
const HOUR_MS = 60 * 60_000;
const KEY = { jobId: 'job', batchId: '0-00000' };

export type SubmitTest = Awaited<ReturnType<typeof startSubmit>>;

/** @param record what differs from a batch that was just admitted. */
export async function startSubmit(record: Partial<BatchRecord>) {
  const clock = { now: NOW };
  let nonces = 0;
  const ambient = { now: () => clock.now, nonce: () => `nonce-${nonces++}` };
  const jobs = new MemoryJobs();
  const batches = new MemoryBatches(ambient);
  const deps = {
    stackId: 'stack',
    settings: { ...defaultSettings(), quota: quotaSchema.parse({ createsPerHour: 1 }) },
    objects: new MemoryObjects({ bucket: 'bucket' }, ambient),
    jobs,
    quota: new MemoryQuota(jobs),
    parks: new MemoryParks(),
    outbox: new MemoryOutbox(),
    batches,
    ambient,
    deadline: { remainingMs: () => 15 * 60_000 },
    heartbeat: noHeartbeat,
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
  const message: BatchMessage = { v: 1, ...KEY };
  return {
    deps: deps as SubmitDeps,
    batches: batches as BatchApi,
    clock,
    message,
    read: async () => (await jobs.getBatch(KEY.jobId, KEY.batchId))!,
  };
}
