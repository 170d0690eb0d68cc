/** Codes and errors of our own, for requests that OpenAI has no error line for. */

/** An error of a request that OpenAI has no line for. */
export interface StatedError {
  code: string;
  message: string;
  param?: string;
}

/** Code of what ends without having been sent, because its job was cancelled. */
export const CANCELLED: StatedError = {
  code: 'cancelled',
  message: 'The job was cancelled before this request could be sent.',
};

/** Code of what cannot be sent any more. */
export const OBJECT_GONE: StatedError = {
  code: 'object_gone',
  message: 'The input was deleted before this request could be sent.',
};

/** Code of what S3 does not give any more, so that it cannot be sent. */
export const INPUT_UNREADABLE: StatedError = {
  code: 'input_unreadable',
  message:
    'S3 has the input and did not give it for as long as it was tried, so this request could not be sent. Make the file readable and drop it again.',
};

/** Code of what no tier of its route can serve. */
export const TIER_NOT_OFFERED = 'tier_not_offered';

/** Code of what is for a model that the provider has shut down, so that no one can have it run. */
export const MODEL_RETIRED = 'model_retired';

/** Our code for a request with more tokens than the limit: OpenAI has none, it would refuse its batch for ever. */
export const EXCEEDS_LIMIT = 'exceeds_enqueued_limit';

/** Why a batch waits, or is cut: its budget is used up. */
export const BUDGET_EXHAUSTED = 'budget_exhausted';

/** Our codes for requests that are not sent because of money: over the budget of their route, or without a price. */
export const BUDGET_EXCEEDED = 'budget_exceeded';

export const UNPRICED_MODEL = 'unpriced_model';

/** Our code for a request of a slice that was not called. */
export const NOT_SENT = 'not_sent';

/** Our code for a call whose answer takes longer than any worker can wait. */
export const ANSWER_TOO_SLOW = 'answer_too_slow';

/** Our code for a response in the background that we cancelled after it had begun, or may have. */
export const BACKGROUND_CANCELLED = 'background_cancelled';

/** Our code for a response in the background that we cancelled while it was queued, as far as anybody knows. */
export const BACKGROUND_LEFT = 'background_left';

/** Our code for a response in the background that is gone before its answer was read. */
export const RESPONSE_GONE = 'response_gone';

/** Our code for a request of a batch that ended without a line for it. */
export const MISSING_FROM_RESULTS = 'missing_from_results';

/** Our code for a request of a batch whose result files could not be read to their end. */
export const RESULT_UNREADABLE = 'result_unreadable';

/** Our code for a request of a batch that the provider will not end any more. Also why such a batch waits for a person. */
export const LOST_BATCH = 'lost_batch';

/** Our codes for requests that failed, though the provider may have charged for them. */
export const PERHAPS_CHARGED: ReadonlySet<string> = new Set([
  ANSWER_TOO_SLOW,
  BACKGROUND_CANCELLED,
  RESPONSE_GONE,
  MISSING_FROM_RESULTS,
  RESULT_UNREADABLE,
  LOST_BATCH,
]);
