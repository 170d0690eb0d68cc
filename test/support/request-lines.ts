/** Request lines as people write them. */

/** A request that is valid in every respect, with changes on top. */
export function request(customId: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'gpt-6-luna', messages: [{ role: 'user', content: 'Say hello.' }] },
    ...changes,
  };
}

/** The same as one line without its line feed. */
export function requestLine(customId: string, changes: Record<string, unknown> = {}): string {
  return JSON.stringify(request(customId, changes));
}
