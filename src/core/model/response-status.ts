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
