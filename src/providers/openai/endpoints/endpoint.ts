import type { JsonObject } from '../../../core/base/json-value.ts';
import type { EndpointRules } from '../../../core/ports/provider-rules.ts';

/** What is OpenAI's in an endpoint beside what the core asks. */
export interface OpenAIEndpoint extends EndpointRules {
  /** Whether a body holds the answer to a request with so many inputs, in the shape of this endpoint. */
  holdsAnswer(body: JsonObject, inputs: number): boolean;
  /** Whether the answer only names a job that makes what was asked for. That shape counts for this endpoint alone. */
  answersLater: boolean;
  /** Whether answers have a `status`, that of one cut short being `incomplete`. */
  hasStatus: boolean;
  /** Whether answers are made of tokens: a count of them is missing where there is none. */
  hasOutputTokens: boolean;
}

/** What endpoints have in common whose answers are no text. */
const NO_TEXT = {
  hasFlex: false,
  hasBackground: false,
  answersLater: false,
  hasStatus: false,
  hasOutputTokens: false,
  readsInputs: false,
  outputLimitOf: () => 0,
} satisfies Partial<OpenAIEndpoint>;

/**
 * An endpoint whose answers are no text: no flex, no cache of prompts, no output tokens.
 * @param own what it has beside that.
 */
export function endpointWithoutText(
  own: Omit<OpenAIEndpoint, keyof typeof NO_TEXT> & Partial<OpenAIEndpoint>,
): OpenAIEndpoint {
  return { ...NO_TEXT, ...own };
}
