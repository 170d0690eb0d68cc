/** How far a response is that is made in the background, in OpenAI's words; see `BackgroundApi`. */
export const RESPONSE_STATUSES = [
  'queued',
  'in_progress',
  'completed',
  'failed',
  'cancelled',
  'incomplete',
] as const;
export type ResponseStatus = (typeof RESPONSE_STATUSES)[number];

/** Whether nothing more becomes of a response. */
export function hasEnded(status: ResponseStatus): boolean {
  return status !== 'queued' && status !== 'in_progress';
}

/**
 * Whether a response shows that it was begun: by its status, by output, or by tokens used. `unsaid`: one that was
 * cancelled, and says nothing of what it used.
 */
export const BEGUN = ['no', 'yes', 'unsaid'] as const;
export type Begun = (typeof BEGUN)[number];
