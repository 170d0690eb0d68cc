/** What `explain`, `status` and `watch` read of a stack, as tests of their views need it. */
import { pricesOf } from '../../../../cli/options/prices.ts';
import type { ExplainFacts } from '../../../../cli/view/explain.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { jobOf } from '../../../support/records.ts';

const prices = await pricesOf({});

/**
 * A running job of these batches, in a stack without limits, suspensions, pauses and dead letters.
 *
 * @param now epoch milliseconds.
 * @param others what a test says otherwise.
 */
export function explainFactsOf(
  batches: BatchRecord[],
  now: number,
  others: Partial<ExplainFacts> = {},
): ExplainFacts {
  return {
    key: 'input/films.jsonl',
    records: { job: jobOf('j', { state: 'running' }), batches },
    ledgers: new Map(),
    suspensions: [],
    pauses: [],
    backlog: [],
    deadLetters: [],
    setKeyCommandOf: () => undefined,
    prices,
    now,
    ...others,
  };
}
