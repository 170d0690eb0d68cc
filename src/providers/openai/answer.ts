/**
 * Whether the body of a 200 holds an answer of any endpoint, and what cut it short. Source of the shapes: API
 * reference.
 */
import { asObject, type JsonObject, objectsIn } from '../../core/base/json-value.ts';
import type { Asked, Cut } from '../../core/model/verdict.ts';
import { ENDPOINTS } from './endpoints/all.ts';

/**
 * Whether there is an answer in the body of a 200; of a response, its status is not looked at. An answer in the shape
 * of another endpoint is one, too: it was paid for, and another try would give no other.
 */
export function holdsAnswer(body: JsonObject, { endpoint: url = '', inputs = 1 }: Asked): boolean {
  const endpoint = ENDPOINTS.get(url);
  // Cut before anything came of it, it was paid for, and would be cut again.
  if (endpoint?.hasStatus && body.status === 'incomplete') return true;
  if (endpoint?.answersLater && endpoint.holdsAnswer(body, inputs)) return true;
  return SHAPES.some((holds) => holds(body, inputs));
}

/** Shapes of answers, each once. */
const SHAPES = [
  ...new Set(
    [...ENDPOINTS.values()].filter(({ answersLater }) => !answersLater).map(({ holdsAnswer }) => holdsAnswer),
  ),
];

/** What cut an answer of text, if anything did. */
export function cutOf(body: JsonObject): Cut | undefined {
  if (body.status === 'incomplete') {
    // Source of the reasons: openai 7.55.0 `Response.IncompleteDetails`; without one it is the token limit, as ever.
    const reason = asObject(body.incomplete_details)?.reason ?? 'max_output_tokens';
    if (reason === 'content_filter') return 'content_filter';
    return reason === 'max_output_tokens' ? 'token_limit' : 'other';
  }
  const reasons = new Set(objectsIn(body.choices).map(({ finish_reason }) => finish_reason));
  if (reasons.has('length')) return 'token_limit';
  return reasons.has('content_filter') ? 'content_filter' : undefined;
}
