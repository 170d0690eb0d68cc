import type { BatchRecord } from '../../model/batch.ts';

/** After this many failures in a row: half a day. Ours. */
const MAX_FAILURES = 18;

/** Whether collecting a batch has failed so often that what can be had of its results now is taken as all there is. */
export function isLastTry({ wait }: Pick<BatchRecord, 'wait'>): boolean {
  return (wait?.failures ?? 0) >= MAX_FAILURES;
}
