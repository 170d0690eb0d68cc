import type { BatchRecord } from '../../model/batch.ts';
import type { BatchChanges } from '../../ports/records.ts';

const FIRST_WAIT_MS = 2_000;
const MAX_WAIT_MS = 60_000;
/**
 * How often one file is tried: for a quarter of an hour. Ours: services process a file in seconds, large ones in minutes; what
 * is not there by then was lost, and a new one is uploaded.
 */
const MAX_TRIES = 20;

/** What a batch that was just uploaded again waits before its create, because OpenAI did not find its last file (ms). */
export const RESENT_FILE_WAIT_MS = 60_000;

/** @param tries how many times a file was not ready, from 1: 2 seconds, then twice as long each time, up to a minute. */
function youngFileWaitMs(tries: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** (tries - 1), MAX_WAIT_MS);
}

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
  const waitMs = youngFileWaitMs(tries);
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
