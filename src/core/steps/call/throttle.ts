import { MINUTE_MS, SECOND_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import type { Ambient } from '../../ports/ambient.ts';
import { CALLS_OF_A_SLICE } from '../../scheduling/pace.ts';

/** Back-off between refused calls. Source: guide "Flex processing" (exponential back-off). */
const CALL_BACKOFF: Backoff = { firstMs: SECOND_MS, maxMs: 30 * SECOND_MS };
/** After this long without a single answer, the worker ends, and the slice waits. */
const MAX_REFUSED_MS = 2 * MINUTE_MS;

/**
 * How many calls of a worker may be under way: halved when the provider has no room for one, and grown back by
 * answers.
 */
export class Throttle {
  readonly #ambient: Pick<Ambient, 'now' | 'nonce'>;
  #active = 0;
  #allowed = CALLS_OF_A_SLICE;
  /** Since the last answer. */
  #refusals = 0;
  #pausedUntil = 0;
  #answeredAt: number;

  constructor(ambient: Pick<Ambient, 'now' | 'nonce'>) {
    this.#ambient = ambient;
    this.#answeredAt = ambient.now();
  }

  /** Calls that are under way. */
  get active(): number {
    return this.#active;
  }

  /** Whether the last thing that the provider said was that it has no room. */
  get isRefused(): boolean {
    return this.#refusals > 0;
  }

  /** Whether it has said so for so long that the slice is to rest. */
  isRefusedForLong(now: number): boolean {
    return this.isRefused && now - this.#answeredAt > MAX_REFUSED_MS;
  }

  hasRoom(now: number): boolean {
    return this.roomAt(now) > 0;
  }

  /** How many calls may begin now. */
  roomAt(now: number): number {
    return now < this.#pausedUntil ? 0 : Math.max(0, Math.floor(this.#allowed) - this.#active);
  }

  /**
   * How long to wait before asking again, in ms: the provider may want more, but the worker's own time and patience
   * run on.
   */
  waitMs(now: number): number {
    return Math.min(Math.max(SECOND_MS, this.#pausedUntil - now), CALL_BACKOFF.maxMs);
  }

  begin(): void {
    this.#active++;
  }

  end(): void {
    this.#active--;
  }

  answered(now: number): void {
    this.#answeredAt = now;
    this.#refusals = 0;
    this.#allowed = Math.min(CALLS_OF_A_SLICE, this.#allowed + 1 / this.#allowed);
  }

  /** The provider had no room, which it does not charge: fewer calls at a time, and later. */
  refused(retryAfterMs = 0): void {
    const now = this.#ambient.now();
    // Calls that were under way together are refused together: that counts once.
    if (now < this.#pausedUntil) return;
    this.#refusals++;
    const backoff = waitAfter(CALL_BACKOFF, this.#refusals);
    this.#allowed = Math.max(1, this.#allowed / 2);
    const jitter = Number.parseInt(this.#ambient.nonce().slice(0, 8), 16) / 2 ** 32;
    this.#pausedUntil = now + Math.ceil(Math.max(retryAfterMs, backoff * (0.5 + jitter / 2)));
  }
}
