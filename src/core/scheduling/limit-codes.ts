/** Our code for a request with more tokens than the limit: OpenAI has none, it would refuse its batch for ever. */
export const EXCEEDS_LIMIT = 'exceeds_enqueued_limit';
/** Why a batch waits, or is cut: its budget is used up. */
export const BUDGET_EXHAUSTED = 'budget_exhausted';
/** Our codes for requests that are not sent because of money: over the budget of their route, or without a price. */
export const BUDGET_EXCEEDED = 'budget_exceeded';
export const UNPRICED_MODEL = 'unpriced_model';
/** OpenAI's code for a batch that would exceed the enqueued-token limit (openai-python#2084). */
export const TOKEN_LIMIT_EXCEEDED = 'token_limit_exceeded';
