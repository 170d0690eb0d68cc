/** Our code for a request with more tokens than the limit: OpenAI has none, it would refuse its batch for ever. */
export const EXCEEDS_LIMIT = 'exceeds_enqueued_limit';
