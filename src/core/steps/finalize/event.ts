import type { JobCompleted } from '../../../contract/messages.ts';
import type { Receipt } from '../../../contract/receipt.ts';
import { defined } from '../../base/defined.ts';

/** The event that reports a receipt. */
export function eventOf(receipt: Receipt): JobCompleted {
  const { stackId, route, jobId, input, result, duplicateOf, rejection, counts, files } = receipt;
  const { bucket, key, versionId } = input;
  return defined({
    v: 1,
    stackId,
    route,
    jobId,
    bucket,
    key,
    versionId,
    result,
    duplicateOf,
    rejection,
    counts,
    files,
  });
}
