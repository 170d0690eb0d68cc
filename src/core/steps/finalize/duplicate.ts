/** The end of a duplicate: it is answered by its owner's results, cancelled with it, or run after all. */

import { layoutOf } from '../../../contract/layout.ts';
import { type Receipt, receiptSchema } from '../../../contract/receipt.ts';
import type { Settings } from '../../../contract/settings.ts';
import { defined } from '../../base/defined.ts';
import { publishedKeys } from '../../files/keys.ts';
import { fateOf, isWaiting, rootOf } from '../../lifecycle/duplicate-jobs.ts';
import { toAnswered, toFateRecorded, toRunAfterAll } from '../../lifecycle/job-transitions.ts';
import { LeasedJob } from '../../lifecycle/leased.ts';
import type { Job } from '../../model/job.ts';
import { retryOfKey } from '../../model/retry-key.ts';
import { noUsage } from '../../model/usage.ts';
import type { Ambient, Deadline, Sleep } from '../../ports/ambient.ts';
import type { JobIndex } from '../../ports/job-index.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { JobEvents, Outbox } from '../../ports/outbox.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { Prices } from '../../pricing/prices.ts';
import { costOf } from './account.ts';
import { eventOf } from './event.ts';
import { endOf } from './job-end.ts';
import { termsOf } from './terms.ts';

/** What it takes to end a duplicate. */
export interface DuplicateDeps {
  stackId: string;
  settings: Settings;
  objects: ObjectStore;
  jobs: JobStore;
  index: Pick<JobIndex, 'recordEnd'>;
  prices: Pick<Prices, 'statedAt'>;
  outbox: Pick<Outbox, 'finalize'>;
  events: JobEvents;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Sleep;
  telemetry: Telemetry;
}

/** Ends a duplicate if its owner has ended; safe to repeat at any point. */
export async function settleDuplicate(deps: DuplicateDeps, seen: Job): Promise<void> {
  const { jobId } = seen;
  if (seen.receiptKey !== undefined) return;
  if (fateOf(seen, await rootOf(deps.jobs, seen)) === 'waits') {
    deps.telemetry.record('duplicate.deferred', { jobId, owner: seen.duplicateOf });
    return;
  }
  const job = await LeasedJob.lease(deps, jobId, 'duplicate');
  if (job === undefined) return;
  if (job.record.receiptKey !== undefined) {
    await job.release();
    return;
  }
  try {
    await job.work(deps, (leased) => settleLeased(leased, job));
  } catch (error) {
    await job.release();
    throw error;
  }
}

async function settleLeased(deps: DuplicateDeps, leased: LeasedJob): Promise<void> {
  const job = leased.record;
  const { jobId } = job;
  const owner = await rootOf(deps.jobs, job);
  const fate = fateOf(job, owner);
  if (fate === 'waits') {
    await leased.release();
    return;
  }
  if (fate === 'runs' || owner === undefined) {
    // The sweep sends it to ingest, which looks once more for an owner: another duplicate may have been first.
    if (await leased.tryMove(toRunAfterAll(job)))
      deps.telemetry.record('duplicate.started', { jobId, owner: owner?.jobId });
    return;
  }
  if (!(await recordFate(leased, owner, fate))) return;
  const receipt = await receiptOf(deps, job, owner, fate);
  const body = Buffer.from(`${JSON.stringify(receiptSchema.parse(receipt), null, 2)}\n`);
  await deps.objects.put(receipt.files.receipt, body, { contentType: 'application/json' });
  // Sent at least once: the job's own record, written last, ends the repeating.
  await deps.events.completed(eventOf(receipt));
  await deps.index.recordEnd(endOf(job, receipt, []));
  const answered = toAnswered(job, owner.jobId, {
    receiptKey: receipt.files.receipt,
    result: receipt.result,
    cost: { usd: '0', possibleUsd: '0' },
  });
  if (!(await leased.tryMove(answered))) return;
  deps.telemetry.record(fate === 'cancelled' ? 'duplicate.cancelled' : 'duplicate.answered', {
    jobId,
    owner: owner.jobId,
  });
  await tellDuplicates(deps, jobId);
}

