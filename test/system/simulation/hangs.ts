/** Calls of OpenAI that never come back, as a connection may that is open and silent: see the kind `hanging-calls`. */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { Random } from './random.ts';
import type { Scenario } from './scenario.ts';
import type { HandlerName } from './stack.ts';

/** The longest that each kind of call takes, if nothing ends it sooner (`BoxedBatches`). */
const LONGEST_MS: Readonly<Record<string, number>> = {
  'batches.createBatch': 150 * SECOND_MS,
  'batches.uploadFile': 870 * SECOND_MS,
};
const LONGEST_READ_MS = 120 * SECOND_MS;

/** Three tries of two minutes, as the client of OpenAI would make them. */
const UNBOXED_MS = 6 * MINUTE_MS;

/** After how long its caller gives up a call that hangs. */
export function givenUpAfterMs(name: string, leftMs: number): number {
  if (leftMs === Number.POSITIVE_INFINITY) return UNBOXED_MS;
  return Math.ceil(Math.max(0, Math.min(LONGEST_MS[name] ?? LONGEST_READ_MS, leftMs)));
}

/** The longest regime: longer than a batch runs, so that all of a job may be caught in one. */
const MAX_REGIME_MS = 48 * HOUR_MS;
/**
 * The longest regime for collect, which takes what it can read as all there is once it has failed for half a day
 * (`isLastTry`). A third of that, because other faults before and after a regime count as failures in a row, too.
 */
export const MAX_COLLECT_REGIME_MS = 4 * HOUR_MS;

/** A time after the start in which every call of this name hangs. */
interface Regime {
  name: string;
  from: number;
  until: number;
}

export class Hangs {
  readonly #random: Random;
  readonly #calmAt: number;
  /** Of each call. */
  readonly #rate: number;
  readonly #regime: Regime | undefined;

  constructor(random: Random, { kinds, calmAt }: Pick<Scenario, 'kinds' | 'calmAt'>) {
    this.#random = random;
    this.#calmAt = calmAt;
    const isOn = kinds.has('hanging-calls');
    this.#rate = isOn && random.chance(0.7) ? random.spread(3, 40) / 1_000 : 0;
    if (!isOn || random.chance(0.4)) return;
    const from = random.spread(MINUTE_MS, calmAt / 2);
    const name = random.pick([
      'batches.listBatches',
      'batches.getBatch',
      'batches.readFile',
      'batches.createBatch',
      'batches.uploadFile',
    ]);
    this.#regime = { name, from, until: from + random.spread(HOUR_MS, MAX_REGIME_MS) };
  }

  /**
   * @param at milliseconds after the start.
   * @param handler who makes the call.
   */
  isHanging(name: string, at: number, handler: HandlerName): boolean {
    if (!name.startsWith('batches.')) return false;
    const { name: hanging, from, until } = this.#regime ?? { name: '', from: 0, until: 0 };
    const longestMs = handler === 'collect' ? MAX_COLLECT_REGIME_MS : MAX_REGIME_MS;
    if (name === hanging && at >= from && at < Math.min(until, from + longestMs, this.#calmAt)) return true;
    return this.#rate > 0 && at < this.#calmAt && this.#random.chance(this.#rate);
  }
}
