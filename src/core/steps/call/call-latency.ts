import { MINUTE_MS } from '../../../contract/time.ts';
import { errorName } from '../../base/own-text.ts';
import { type BatchRecord, tierOf } from '../../model/batch.ts';
import type { LearnedPace, Ledger } from '../../model/ledger.ts';
import type { CallAnswer } from '../../ports/provider.ts';
import {
  type BeginAnswer,
  isTooSlow,
  mayBegin,
  recentLatencies,
  rememberLatencies,
} from '../../scheduling/latency.ts';
import { learn } from '../../scheduling/pace.ts';
import { callsLedgerOf } from '../../scheduling/scopes.ts';
import type { CallDeps } from './deps.ts';

/** Longest wait for an answer. Flex may take 15 minutes (guide "Flex processing"); a Lambda lives no longer. */
const MAX_CALL_MS = 13 * MINUTE_MS;
/** What is kept of the worker's life after the last call must have ended: for the last segment and the record. */
const RESERVE_MS = MINUTE_MS;
/** A call that has less time than this is not begun. */
const MIN_CALL_MS = MINUTE_MS;
/** So many calls must have shown that a model is too slow before a request fails for it: one may just have hung. */
const MIN_TO_CONDEMN = 3;
/** How much of a worker's life its longest call may take: the rest is for reading the slice and for starting late. */
const SHARE_OF_LIFE = 0.9;

type LatencyDeps = Pick<CallDeps, 'quota' | 'ambient' | 'deadline' | 'telemetry'>;

/** How long calls of the model take, and whether what is left of the worker's life is enough for another one. */
export class CallLatency {
  readonly #deps: LatencyDeps;
  readonly #batch: BatchRecord;
  /** The longest that a call of a fresh worker can wait for its answer. */
  readonly #fullMs: number;
  /** How long calls took: as the ledger says, then as this worker measured. */
  #recentMs: readonly number[] = [];
  readonly #measuredMs: number[] = [];
  #pace: LearnedPace | undefined;
  /** When each call that is under way began. */
  readonly #begunAt = new Map<number, number>();
  #hasBegun = false;

  constructor(deps: LatencyDeps, batch: BatchRecord) {
    this.#deps = deps;
    this.#batch = batch;
    const lifeMs = (deps.deadline.remainingMs() - RESERVE_MS) * SHARE_OF_LIFE;
    this.#fullMs = Math.min(MAX_CALL_MS, Math.max(MIN_CALL_MS, lifeMs));
  }

  /** Reads what earlier workers measured. */
  async load(): Promise<void> {
    const { quota, ambient } = this.#deps;
    const { pace } = (await quota.getLedger(callsLedgerOf(this.#batch))) ?? {};
    this.#recentMs = recentLatencies(pace?.latencies, ambient.now());
  }

  /** @param active calls that are under way, of which some may not have been sent yet. */
  mayBegin(now: number, active: number): BeginAnswer {
    const availableMs = this.#deps.deadline.remainingMs() - RESERVE_MS;
    // Whatever is known: a worker that begins nothing would give the slice to the next one for ever.
    if (!this.#hasBegun && availableMs >= MIN_CALL_MS) return 'begin';
    const begun = [...this.#begunAt.values()];
    return mayBegin({
      recentMs: this.#recentMs,
      underWayMs: Array.from({ length: active }, (_, at) => now - (begun[at] ?? now)),
      availableMs,
      fullMs: this.#fullMs,
      minMs: MIN_CALL_MS,
    });
  }

  /** A call has been let through by {@link mayBegin}. */
  begin(): void {
    this.#hasBegun = true;
  }

  /** A call is sent. @returns how long it may wait for its answer, in ms. */
  sent(index: number, now: number): number {
    this.#begunAt.set(index, now);
    return Math.min(MAX_CALL_MS, this.#deps.deadline.remainingMs() - RESERVE_MS);
  }

  /** A call has ended, with an answer or without one. */
  ended(index: number): void {
    this.#begunAt.delete(index);
  }

  /** Whether calls of the model take longer than any worker can wait. */
  get isTooSlow(): boolean {
    return isTooSlow(this.#recentMs, this.#fullMs);
  }

  /** Whether a call that got no answer in `tookMs` is not tried again: another try could wait no longer than it did. */
  isFinal(tookMs: number): boolean {
    return tookMs >= this.#fullMs && this.#recentMs.length >= MIN_TO_CONDEMN && this.isTooSlow;
  }

  /** Notes how long a call took, in ms. */
  measured(ms: number): void {
    this.#measuredMs.push(ms);
    this.#recentMs = [...this.#recentMs, ms];
  }

  /** Notes how long an answer took, in ms, and what it says of the account's limits. */
  learn(ms: number, { requestsPerMinute, tokensPerMinute }: CallAnswer): void {
    this.measured(ms);
    this.#pace = learn(this.#pace, { ms, requestsPerMinute, tokensPerMinute });
  }

  /** Records in the ledger what this worker found out. Answers are kept, whether or not it can be noted. */
  async save(): Promise<void> {
    const measured = this.#measuredMs;
    if (measured.length === 0) return;
    const { quota, ambient, telemetry } = this.#deps;
    const now = ambient.now();
    const rule = (ledger: Ledger | undefined) => ({
      pace: {
        ...ledger?.pace,
        ...this.#pace,
        latencies: rememberLatencies(ledger?.pace?.latencies, measured, now),
      },
    });
    try {
      await quota.changeLedger(callsLedgerOf(this.#batch), rule, ambient.now());
    } catch (error) {
      const { jobId, batchId } = this.#batch;
      const tier = tierOf(this.#batch);
      telemetry.record('pace.discarded', { jobId, batchId, tier, error: errorName(error) });
    }
  }
}
