/** Drops what did not succeed of a job as a new input, which names the job that it is of. */
import type { Done, OperateRequest } from '../../../contract/operate.ts';
import { OPTIONS_SUFFIX } from '../../../contract/options.ts';
import type { Receipt } from '../../../contract/receipt.ts';
import { hasRoomForResults } from '../../files/keys.ts';
import { toRetried, toRetrying } from '../../lifecycle/job-transitions.ts';
import { LeasedJob, TakenOverError } from '../../lifecycle/leased.ts';
import type { Act } from '../../model/act.ts';
import { hasEnded, type Job } from '../../model/job.ts';
import type { KeyVersion, SourceObject } from '../../model/objects.ts';
import { PERHAPS_CHARGED } from '../../model/outcome-codes.ts';
import { retryName } from '../../model/retry-key.ts';
import { routeOf } from '../../requests/route.ts';
import type { OperateDeps } from './deps.ts';
import { busy, noSuchJob, RefusedAct, requireOwnBucket } from './refusal.ts';
import { resultsOf } from './results-of.ts';

type RetryRequest = Extract<OperateRequest, { action: 'retry' }>;

/** Codes beyond the first hundred of a batch are counted as this: see the receipt. */
const OTHER_CODES = 'other';
/** The receipt says that something may have been charged, and no code of its errors says what. */
const UNNAMED = 'unknown';

/**
 * Puts the retry file of a job below the prefix of its route. The key has the job's id and the number, so that
 * repeating the act finds what it has done; one retry at a time is under way of a job. Each number runs the same
 * requests, so another number than that of an earlier retry is asked about.
 * @throws {RefusedAct} if there is nothing to retry, or what may have been paid for is not acknowledged.
 */
export async function retryJob(deps: OperateDeps, request: RetryRequest, act: Act): Promise<Done<'retry'>> {
  const { jobId, number } = request;
  const job = await deps.jobs.getJob(jobId);
  if (job === undefined) throw noSuchJob(jobId);
  requireOwnBucket(deps, job);
  const known = job.retries?.find((retry) => retry.number === number);
  if (known !== undefined && known.isDropping === undefined)
    return answer('dropped_before', known.key, number);
  requireRetriable(job);
  const leased = await LeasedJob.lease(deps, jobId, 'completed');
  if (leased === undefined) throw busy(jobId);
  try {
    return await leased.work(deps, (working) => retryLeased(working, leased, request, act));
  } catch (error) {
    await leased.release();
    throw error instanceof TakenOverError ? busy(jobId) : error;
  }
}

/** The record first: a retry that dies on the way is known to those who ask for another one. */
async function retryLeased(
  deps: OperateDeps,
  leased: LeasedJob,
  request: RetryRequest,
  act: Act,
): Promise<Done<'retry'>> {
  const { number } = request;
  const job = leased.record;
  const begun = job.retries?.find((retry) => retry.number === number);
  const { receipt, versions } = await resultsOf(deps, job);
  const source = await retryFileOf(deps, job, receipt, versions.retry);
  const key = begun?.key ?? keyOf(deps, job, number);
  if (begun === undefined) {
    requireAcknowledged(deps, request, job, receipt!);
    await leased.move(toRetrying(job, { number, key, at: act.at }, act));
  }
  // One that died after the drop left it without saying so.
  const isNew = (await deps.objects.head(source.bucket, key)) === undefined;
  if (isNew) await drop(deps, job, source, key);
  await leased.move(toRetried(leased.record, number));
  deps.telemetry.record('job.retried', { jobId: job.jobId, key, number, by: act.by });
  return answer(isNew ? 'dropped' : 'dropped_before', key, number);
}

function answer(state: Done<'retry'>['state'], key: string, number: number): Done<'retry'> {
  return { v: 1, ok: true, action: 'retry', state, key, number };
}

function requireRetriable(job: Job): void {
  const { jobId } = job;
  if (job.forgettingAt !== undefined)
    throw new RefusedAct('job_is_forgotten', `Job ${jobId} is being removed.`);
  if (!hasEnded(job))
    throw new RefusedAct(
      'job_is_live',
      `Job ${jobId} is ${job.state} and has no receipt yet: wait for it, or cancel it first.`,
    );
  const nothing = (why: string) => new RefusedAct('nothing_to_retry', `Job ${jobId} ${why}`);
  if (job.result === 'succeeded') throw nothing('succeeded: there is nothing to retry.');
  if (job.state === 'duplicate')
    throw nothing(`is a duplicate and ran nothing: retry job ${job.duplicateOf}.`);
  if (job.state === 'rejected')
    throw nothing('was rejected whole: fix the file as its receipt says, and drop it again.');
}

