import { asObject, type JsonObject } from '../../core/base/json-value.ts';
import { ENDPOINTS } from './endpoints/all.ts';
import { usageOf } from './usage.ts';

/**
 * Whether `usage` says what an answer used: no request is read without tokens, and no text is written without a count
 * of them, which may be 0.
 */
export function isUsageReported(body: JsonObject, endpoint: string): boolean {
  const { inputTokens, outputTokens } = usageOf(body);
  if (inputTokens === 0) return false;
  const { output_tokens, completion_tokens } = asObject(body.usage)!;
  const hasOutput = outputTokens > 0 || output_tokens === 0 || completion_tokens === 0;
  return hasOutput || ENDPOINTS.get(endpoint)?.hasOutputTokens !== true;
}
