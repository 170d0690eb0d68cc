/** One batch in a store of its own, for tests of submit alone. */

import type { BatchMessage } from '../../src/contract/messages.ts';
import { quotaSchema } from '../../src/contract/quota.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import { HOUR_MS } from '../../src/contract/time.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import type { BatchApi } from '../../src/core/ports/provider.ts';
import type { SubmitDeps } from '../../src/core/steps/submit/deps.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';
import { MemoryBatches } from './memory/batches.ts';
import { noHeartbeat } from './memory/heartbeat.ts';
import { MemoryJobs } from './memory/jobs.ts';
import { MemoryObjects } from './memory/objects.ts';
import { MemoryOutbox } from './memory/outbox.ts';
import { MemoryPauses } from './memory/pauses.ts';
import { MemoryQuota } from './memory/quota.ts';
import { MemorySuspensions } from './memory/suspensions.ts';
import { batchOf } from './records.ts';
import { noTelemetry } from './telemetry.ts';

/** When each of these tests begins. */
export const NOW = 1_790_000_000_000;
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
    suspensions: new MemorySuspensions(),
    pauses: new MemoryPauses(),
    outbox: new MemoryOutbox(),
    batches,
    rules: OPENAI_RULES,
    ambient,
    deadline: { remainingMs: () => 15 * 60_000 },
    heartbeat: noHeartbeat,
    telemetry: noTelemetry,
  } satisfies SubmitDeps;
  await jobs.createBatch(
    batchOf(KEY.jobId, 0, {
      state: 'admitted',
      model: 'm',
      requests: 1,
      bytes: 10,
      createdAt: NOW - HOUR_MS,
      updatedAt: NOW - HOUR_MS,
      ...record,
    }),
  );
  const message: BatchMessage = { v: 1, ...KEY };
  return {
    deps: deps as SubmitDeps,
    batches: batches as BatchApi,
    clock,
    message,
    read: async () => (await jobs.getBatch(KEY.jobId, KEY.batchId))!,
  };
}
