import type { JobCompleted } from '../../../contract/messages.ts';
import type { Receipt } from '../../../contract/receipt.ts';

/** The event that reports a receipt. */
export function eventOf(receipt: Receipt): JobCompleted {
  const { stackId, route, jobId, input, result, duplicateOf, rejection, counts, files } = receipt;
  const { bucket, key, versionId } = input;
  return {
    v: 1,
    stackId,
    route,
    jobId,
    bucket,
    key,
    ...(versionId === undefined ? {} : { versionId }),
    result,
    ...(duplicateOf === undefined ? {} : { duplicateOf }),
    ...(rejection === undefined ? {} : { rejection }),
    counts,
    files,
  };
}
