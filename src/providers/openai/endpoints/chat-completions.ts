import { asObject, isText, type JsonObject, objectsIn } from '../../../core/base/json-value.ts';
import { newPrompt } from '../../../core/model/prompt.ts';
import { answerOf, positive, textBytes, timesChoices } from './answer-size.ts';
import type { OpenAIEndpoint } from './endpoint.ts';
import { PROMPT_CACHE } from './prompt-cache.ts';
import { arrayOf, readMessage, readSchema, readTools } from './prompt-parts.ts';

/** Source: API reference, "Chat completions". */
export const chatCompletions: OpenAIEndpoint = {
  url: '/v1/chat/completions',
  // Source: guide "Flex processing".
  hasFlex: true,
  hasBackground: false,
  promptCache: PROMPT_CACHE,
  answersLater: false,
  hasStatus: false,
  hasOutputTokens: true,
  readsInputs: false,
  outputLimitOf: (body) =>
    timesChoices(positive(body.max_completion_tokens) ?? positive(body.max_tokens), body),
  predictOutput: (body) => answerOf(textBytes(body, body.max_completion_tokens ?? body.max_tokens)),
  readPrompt(body) {
    const prompt = newPrompt();
    readTools(prompt, body.tools, body.functions);
    readSchema(prompt, body.response_format);
    for (const message of arrayOf(body.messages)) readMessage(prompt, message);
    return prompt;
  },
  holdsAnswer: ({ choices }) => objectsIn(choices).some(holdsMessage),
};

/** A message that says something, or nothing at its proper end: then the content is empty, or `null`. */
function holdsMessage({ message, finish_reason }: JsonObject): boolean {
  const { content, refusal, tool_calls, function_call, audio } = asObject(message) ?? {};
  if (typeof content === 'string' || (Array.isArray(content) && content.length > 0)) return true;
  if (isText(refusal) || asObject(function_call) !== undefined || asObject(audio) !== undefined) return true;
  if (objectsIn(tool_calls).length > 0) return true;
  return content === null && isText(finish_reason);
}
