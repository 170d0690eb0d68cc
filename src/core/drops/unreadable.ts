/**
 * Inputs that S3 has and does not give: archived, encrypted with a key that may not be used, or forbidden. A person
 * may change that (a restore from a deep archive takes 48 hours), so they are tried for a time, and then rejected
 * with what S3 said.
 */
import { HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';
import type { ObjectUnreadableError } from '../base/errors.ts';
import type { Job, Rejection, Unreadable } from '../model/job.ts';

/** The first wait; each is twice as long as the one before, up to an hour. */
const UNREADABLE_BACKOFF: Backoff = { firstMs: MINUTE_MS, maxMs: HOUR_MS };

/** What is recorded after a try. */
export function afterUnreadable(
  before: Unreadable | undefined,
  error: ObjectUnreadableError,
  now: number,
): Unreadable {
  const tries = (before?.tries ?? 0) + 1;
  const { code, message } = error;
  const waitMs = waitAfter(UNREADABLE_BACKOFF, tries);
  return { since: before?.since ?? now, tries, code, reason: message, nextAt: now + waitMs };
}

/** What ends the tries: so many hours of them, or what has happened meanwhile. */
export type EndOfTries = number | 'cancelled' | 'dropped again';

/**
 * Why a file is given up.
 * @returns `undefined` while it is to be tried again.
 */
export function rejectionOf(unreadable: Unreadable, end: EndOfTries, now: number): Rejection | undefined {
  if (typeof end === 'number' && now < unreadable.since + end * HOUR_MS) return undefined;
  const { tries, reason } = unreadable;
  return {
    code: 'input_unreadable',
    message: `The file could not be read ${describeEnd(end)} (${tries} ${tries === 1 ? 'try' : 'tries'}). ${reason}`,
  };
}

function describeEnd(end: EndOfTries): string {
  if (typeof end === 'number') return `in ${end} hours`;
  if (end === 'cancelled') return 'before its job was cancelled';
  return 'before the same content was dropped again, which is run in its place';
}

/** Whether it is the job's own file that could not be read. */
export function isOfInput({ key }: ObjectUnreadableError, { input, source }: Job): boolean {
  return key === input.key || key === source.key;
}