/**
 * Records what becomes of a duplicate before anybody hears of it: if a worker dies after the event, its successor
 * says the same again, although the owner may have ended, or the duplicate been cancelled, in between.
 * @returns `false` if another worker has the job.
 */
async function recordFate(leased: LeasedJob, owner: Job, fate: 'answered' | 'cancelled'): Promise<boolean> {
  const job = leased.record;
  return !isWaiting(job) || leased.tryMove(toFateRecorded(job, owner.jobId, RESULT_OF[fate]));
}

const RESULT_OF = { answered: 'duplicate', cancelled: 'rejected' } as const;

/** Has the duplicates that wait for a job looked at, now that it has ended; the sweep finds those that are missed. */
export async function tellDuplicates(
  { jobs, outbox }: Pick<DuplicateDeps, 'jobs' | 'outbox'>,
  jobId: string,
): Promise<void> {
  for (const duplicate of await jobs.listDuplicates(jobId)) await outbox.finalize({ v: 1, jobId: duplicate });
}

/** Its name carries the job's id: the plain names are those of its owner, whose content is the same. */
async function receiptOf(
  deps: DuplicateDeps,
  job: Job,
  owner: Job,
  fate: 'answered' | 'cancelled',
): Promise<Receipt> {
  const { bucket, key, versionId, etag, size, lastModified } = job.input;
  const now = deps.ambient.now();
  const receipt = publishedKeys(layoutOf(deps.settings, job.route), key, job.jobId).receipt;
  return defined({
    v: 1,
    jobId: job.jobId,
    stackId: deps.stackId,
    route: job.route.name,
    retryOf: retryOfKey(key),
    ...(fate === 'answered'
      ? { result: 'duplicate', duplicateOf: reference(owner) }
      : {
          result: 'rejected',
          duplicateOf: reference(owner),
          rejection: {
            code: 'cancelled',
            message: `It was cancelled while it waited for job ${owner.jobId}, which has the same content. Nothing of it was run.`,
          },
        }),
    input: defined({ bucket, key, versionId, etag, bytes: size }),
    files: { ...(fate === 'answered' ? await resultsOf(deps.objects, owner) : {}), receipt },
    terms: await termsOf(deps.objects, job),
    ...NOTHING_RUN,
    usage: noUsage(),
    cost: costOf([]),
    prices: deps.prices.statedAt(now),
    timings: defined({
      droppedAt: iso(lastModified),
      claimedAt: iso(job.createdAt),
      cancelledAt: job.cancelledAt === undefined ? undefined : iso(job.cancelledAt),
      completedAt: iso(now),
      totalMs: Math.max(0, now - lastModified),
    }),
  });
}

/** Requests are counted, and money is booked, where they were run. */
const NOTHING_RUN = {
  counts: { requests: 0, succeeded: 0, failed: 0, invalid: 0 },
  errorsByCode: {},
  firstInvalid: {},
  possiblyBilledTwice: {},
  incomplete: 0,
  filtered: 0,
  cutOtherwise: 0,
  repairedLines: 0,
  strayLines: 0,
  answeredBy: {},
  warnings: [],
  tiers: {},
  batches: [],
};

function reference(owner: Job): NonNullable<Receipt['duplicateOf']> {
  const { versionId } = owner.input;
  return defined({
    jobId: owner.jobId,
    versionId,
    result: owner.result,
    receipt: owner.receiptKey,
  });
}

/** The owner's files, unless a newer version has its names by now. */
async function resultsOf(objects: Pick<ObjectStore, 'get'>, owner: Job): Promise<Partial<Receipt['files']>> {
  const bytes = owner.receiptKey === undefined ? undefined : await objects.get(owner.receiptKey);
  if (bytes === undefined) return {};
  const { jobId, files } = receiptSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  return jobId === owner.jobId ? files : {};
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
