/** What the poll says of the state of the pipeline: what it reads anyway, once a run. */
import type { EventFields } from '../../../contract/events.ts';
import { DAY_MS, SECOND_MS } from '../../../contract/time.ts';
import type { BatchRecord } from '../../model/batch.ts';
import type { Prices } from '../../pricing/prices.ts';

/** The event as the steps of a run fill it in. */
export type Sample = Partial<EventFields<'pipeline.sampled'>>;

/** The shortest time between two samples of a worker: on a laptop, polls follow each other twice a second. */
const SAMPLED_EVERY_MS = 55 * SECOND_MS;

/** Remembers when a worker sampled last; another worker's sample more does no harm. */
export class Sampler {
  #dueAt = Number.NEGATIVE_INFINITY;

  /** Whether it is time for a sample, which then counts as taken. @param now epoch milliseconds. */
  takeTurn(now: number): boolean {
    if (now < this.#dueAt) return false;
    this.#dueAt = now + SAMPLED_EVERY_MS;
    return true;
  }
}

/** What is known of batches that OpenAI has not ended. @param now epoch milliseconds. */
export function sampleOfLive(live: Iterable<BatchRecord>, now: number): Sample {
  const counts = { atOpenAI: 0, unreachable: 0, late: 0 };
  for (const { remote, ladder, hold } of live) {
    counts.atOpenAI++;
    if (remote?.goneAt !== undefined || hold?.reason === LOST) counts.unreachable++;
    if (ladder?.deadlineAt !== undefined && now > ladder.deadlineAt) counts.late++;
  }
  return counts;
}

/** See `lost` in lifecycle/lost.ts: OpenAI keeps the batch unfinished long past its time, or does not know it. */
const LOST = 'lost_batch';

/** Whole days since the price table's day. @param now epoch milliseconds. */
export function pricesAgeDays(prices: Pick<Prices, 'statedAt'>, now: number): number {
  return Math.max(0, Math.floor((now - Date.parse(prices.statedAt(now).date)) / DAY_MS));
}
