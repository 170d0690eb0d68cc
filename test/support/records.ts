/** Parts of records, and writes to them, as tests need them: what a test does not say has a plain value. */
import { defaultSettings } from '../../src/contract/settings.ts';
import type { BatchRecord, BatchState } from '../../src/core/model/batch.ts';
import { batchIdOf, childBatchId } from '../../src/core/model/batch-id.ts';
import type { Job, JobState } from '../../src/core/model/job.ts';
import type {
  BatchPatch,
  BatchTransition,
  JobPatch,
  JobTransition,
} from '../../src/core/model/transition.ts';
import { noUsage } from '../../src/core/model/usage.ts';

type Group<Name extends keyof BatchRecord> = NonNullable<BatchRecord[Name]>;

const NOW = 1_790_000_000_000;

/** A job that is being ingested. */
export function jobOf(jobId: string, changes: Partial<Job> = {}): Job {
  const input = { bucket: 'b', key: `input/${jobId}.jsonl`, versionId: 'v1' };
  return {
    v: 1,
    jobId,
    input: { ...input, etag: '"e"', lastModified: NOW, size: 10 },
    source: input,
    route: defaultSettings().routes[0]!,
    state: 'ingesting',
    createdAt: NOW,
    updatedAt: NOW,
    ...changes,
  };
}

/** A batch that waits for its turn. @param index its place in round 0. */
export function batchOf(jobId: string, index = 0, changes: Partial<BatchRecord> = {}): BatchRecord {
  return {
    v: 1,
    jobId,
    batchId: batchIdOf(0, index),
    round: 0,
    state: 'planned',
    endpoint: '/v1/responses',
    model: 'gpt-6-luna',
    manifestKey: `work/${jobId}/manifests/${index}`,
    requests: 3,
    bytes: 300,
    createdAt: NOW,
    updatedAt: NOW,
    ...changes,
  };
}

/** A batch at OpenAI. */
export function remoteOf(remote: Partial<Group<'remote'>> = {}): Group<'remote'> {
  return { openaiBatchId: 'batch_1', submittedAt: 0, status: 'completed', statusAt: 0, ...remote };
}

/** An attempt to create a batch. */
export function attemptOf(attempt: Partial<Group<'attempt'>> = {}): Group<'attempt'> {
  return { nonce: 'n', inputFileId: 'file-1', ...attempt };
}

/** The end of a batch. */
export function endingOf(ending: Partial<Group<'ending'>> = {}): Group<'ending'> {
  return { status: 'completed', endedAt: 0, ...ending };
}

/** What became of the requests of a batch. */
export function resultsOf({
  outcome,
  ...results
}: Partial<Omit<Group<'results'>, 'outcome'>> & {
  outcome?: Partial<Group<'results'>['outcome']>;
} = {}): Group<'results'> {
  const usage = noUsage();
  const none = { incomplete: 0, filtered: 0, cutOtherwise: 0, repairedLines: 0, strayLines: 0, usage };
  return {
    outcome: {
      succeeded: 0,
      failed: 0,
      retried: 0,
      failedByCode: {},
      possiblyBilledTwice: {},
      ...none,
      ...outcome,
    },
    ...results,
  };
}

/** A batch of 20 requests that was too large for its budget, and the 20 that it was cut into: one is collected. */
export function cutBatches(jobId: string): [BatchRecord, ...BatchRecord[]] {
  const parent = batchOf(jobId, 0, { requests: 20, state: 'collected', recut: { microdollars: 10 } });
  const parts = Array.from({ length: 20 }, (_, index) =>
    batchOf(jobId, index, { batchId: childBatchId(parent, index, 20), round: 1, requests: 1 }),
  );
  const next = parts.map(({ manifestKey, requests, bytes }) => ({ manifestKey, requests, bytes }));
  const [first, ...rest] = parts;
  return [
    {
      ...parent,
      ending: endingOf({ status: 'failed' }),
      results: resultsOf({ outcome: { retried: 20 }, next }),
    },
    { ...first!, state: 'collected', results: resultsOf({ outcome: { succeeded: 1 } }) },
    ...rest,
  ];
}

/** Any write to a batch, also one that no step makes. */
export function batchWrite(
  from: BatchState,
  set: BatchPatch & { state?: BatchState } = {},
  options: Partial<Pick<BatchTransition, 'clear' | 'ofOpenAI'>> = {},
): BatchTransition {
  const { state = from, ...changes } = set;
  return { name: 'test', from, to: state, set: changes, clear: [], ...options };
}

/** Any write to a job. */
export function jobWrite(
  from: JobState,
  set: JobPatch & { state?: JobState } = {},
  clear: JobTransition['clear'] = [],
): JobTransition {
  const { state = from, ...changes } = set;
  return { name: 'test', from, to: state, set: changes, clear };
}
