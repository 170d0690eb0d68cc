import { isText, type JsonObject, objectsIn } from '../../../core/base/json-value.ts';
import { newPrompt } from '../../../core/model/prompt.ts';
import { answerOf, positive, textBytes, timesChoices } from './answer-size.ts';
import type { OpenAIEndpoint } from './endpoint.ts';
import { PROMPT_CACHE } from './prompt-cache.ts';
import { arrayOf, fieldsOf, readMessage, readSchema, readTools } from './prompt-parts.ts';

/** Source: API reference, "Responses". */
export const responses: OpenAIEndpoint = {
  url: '/v1/responses',
  // Source: guide "Flex processing".
  hasFlex: true,
  // Source: guide "Background mode" (2026-11).
  hasBackground: true,
  promptCache: PROMPT_CACHE,
  answersLater: false,
  hasStatus: true,
  hasOutputTokens: true,
  readsInputs: false,
  outputLimitOf: (body) => timesChoices(positive(body.max_output_tokens), body),
  // It repeats instructions and tools.
  predictOutput: (body) => ({ ...answerOf(textBytes(body, body.max_output_tokens)), repeatsRequest: true }),
  readPrompt(body) {
    const prompt = newPrompt();
    readTools(prompt, body.tools);
    readSchema(prompt, fieldsOf(body.text)?.format);
    if (typeof body.instructions === 'string')
      readMessage(prompt, { role: 'system', content: body.instructions });
    if (typeof body.input === 'string') readMessage(prompt, { role: 'user', content: body.input });
    else for (const item of arrayOf(body.input)) readMessage(prompt, item);
    if (refersToStored(body)) {
      prompt.isStored = true;
      prompt.opaqueAt = 0;
    }
    return prompt;
  },
  holdsAnswer: ({ output, output_text: text }) => objectsIn(output).length > 0 || isText(text),
};

function refersToStored({ prompt, previous_response_id: previous, conversation }: JsonObject): boolean {
  return [prompt, previous, conversation].some((stored) => stored !== undefined && stored !== null);
}
