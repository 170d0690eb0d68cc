/**
 * Inputs that S3 has and does not give: archived, encrypted with a key that may not be used, or forbidden. A person may change
 * that (a restore from a deep archive takes 48 hours), so they are tried for a time, and then rejected with what S3 said.
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

/**
 * Why a file is given up.
 * @param hours how long it may stay unreadable; 0 if its job was cancelled.
 * @returns `undefined` while it is to be tried again.
 */
export function rejectionOf(unreadable: Unreadable, hours: number, now: number): Rejection | undefined {
  if (now < unreadable.since + hours * HOUR_MS) return undefined;
  const { tries, reason } = unreadable;
  const until = hours === 0 ? 'before its job was cancelled' : `in ${hours} hours`;
  return {
    code: 'input_unreadable',
    message: `The file could not be read ${until} (${tries} ${tries === 1 ? 'try' : 'tries'}). ${reason}`,
  };
}

/** Whether it is the job's own file that could not be read. */
export function isOfInput({ key }: ObjectUnreadableError, { input, source }: Job): boolean {
  return key === input.key || key === source.key;
}
