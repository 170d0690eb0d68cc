/**
 * The endpoints that a batch may address.
 * Source: openai 7.55.0 `resources/batches.ts` (`BatchCreateParams.endpoint`).
 */
export const ENDPOINTS = [
  '/v1/responses',
  '/v1/chat/completions',
  '/v1/embeddings',
  '/v1/completions',
  '/v1/moderations',
  '/v1/images/generations',
  '/v1/images/edits',
  '/v1/videos',
] as const;
export type Endpoint = (typeof ENDPOINTS)[number];

/** Endpoints with a flex tier. Source: guide "Flex processing". */
export const WITH_FLEX: ReadonlySet<string> = new Set<Endpoint>(['/v1/chat/completions', '/v1/responses']);

const known: ReadonlySet<string> = new Set(ENDPOINTS);

export function isEndpoint(url: unknown): url is Endpoint {
  return typeof url === 'string' && known.has(url);
}