async function retryFileOf(
  { objects }: OperateDeps,
  job: Job,
  receipt: Receipt | undefined,
  versions: readonly KeyVersion[],
): Promise<SourceObject & { size: number }> {
  const { bucket } = job.input;
  const [newest] = versions;
  const key = receipt?.files.retry;
  if (receipt === undefined || key === undefined || newest === undefined)
    throw new RefusedAct(
      'results_replaced',
      `The retry file of job ${job.jobId} is not there any more: a newer job of ${job.input.key} has replaced it, or ` +
        'it was removed. Drop the requests again from where they came.',
    );
  const { versionId } = newest;
  const head = await objects.head(bucket, newest.key, versionId);
  return {
    bucket,
    key: newest.key,
    size: head?.size ?? 0,
    ...(versionId === undefined ? {} : { versionId }),
  };
}

/**
 * Nobody pays again without saying so: for requests that failed and may have been executed, nor for those that another
 * retry of the same file runs or has run.
 */
function requireAcknowledged(
  { rules }: OperateDeps,
  { acknowledge, jobId }: RetryRequest,
  { retries }: Job,
  receipt: Receipt,
): void {
  if (acknowledge === 'may_pay_twice') return;
  const reasons: string[] = [];
  const earlier = retries?.at(-1);
  if (earlier !== undefined)
    reasons.push(
      `Retry ${earlier.number} of job ${jobId} was ${earlier.isDropping ? 'begun' : 'dropped'} before, as ${earlier.key}, with the same requests: another ` +
        `number pays for all of them again. For what did not succeed of it, retry that one: batchdrop retry ${earlier.key}`,
    );
  const mayHaveBeenPaid = perhapsPaid(rules, receipt);
  const count = Object.values(mayHaveBeenPaid).reduce((sum, each) => sum + each, 0);
  if (count > 0)
    reasons.push(
      `${count === 1 ? '1 request' : `${count} requests`} of job ${jobId} failed without a sure answer and may have been charged (at ` +
        `most ${receipt.cost.possibleUsd} USD): a retry pays for ${count === 1 ? 'it' : 'them'} again`,
    );
  if (reasons.length === 0) return;
  throw new RefusedAct('needs_acknowledgement', `${reasons.join('. ')}. Say that this is meant.`, {
    mayHaveBeenPaid,
  });
}

/**
 * Requests of the retry file that may have been charged, by code. Where no code says which and something may have been
 * charged, every one that failed: what the receipt names beside (answers without usage, requests perhaps billed twice)
 * has no sum of its own, and so does not say that it is all of it.
 */
export function perhapsPaid(
  { errors }: OperateDeps['rules'],
  { errorsByCode, cost, counts }: Receipt,
): Record<string, number> {
  const codes = Object.entries(errorsByCode).filter(
    ([code]) => code === OTHER_CODES || PERHAPS_CHARGED.has(code) || errors.mayHaveBeenCharged(code),
  );
  if (codes.length > 0) return Object.fromEntries(codes);
  return Number(cost.possibleUsd) > 0 && counts.failed > 0 ? { [UNNAMED]: counts.failed } : {};
}

/** The options first: a worker that sees the input reads them beside it. */
async function drop(
  { objects }: OperateDeps,
  job: Job,
  source: SourceObject & { size: number },
  key: string,
): Promise<void> {
  if (job.options !== undefined) {
    const options = Object.fromEntries(job.options.map(({ name, value }) => [name, value]));
    await objects.put(`${key}${OPTIONS_SUFFIX}`, Buffer.from(JSON.stringify(options)), {
      contentType: 'application/json',
    });
  }
  const writer = objects.openWrite(key, { contentType: 'application/jsonl' });
  try {
    await writer.copy(source, 0, source.size);
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** @throws {RefusedAct} if the route of the job takes no such key. */
function keyOf({ settings }: OperateDeps, { jobId, input, route }: Job, number: number): string {
  const stem = input.key.endsWith('.jsonl') ? input.key.slice(0, -'.jsonl'.length) : input.key;
  const name = retryName({ jobId, number });
  const keys = [`${stem}.${name}`, `${route.prefix}${name}`];
  const key = keys.find(
    (each) =>
      hasRoomForResults(settings.layout, each) &&
      !each.endsWith(OPTIONS_SUFFIX) &&
      routeOf(settings, each)?.name === route.name,
  );
  if (key !== undefined) return key;
  throw new RefusedAct(
    'no_such_route',
    `Route "${route.name}" of job ${jobId} does not take ${keys[0]} (any more): copy its retry file to a key that a route ` +
      'takes.',
  );
}
