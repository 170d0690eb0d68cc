/** Whether the body of a 200 holds an answer of any endpoint, and what cut it short. Source of the shapes: API reference. */
import { asObject, isText, type JsonObject, objectsIn } from '../base/json-value.ts';

/** What is known of a request, to judge its answer by. */
export interface Asked {
  endpoint?: string | undefined;
  /** How many inputs an embeddings request has, each of which gets a vector. Absent: at least one. */
  inputs?: number | undefined;
}

/** What ended an answer before its time. It is an answer that was paid for all the same. */
export type Cut = 'token_limit' | 'content_filter' | 'other';

/**
 * Whether there is an answer in the body of a 200; of a response, its status is not looked at. An answer in the shape of another
 * endpoint is one, too: it was paid for, and another try would give no other.
 */
export function holdsAnswer(body: JsonObject, { endpoint, inputs = 1 }: Asked): boolean {
  // Cut before anything came of it, it was paid for, and would be cut again.
  if (endpoint === '/v1/responses' && body.status === 'incomplete') return true;
  // A video is made after the answer, which names the job that makes it.
  if (endpoint === '/v1/videos' && body.object === 'video' && isText(body.id)) return true;
  return SHAPES.some((holds) => holds(body, inputs));
}

/** What cut an answer of `/v1/responses`, `/v1/chat/completions` or `/v1/completions`, if anything did. */
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

/** Whether a body holds the answer to a request with so many inputs. */
type Holds = (body: JsonObject, inputs: number) => boolean;

const holdsOutput: Holds = ({ output, output_text: text }) => objectsIn(output).length > 0 || isText(text);
const holdsMessages: Holds = ({ choices }) => objectsIn(choices).some(holdsMessage);
const holdsTexts: Holds = ({ choices }) => objectsIn(choices).some(({ text }) => typeof text === 'string');
const holdsVectors: Holds = ({ data }, inputs) => vectorsIn(data) >= inputs;
const holdsModeration: Holds = ({ results }) => objectsIn(results).length > 0;
const holdsImage: Holds = ({ data }) =>
  objectsIn(data).some(({ b64_json: bytes, url }) => isText(bytes) || isText(url));

const SHAPES: readonly Holds[] = [
  holdsOutput,
  holdsMessages,
  holdsTexts,
  holdsVectors,
  holdsModeration,
  holdsImage,
];

/** A message that says something, or nothing at its proper end: then the content is empty, or `null`. */
function holdsMessage({ message, finish_reason }: JsonObject): boolean {
  const { content, refusal, tool_calls, function_call, audio } = asObject(message) ?? {};
  if (typeof content === 'string' || (Array.isArray(content) && content.length > 0)) return true;
  if (isText(refusal) || asObject(function_call) !== undefined || asObject(audio) !== undefined) return true;
  if (objectsIn(tool_calls).length > 0) return true;
  return content === null && isText(finish_reason);
}

/** Vectors of different inputs. */
function vectorsIn(data: unknown): number {
  const places = new Set<unknown>();
  for (const [place, { embedding, index = place }] of objectsIn(data).entries())
    if (isText(embedding) || (Array.isArray(embedding) && embedding.length > 0)) places.add(index);
  return places.size;
}
