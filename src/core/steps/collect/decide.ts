/**
 * What becomes of each request of an ended batch, and of a batch that was refused as a whole. Pure: the same files
 * and the same record give the same decisions.
 */

import type { ManifestEntries } from '../../files/manifest.ts';
import { surelyDidNotBegin } from '../../lifecycle/executed.ts';
import type { BatchLevelError, BatchRecord } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import {
  BUDGET_EXCEEDED,
  BUDGET_EXHAUSTED,
  CANCELLED,
  EXCEEDS_LIMIT,
  INPUT_UNREADABLE,
  LOST_BATCH,
  MISSING_FROM_RESULTS,
  MODEL_RETIRED,
  OBJECT_GONE,
  RESULT_UNREADABLE,
  type StatedError,
  TIER_NOT_OFFERED,
  UNPRICED_MODEL,
} from '../../model/outcome-codes.ts';
import { type Cause, isExhausted, withTry } from '../../model/tries.ts';
import type { Cut, OperatorScope, Verdict } from '../../model/verdict.ts';
import type { ErrorRules, ProviderRules, ShutdownRules } from '../../ports/provider-rules.ts';

/** What becomes of one request. */
export type Decision =
  | { kind: 'succeeded'; cut?: Cut | undefined }
  /**
   * Goes into the next round. `tried` is what its manifest entry says from now on; `lost` is the cause if the provider may
   * have charged the try that it lost.
   */
  | { kind: 'retry'; tried: number; lost?: string }
  /** Final. `stated` is what we say ourselves where the provider has no line for it; `lost` as above. */
  | { kind: 'failed'; tried: number; code: string; stated?: StatedError; lost?: string };

/** What the results of a batch say; see {@link ./join.ts}. */
export interface Results {
  verdict(index: number): Verdict | undefined;
  /** A file could not be read to its end, so that a missing line says nothing. */
  readonly isUnreadable: boolean;
}

/** Every request's decision, in the order of the manifest. */
export interface Decisions {
  of: Decision[];
  /** An operator's error among the lines: what must wait until a person has acted. */
  suspend?: { scope: OperatorScope; code: string } | undefined;
}

/**
 * A request whose result may be in a file that cannot be read: never run again by itself, because it may be paid for.
 */
const UNREADABLE: StatedError = {
  code: RESULT_UNREADABLE,
  message:
    'The result files of this batch could not be read to the end; this request may have been answered.',
};
const MISSING: StatedError = {
  code: MISSING_FROM_RESULTS,
  message: 'The batch ended without a result for this request.',
};
const LOST: StatedError = {
  code: LOST_BATCH,
  message: 'The provider no longer knows the batch that this request was in; it may have been answered.',
};
/** The batch came to its end before any request of it began. */
const NOT_BEGUN = {
  expired: 'The batch expired before this request was executed.',
  cancelled: 'The batch was cancelled before this request was executed.',
} as const;
/** Codes of batches that we ended ourselves, because they cannot be sent. */
const OUR_ENDS: ReadonlySet<string> = new Set([
  CANCELLED.code,
  OBJECT_GONE.code,
  INPUT_UNREADABLE.code,
  TIER_NOT_OFFERED,
  MODEL_RETIRED,
  EXCEEDS_LIMIT,
  BUDGET_EXCEEDED,
  BUDGET_EXHAUSTED,
  UNPRICED_MODEL,
]);

/** What of an ended batch decides. */
type EndedBatch = Pick<BatchRecord, 'remote' | 'stop' | 'ending'>;

