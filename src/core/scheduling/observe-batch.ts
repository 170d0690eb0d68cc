/**
 * What a look at a batch at the provider means, by the poll or the worker of a webhook. Every
 * write is conditional on what the record says, so two lookers at once, or the same look twice, do no harm.
 */
import type { Settings } from '../../contract/settings.ts';
import { defined } from '../base/defined.ts';
import { serviceCode } from '../base/own-text.ts';
import { toEnded, toSeen } from '../lifecycle/batch-transitions.ts';
import { cancelAtOpenAI } from '../lifecycle/cancel.ts';
import { startOf } from '../lifecycle/executed.ts';
import { lost, remedyFor } from '../lifecycle/lost.ts';
import { completionWindowMs } from '../lifecycle/time-limits.ts';
import { type BatchLevelError, type BatchRecord, isTerminal } from '../model/batch.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { BatchService, ByKey, RemoteBatch } from '../ports/provider.ts';
import type { CommonRules } from '../ports/provider-rules.ts';
import type { QuotaStore } from '../ports/quota.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { tokensLedgerOf } from './scopes.ts';
import { givenLimitOf, lessonOfAcceptance } from './token-limit.ts';

/** What an observation takes. */
export interface ObserveBatchDeps {
  settings: Pick<Settings, 'stuck' | 'quota'>;
  jobs: Pick<JobStore, 'getJob' | 'moveBatch'>;
  quota: Pick<QuotaStore, 'changeLedger' | 'giveBackTokens'>;
  batches: ByKey<Pick<BatchService, 'cancelBatch' | 'getBatch'>>;
  rules: Pick<CommonRules, 'errors' | 'quota'>;
  outbox: Pick<Outbox, 'collect'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** A batch's record must fit a table item of 400 KB; lines beyond these show themselves in the next round. */
const MAX_ERRORS = 500;
const MAX_ERROR_CHARS = 200;
/** Of all of them, as JSON in UTF-8: what has a byte for each character is less. */
const MAX_ERRORS_BYTES = 200_000;
/** Share of a batch's requests by which its recorded progress may be behind. */
const PROGRESS_STEP = 0.05;
/**
 * Records what the provider shows of a batch, and sends one that has ended to collect.
 * @returns whether this is what ended it, as the record says.
 */
export async function observeBatch(
  deps: ObserveBatchDeps,
  batch: BatchRecord,
  remote: RemoteBatch,
): Promise<boolean> {
  const { jobId, batchId } = batch;
  const { status } = remote;
  const errors = remote.errors === undefined ? undefined : recordedErrors(remote.errors);
  const now = deps.ambient.now();
  const startedAt = startOf(batch, remote, now);
  // A batch that was looked up after its create may never have been seen while it was validated.
  const hasBegun = batch.remote?.startedAt === undefined && startedAt !== undefined;
  const isValidated = batch.remote?.status === 'validating' && status !== 'validating' && status !== 'failed';
  if (hasBegun || isValidated) await learnAcceptance(deps, batch);
  if (!isTerminal(status)) {
    await recordLive(deps, batch, remote, startedAt);
    return false;
  }
  const ended = toEnded(batch, remote, { startedAt, errors }, now);
  if ((await deps.jobs.moveBatch(batch, ended, now)) === undefined) return false;
  const { rawStatus } = remote;
  deps.telemetry.record('batch.ended', {
    jobId,
    batchId,
    openaiBatchId: remote.id,
    status,
    rawStatus: rawStatus && serviceCode(rawStatus),
  });
  // What was refused for lack of room gives its tokens back once collect has learned from it: until then, no other
  // one tries.
  const isRefused = errors?.some((error) => deps.rules.errors.batchErrorKindOf(error) === 'no_room') ?? false;
  if (batch.admission?.reservation !== undefined && !isRefused)
    await deps.quota.giveBackTokens(batch.admission?.reservation, now);
  await deps.outbox.collect({ v: 1, jobId, batchId });
  return true;
}

/** As many of the errors, and as much of each, as a record has room for. */
function recordedErrors(errors: readonly BatchLevelError[]): BatchLevelError[] {
  const recorded: BatchLevelError[] = [];
  let bytes = 0;
  for (const { code, message, param, line } of errors.slice(0, MAX_ERRORS)) {
    const error: BatchLevelError = defined({
      code: beginningOf(code),
      message: beginningOf(message),
      param: param === undefined ? undefined : beginningOf(param),
      line,
    });
    bytes += Buffer.byteLength(JSON.stringify(error));
    if (bytes > MAX_ERRORS_BYTES) break;
    recorded.push(error);
  }
  return recorded;
}

/** Without the half of a character that is cut in two, which is no UTF-8. */
function beginningOf(text: string): string {
  return text.slice(0, MAX_ERROR_CHARS).toWellFormed();
}

/** Notes how far a batch is, and does what it takes to bring it to an end. */
async function recordLive(
  deps: ObserveBatchDeps,
  batch: BatchRecord,
  remote: RemoteBatch,
  startedAt: number | undefined,
): Promise<void> {
  const now = deps.ambient.now();
  const { status, progress } = remote;
  const remedy = remedyFor(batch.remote!, remote, deps.settings.stuck, now, completionWindowMs(batch));
  if (remedy === 'lost') return lost(deps, batch);
  const same =
    status === batch.remote?.status &&
    startedAt === batch.remote?.startedAt &&
    !hasMoved(batch.remote?.progress, progress) &&
    batch.remote?.unreachableSince === undefined &&
    batch.hold === undefined;
  const isStuck = remedy === 'cancel' && batch.stop?.cancelRequestedAt === undefined;
  if (!same || isStuck)
    await deps.jobs.moveBatch(batch, toSeen(batch, remote, { startedAt, isStuck }, now), now);
  if (isStuck)
    deps.telemetry.record('batch.stuck', {
      jobId: batch.jobId,
      batchId: batch.batchId,
      openaiBatchId: remote.id,
      status,
    });
  if (isStuck || batch.stop?.cancelRequestedAt !== undefined) await cancelAtOpenAI(deps, batch, remote);
}

type Progress = NonNullable<BatchRecord['remote']>['progress'];

/**
 * Whether progress is worth a write: with thousands of batches, writing each step of each would be most of all
 * writes.
 */
function hasMoved(known: Progress, now: Progress): boolean {
  if (known === undefined || now === undefined || known.total !== now.total) return known !== now;
  const steps = [now.completed - known.completed, now.failed - known.failed];
  return steps.some((step) => step !== 0 && Math.abs(step) >= now.total * PROGRESS_STEP);
}

/** A batch's tokens are checked while it is validated; what gets past that had room. */
async function learnAcceptance(deps: ObserveBatchDeps, batch: BatchRecord): Promise<void> {
  const now = deps.ambient.now();
  const given = givenLimitOf(deps.settings.quota, deps.rules.quota, batch.model);
  await deps.quota.changeLedger(
    tokensLedgerOf(batch),
    (ledger) => lessonOfAcceptance(ledger, batch, given, now),
    now,
  );
}
