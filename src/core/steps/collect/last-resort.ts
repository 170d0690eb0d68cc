import {
  CorruptWorkFileError,
  IncompleteDownloadError,
  ObjectGoneError,
  OutOfTimeError,
} from '../../base/errors.ts';
import type { BatchRecord } from '../../model/batch.ts';

/** After this many failures in a row: half a day. Ours. */
const MAX_FAILURES = 18;

/** Whether collecting a batch has failed so often that what can be had of its results now is taken as all there is. */
export function isLastTry({ wait }: Pick<BatchRecord, 'wait'>): boolean {
  return (wait?.failures ?? 0) >= MAX_FAILURES;
}

/**
 * Whether a fetched file that could not be read in a last try is left out of what is used. Where the file itself is not
 * as it should be, it is; where our own storage failed to give it, answers that were paid for are in it: that is tried
 * for as long again.
 */
export function isLeftOut({ wait }: Pick<BatchRecord, 'wait'>, error: unknown): boolean {
  const isOfFile = [IncompleteDownloadError, CorruptWorkFileError, ObjectGoneError, OutOfTimeError].some(
    (kind) => error instanceof kind,
  );
  return isOfFile || (wait?.failures ?? 0) >= 2 * MAX_FAILURES;
}
