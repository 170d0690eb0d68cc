/** What is kept of a response in the background that has ended. */
import { hasEnded } from '../../model/response-status.ts';
import type { BackgroundResponse } from '../../ports/provider.ts';
import type { Created } from './created.ts';
import type { SliceProgress } from './progress.ts';
import { answerLine } from './requests.ts';
import { CANCELLED_IN_BACKGROUND, LEFT } from './unanswered.ts';

/**
 * Keeps the answer of a response that has ended; its line is judged like any other. One that we cancelled counts as not
 * sent if it was queued and shows nothing of having begun; else it may have been charged.
 * @returns whether it has ended.
 */
export function takeIfEnded(
  progress: SliceProgress,
  { request, leaving }: Pick<Created, 'request' | 'leaving'>,
  { status, hasBegun, requestId, body }: Omit<BackgroundResponse, 'metadata'>,
): boolean {
  if (!hasEnded(status)) return false;
  if (status === 'cancelled' && leaving !== undefined)
    progress.addUnanswered(request, leaving === 'queued' && !hasBegun ? LEFT : CANCELLED_IN_BACKGROUND);
  else
    progress.add(request, answerLine(progress.requests[request]!.customId, { status: 200, requestId, body }));
  return true;
}