/** For a batch that was executed, or may have been. */
export function decide(
  job: Pick<Job, 'route' | 'cancelledAt'>,
  batch: EndedBatch,
  entries: Pick<ManifestEntries, 'count' | 'tried'>,
  results: Results,
  {
    rules,
    retired,
  }: { rules: Pick<ProviderRules, 'errors' | 'shutdowns'>; retired?: StatedError | undefined },
): Decisions {
  const mayRetry = job.cancelledAt === undefined;
  let hasAnswers = false;
  for (let index = 0; index < entries.count && !hasAnswers; index++)
    hasAnswers = results.verdict(index)?.kind === 'succeeded';
  const absent = absentVerdict(batch, rules.errors);
  let suspend: Decisions['suspend'];
  const of = Array.from({ length: entries.count }, (_, index): Decision => {
    const tried = entries.tried(index);
    const verdict = results.verdict(index);
    if (verdict?.kind === 'succeeded') return verdict;
    if (verdict === undefined && results.isUnreadable) return unreadable(tried);
    if (verdict?.kind === 'failed')
      return { kind: 'failed', tried: withTry(tried, 'transient'), code: verdict.code };
    if (verdict?.kind === 'lost')
      return { kind: 'failed', tried: withTry(tried, 'lost'), code: verdict.code, lost: verdict.code };
    if (
      verdict?.kind === 'unsent' ||
      (batch.stop?.nextTier !== undefined && isUnexecuted(verdict, absent.cause))
    )
      return unexecuted(tried, verdict, mayRetry);
    if (retired !== undefined && isModelGone(verdict, rules.shutdowns))
      return { kind: 'failed', tried, code: retired.code, stated: retired };
    if (verdict?.kind === 'operator' && !(verdict.scope === 'model' && hasAnswers)) {
      if (!mayRetry) return { kind: 'failed', tried, code: verdict.code };
      if (suspend?.scope !== 'key') suspend = { scope: verdict.scope, code: verdict.code };
      return { kind: 'retry', tried };
    }
    // A model that answers others of the batch is there: what it says of this one is a fault that may pass.
    const { code, cause } =
      verdict === undefined
        ? absent
        : { code: verdict.code, cause: verdict.kind === 'retry' ? verdict.cause : ('transient' as const) };
    const now = withTry(tried, cause);
    const lost = cause === 'lost' ? { lost: code } : {};
    if (mayRetry && !isExhausted(now, job.route)) return { kind: 'retry', tried: now, ...lost };
    return verdict === undefined
      ? { kind: 'failed', tried: now, code, stated: absent.stated, ...lost }
      : { kind: 'failed', tried: now, code, ...lost };
  });
  if (suspend === undefined && of.some(({ kind }) => kind === 'retry'))
    suspend = operatorErrorIn(batch, rules.errors);
  return { of, suspend };
}

/** For a request that was not executed, as far as anybody knows: that has used up no try. */
function unexecuted(tried: number, verdict: Verdict | undefined, mayRetry: boolean): Decision {
  const lost = verdict?.kind === 'unsent' && verdict.isLost ? { lost: verdict.code } : {};
  return mayRetry
    ? { kind: 'retry', tried, ...lost }
    : { kind: 'failed', tried, code: CANCELLED.code, stated: CANCELLED, ...lost };
}

/** The code with which one of the results says that the model is not there; `undefined` if none does. */
export function modelGoneCode(results: Results, requests: number, rules: ShutdownRules): string | undefined {
  for (let index = 0; index < requests; index++) {
    const verdict = results.verdict(index);
    if (isModelGone(verdict, rules)) return verdict.code;
  }
  return undefined;
}

function isModelGone(
  verdict: Verdict | undefined,
  rules: ShutdownRules,
): verdict is Extract<Verdict, { kind: 'operator' }> {
  return verdict?.kind === 'operator' && rules.isModelGone(verdict.code);
}

/** What ended a batch while it ran, if that takes a person: what is left of it would meet the same. */
function operatorErrorIn({ ending }: EndedBatch, rules: ErrorRules): Decisions['suspend'] {
  const { status, errors = [] } = ending!;
  if (status !== 'failed') return undefined;
  for (const { code } of errors) {
    const scope = rules.operatorScopeOf(code);
    if (scope !== undefined) return { scope, code };
  }
  return undefined;
}

/**
 * Of a batch that the ladder cancelled: what it did not execute continues in another tier, and has not used up a try.
 */
function isUnexecuted(verdict: Verdict | undefined, absent: Cause): boolean {
  return (
    (verdict === undefined ? absent : verdict.kind === 'retry' ? verdict.cause : undefined) === 'unexecuted'
  );
}

/** What it means that a request has no line in either file. */
function absentVerdict(batch: EndedBatch, { unexecuted }: ErrorRules) {
  const { status, lostAt } = batch.ending!;
  if (lostAt !== undefined) return { code: LOST.code, cause: 'lost', stated: LOST } as const;
  if ((status === 'expired' || status === 'cancelled') && surelyDidNotBegin(batch)) {
    const stated: StatedError = { code: unexecuted[status], message: NOT_BEGUN[status] };
    return { code: stated.code, cause: 'unexecuted', stated } as const;
  }
  return { code: MISSING.code, cause: 'lost', stated: MISSING } as const;
}

