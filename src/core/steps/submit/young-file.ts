import { MINUTE_MS, SECOND_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import type { BatchRecord } from '../../model/batch.ts';
import type { BatchChanges } from '../../ports/records.ts';

/** 2 seconds, then twice as long each time, up to a minute. */
const YOUNG_FILE_BACKOFF: Backoff = { firstMs: 2 * SECOND_MS, maxMs: MINUTE_MS };
/**
 * How often one file is tried: for a quarter of an hour. Ours: services process a file in seconds, large ones in minutes; what
 * is not there by then was lost, and a new one is uploaded.
 */
const MAX_TRIES = 20;

/** What a batch that was just uploaded again waits before its create, because OpenAI did not find its last file (ms). */
export const RESENT_FILE_WAIT_MS = 60_000;

/**
 * `submitting -> uploaded`, after a refused create, of which surely nothing was made.
 * @returns the changes to the record and how long it waits; `undefined` if the file was tried often enough.
 */
export function withSameFile(
  { fileTries = 0 }: Pick<BatchRecord, 'fileTries'>,
  now: number,
): { changes: { [Key in keyof BatchChanges]: BatchChanges[Key] | undefined }; waitMs: number } | undefined {
  const tries = fileTries + 1;
  if (tries > MAX_TRIES) return undefined;
  const waitMs = waitAfter(YOUNG_FILE_BACKOFF, tries);
  return {
    waitMs,
    changes: {
      state: 'uploaded',
      fileTries: tries,
      intentAt: undefined,
      notBefore: now + waitMs,
      lastError: 'OpenAI does not have the input file ready yet',
      claim: undefined,
      claimedUntil: undefined,
    },
  };
}
