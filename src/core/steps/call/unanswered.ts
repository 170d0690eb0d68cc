/** What the line of a request says that got no answer, and why. */
import type { Tier } from '../../../contract/route.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import {
  ANSWER_TOO_SLOW,
  BACKGROUND_CANCELLED,
  BACKGROUND_LEFT,
  NOT_SENT,
  RESPONSE_GONE,
  type StatedError,
  TIER_NOT_OFFERED,
} from '../../model/outcome-codes.ts';
import type { ErrorRules } from '../../ports/provider-rules.ts';

/** For a call whose answer never came. */
export function noAnswer(rules: Pick<ErrorRules, 'noAnswer'>): StatedError {
  return { code: rules.noAnswer, message: 'No answer came; the call may have been charged.' };
}

/** For a request that is left when its slice ends. */
export const LEFT: StatedError = { code: NOT_SENT, message: 'This request was not sent in this tier.' };

/** For a request whose model is not served in a tier, on a route that ends there. */
export function notOffered(tier: Tier): StatedError {
  return {
    code: TIER_NOT_OFFERED,
    message: `The provider does not serve this model in ${tier}, the last tier of the route. Add "standard" to its tiers, or name another model.`,
  };
}

/** For a response that was cancelled after it had begun, or may have. */
export const CANCELLED_IN_BACKGROUND: StatedError = {
  code: BACKGROUND_CANCELLED,
  message:
    'Its response was cancelled in the background while it was being made, because the deadline left no more time for it, the job was cancelled, or it had not ended two days after its create. It may have been charged.',
};

/** For a response that was cancelled and was queued right before, if nothing says whether it had begun meanwhile. */
export const LEFT_IN_BACKGROUND: StatedError = {
  code: BACKGROUND_LEFT,
  message:
    'Its response was cancelled in the background and was queued right before. The provider does not say whether it had begun meanwhile, so it may have been charged.',
};

/** For a response whose status is a word that is not known, and that could not be cancelled. */
export const STATUS_UNKNOWN: StatedError = {
  code: BACKGROUND_CANCELLED,
  message:
    'Its response had a status in the background that is not known, for as long as it is waited for, and after its cancel too. It may have been charged.',
};

/** For a response that went on for a day after it was cancelled. */
export const NOT_STOPPED: StatedError = {
  code: BACKGROUND_CANCELLED,
  message:
    'Its response was cancelled in the background and went on for a day all the same, without an answer. It may have been charged.',
};

/** For a response that OpenAI no longer has. */
export const GONE: StatedError = {
  code: RESPONSE_GONE,
  message:
    'The provider no longer has the response that was created for this request in the background; it may have been charged.',
};

/** For a call that was waited for as long as any worker can, of a model that needs longer, in the last tier. */
export function tooSlow(waitedMs: number): StatedError {
  const minutes = Math.floor(waitedMs / MINUTE_MS);
  return {
    code: ANSWER_TOO_SLOW,
    message: `No answer came within ${minutes} minutes, the longest that a function can wait. The call may have been charged. Send this request in the batch tier, or ask for a shorter answer.`,
  };
}
