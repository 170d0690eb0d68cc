/** What the line of a request says that got no answer, and why. */
import { MINUTE_MS } from '../../../contract/time.ts';
import { ANSWER_TOO_SLOW, NOT_SENT, type StatedError, TIER_NOT_OFFERED } from '../../model/outcome-codes.ts';

/** For a call whose answer never came; `request_timeout` is OpenAI's own code for that. */
export const NO_ANSWER: StatedError = {
  code: 'request_timeout',
  message: 'No answer came; the call may have been charged.',
};

/** For a request that is left when its slice ends. */
export const LEFT: StatedError = { code: NOT_SENT, message: 'This request was not sent in this tier.' };

/** For a request whose model has no flex, on a route that ends there. */
export const MODEL_WITHOUT_FLEX: StatedError = {
  code: TIER_NOT_OFFERED,
  message:
    'OpenAI does not serve this model in flex, the last tier of the route. Add "standard" to its tiers, or name another model.',
};

/** For a call that was waited for as long as any worker can, of a model that needs longer, in the last tier. */
export function tooSlow(waitedMs: number): StatedError {
  const minutes = Math.floor(waitedMs / MINUTE_MS);
  return {
    code: ANSWER_TOO_SLOW,
    message: `No answer came within ${minutes} minutes, the longest that a function can wait. The call may have been charged. Send this request in the batch tier, or ask for a shorter answer.`,
  };
}