/** For a request whose result cannot be had. */
export function unreadable(tried: number): Decision {
  const { code } = UNREADABLE;
  return { kind: 'failed', tried: withTry(tried, 'lost'), code, stated: UNREADABLE, lost: code };
}

/** What to do about a batch that was refused as a whole. Nothing of it ran, nothing was charged. */
export type Refusal =
  /** The enqueued-token limit: the same batch goes again when there may be room. */
  | { kind: 'no_room'; error: BatchLevelError }
  /** A person must act, on the account or on the choice of model; then the same batch goes again. */
  | { kind: 'operator'; scope: OperatorScope; error: BatchLevelError }
  /**
   * The file was not found or not readable for the provider, or the code is unknown: the same batch goes again
   * with a new file, a few times.
   */
  | { kind: 'again'; error: BatchLevelError }
  /** Some requests end with an error of their own; the rest goes again, in two halves if `inHalves`. */
  | { kind: 'repair'; errorOf(index: number): StatedError | undefined; inHalves: boolean };

/** See {@link Refusal}. */
export type Repair = Extract<Refusal, { kind: 'repair' }>;

/** How often the lines that an error names are taken out before the rest is halved: it may name one at a time. */
const MAX_REPAIRS = 3;

const BATCH_FAILED: BatchLevelError = {
  code: 'batch_failed',
  message: 'The provider refused the batch without a reason; no request of it was executed.',
};

/**
 * For a batch with status `failed` of which nothing shows that it was executed: see executed.ts.
 * @param retired what its requests fail with if the model that the provider does not know is gone for good.
 */
export function decideRefusal(
  job: Pick<Job, 'cancelledAt'>,
  batch: Pick<BatchRecord, 'ending' | 'requests' | 'repairs'>,
  rules: ErrorRules,
  retired?: StatedError,
): Refusal {
  if (retired !== undefined) return { kind: 'repair', errorOf: () => retired, inHalves: false };
  const errors = batch.ending?.errors ?? [];
  const ours = errors.find(({ code }) => OUR_ENDS.has(code));
  // A batch that was to be cut is not, once its job is cancelled.
  const isToBeCut = ours?.code === BUDGET_EXHAUSTED || (ours?.code === EXCEEDS_LIMIT && batch.requests > 1);
  const isCut = isToBeCut && job.cancelledAt !== undefined;
  if (ours !== undefined && !isCut) return { kind: 'repair', errorOf: () => ours, inHalves: false };
  const named = new Map<number, BatchLevelError>();
  for (const error of errors) {
    const index = (error.line ?? 0) - 1;
    if (index >= 0 && index < batch.requests && !named.has(index)) named.set(index, error);
  }
  const unnamed = errors.filter(({ line }) => line === undefined || line < 1 || line > batch.requests);
  if (job.cancelledAt !== undefined)
    return { kind: 'repair', errorOf: (index) => named.get(index) ?? CANCELLED, inHalves: false };
  for (const error of unnamed) {
    if (rules.batchErrorKindOf(error) === 'no_room') return { kind: 'no_room', error };
  }
  for (const error of unnamed) {
    const scope = rules.operatorScopeOf(error.code);
    if (scope !== undefined) return { kind: 'operator', scope, error };
  }
  if (named.size > 0) {
    const inHalves = (batch.repairs ?? 0) >= MAX_REPAIRS;
    return { kind: 'repair', errorOf: (index) => named.get(index), inHalves };
  }
  const [error = BATCH_FAILED] = unnamed;
  const kind = rules.batchErrorKindOf(error);
  // Without the number of the line, the batch is halved until the line is alone.
  const isHalved = kind === 'line' || kind === 'too_large';
  if (isHalved && batch.requests > 1) return { kind: 'repair', errorOf: () => undefined, inHalves: true };
  if (kind === 'line') return { kind: 'repair', errorOf: () => error, inHalves: false };
  return { kind: 'again', error };
}

/** What becomes of the requests of a refused batch; none was executed, so this costs none of their tries. */
export function decideRepair(
  entries: Pick<ManifestEntries, 'count' | 'tried'>,
  { errorOf }: Repair,
): Decisions {
  const of = Array.from({ length: entries.count }, (_, index): Decision => {
    const tried = entries.tried(index);
    const error = errorOf(index);
    return error === undefined
      ? { kind: 'retry', tried }
      : { kind: 'failed', tried, code: error.code, stated: error };
  });
  return { of };
}
