/**
 * How often a request has been tried, by what became of each try: three bytes of its manifest entry, one for each
 * cause. Only tries that did not answer the request are counted; one that was not its own fault (no room, a refused
 * file, an operator's error) is not.
 */
import type { Route } from '../../contract/route.ts';

/**
 * Why a try was worth another one. `unexecuted`: OpenAI says that it did not run it. `transient`: it failed while it
 * ran, and errors are not charged. `lost`: OpenAI lost what came of it, and may have charged it.
 */
export type Cause = 'unexecuted' | 'transient' | 'lost';

const SHIFT: Record<Cause, number> = { unexecuted: 0, transient: 8, lost: 16 };
const MOST = 0xff;

/** Tries of a request, all causes together. */
export function triesOf(tried: number): number {
  return ofCause(tried, 'unexecuted') + ofCause(tried, 'transient') + ofCause(tried, 'lost');
}

/** One try more. */
export function withTry(tried: number, cause: Cause): number {
  return ofCause(tried, cause) === MOST ? tried : tried + (1 << SHIFT[cause]);
}

/** Whether a request must not be tried again: too often in all, or too often for one cause. */
export function isExhausted(tried: number, route: Pick<Route, 'maxTries' | 'maxTriesByCause'>): boolean {
  if (triesOf(tried) >= route.maxTries) return true;
  return Object.entries(route.maxTriesByCause).some(
    ([cause, most]) => most !== undefined && ofCause(tried, cause as Cause) >= most,
  );
}

function ofCause(tried: number, cause: Cause): number {
  return (tried >>> SHIFT[cause]) & MOST;
}
