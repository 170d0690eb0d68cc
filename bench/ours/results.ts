/**
 * Ours: one step of the results path, as its function runs it, against the S3 and the provider that it is told of. The
 * records of jobs and batches are in memory. Prints what came of it.
 */

import OpenAI from 'openai';
import { S3Objects } from '../../src/adapters/s3/objects.ts';
import { TmpScratch } from '../../src/adapters/tmp-scratch.ts';
import { EVENTS } from '../../src/contract/events.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import type { Job } from '../../src/core/model/job.ts';
import type { Telemetry } from '../../src/core/ports/telemetry.ts';
import { Prices } from '../../src/core/pricing/prices.ts';
import { collect } from '../../src/core/steps/collect/collect.ts';
import { finalize } from '../../src/core/steps/finalize/finalize.ts';
import { OpenAIBatches } from '../../src/providers/openai/batch-api.ts';
import { OPENAI_PRICES } from '../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';
import { createS3Client } from '../../src/runtime/clients.ts';
import { noHeartbeat } from '../../test/support/memory/heartbeat.ts';
import { MemoryJobIndex } from '../../test/support/memory/job-index.ts';
import { MemoryJobs } from '../../test/support/memory/jobs.ts';
import { MemoryEvents, MemoryOutbox } from '../../test/support/memory/outbox.ts';
import { MemoryPauses } from '../../test/support/memory/pauses.ts';
import { MemoryQuota } from '../../test/support/memory/quota.ts';
import { MemoryShutdowns } from '../../test/support/memory/shutdowns.ts';
import { MemorySuspensions } from '../../test/support/memory/suspensions.ts';

/** What the step needs to find. */
export interface ResultsTask {
  step: 'collect' | 'finalize' | 'pass through';
  s3: { endpoint: string; region: string; credentials: { accessKeyId: string; secretAccessKey: string } };
  bucket: string;
  openaiBaseUrl: string;
  job: Job;
  batches: BatchRecord[];
  /** Key of an object to be read and written again, for `pass through`. */
  key?: string;
}

const task = JSON.parse(process.argv[2]!) as ResultsTask;
const { job, bucket } = task;
const objects = new S3Objects(createS3Client(task.s3), { bucket });
const jobs = new MemoryJobs();
await jobs.createJob(job);
for (const batch of task.batches) await jobs.createBatch(batch);
let nonces = 0;
const batches = new OpenAIBatches(
  new OpenAI({ apiKey: 'sk-none', baseURL: task.openaiBaseUrl, maxRetries: 0 }),
);
const deps = {
  stackId: 'bench',
  settings: defaultSettings(),
  objects,
  jobs,
  index: new MemoryJobIndex(),
  quota: new MemoryQuota(jobs),
  prices: new Prices(OPENAI_PRICES),
  suspensions: new MemorySuspensions(),
  pauses: new MemoryPauses(),
  shutdowns: new MemoryShutdowns(),
  batches: { withKey: () => batches },
  rules: OPENAI_RULES,
  outbox: new MemoryOutbox(),
  events: new MemoryEvents(),
  scratch: new TmpScratch(),
  ambient: { now: () => Date.now(), nonce: () => `bench-${process.pid}-${nonces++}` },
  deadline: { remainingMs: () => 15 * 60_000 },
  heartbeat: noHeartbeat,
  telemetry: {
    record: (name, fields) => {
      if (EVENTS[name].level !== 'info') console.error(name, fields);
    },
  } satisfies Telemetry,
};

const { jobId } = job;
if (task.step === 'pass through') {
  const writer = objects.openWrite('work/passed-through');
  for await (const chunk of await objects.read({ bucket, key: task.key! })) await writer.write(chunk);
  await report({ bytes: await writer.close() });
} else if (task.step === 'collect') {
  const { batchId } = task.batches[0]!;
  await collect(deps, { v: 1, jobId, batchId });
  const { outcome, outputRun } = (await jobs.getBatch(jobId, batchId))!.results!;
  await report({ succeeded: outcome?.succeeded ?? 0, bytes: outputRun?.bytes ?? 0, key: outputRun?.dataKey });
} else {
  await finalize(deps, { v: 1, jobId });
  const output = await objects.head(bucket, 'output/bench.jsonl');
  await report({ state: (await jobs.getJob(jobId))!.state, bytes: output?.size ?? 0 });
}

async function report(found: Record<string, unknown>): Promise<void> {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
}
