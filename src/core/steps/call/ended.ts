/** What is kept of a response in the background that has ended. */
import type { StatedError } from '../../model/outcome-codes.ts';
import { type Begun, hasEnded } from '../../model/response-status.ts';
import type { BackgroundResponse } from '../../ports/provider.ts';
import type { Created } from './created.ts';
import type { SliceProgress } from './progress.ts';
import { answerLine } from './requests.ts';
import { CANCELLED_IN_BACKGROUND, LEFT, LEFT_IN_BACKGROUND } from './unanswered.ts';

/** What the line of a response says that was queued right before its cancel. */
const LEFT_WHILE_QUEUED: Readonly<Record<Begun, StatedError>> = {
  no: LEFT,
  yes: CANCELLED_IN_BACKGROUND,
  unsaid: LEFT_IN_BACKGROUND,
};

/**
 * Keeps the answer of a response that has ended; its line is judged like any other. One that we cancelled counts as not
 * sent only if it was queued and shows that nothing was used: it may have begun between the look and the cancel.
 * @returns whether it has ended.
 */
export function takeIfEnded(
  progress: SliceProgress,
  { request, leaving }: Pick<Created, 'request' | 'leaving'>,
  { status, begun, requestId, body }: Omit<BackgroundResponse, 'metadata' | 'isStatusKnown'>,
): boolean {
  if (!hasEnded(status)) return false;
  if (status === 'cancelled' && leaving !== undefined)
    progress.addUnanswered(
      request,
      leaving === 'queued' ? LEFT_WHILE_QUEUED[begun] : CANCELLED_IN_BACKGROUND,
    );
  else
    progress.add(request, answerLine(progress.requests[request]!.customId, { status: 200, requestId, body }));
  return true;
}
