import { objectsIn } from '../../../core/base/json-value.ts';
import { newPrompt } from '../../../core/model/prompt.ts';
import { answerOf, positive, textBytes, timesChoices } from './answer-size.ts';
import type { OpenAIEndpoint } from './endpoint.ts';
import { readInput } from './prompt-parts.ts';

/** Source: API reference, legacy completions: max_tokens defaults to 16. */
const DEFAULT_MAX_TOKENS = 16;

/** Source: API reference, legacy completions. */
export const completions: OpenAIEndpoint = {
  url: '/v1/completions',
  hasFlex: false,
  hasBackground: false,
  answersLater: false,
  hasStatus: false,
  hasOutputTokens: true,
  readsInputs: false,
  outputLimitOf: (body) => timesChoices(positive(body.max_tokens) ?? DEFAULT_MAX_TOKENS, body),
  predictOutput: (body) => ({
    ...answerOf(textBytes(body, body.max_tokens ?? DEFAULT_MAX_TOKENS)),
    repeatsRequest: body.echo === true,
  }),
  readPrompt(body) {
    const prompt = newPrompt();
    readInput(prompt, body.prompt);
    if (typeof body.suffix === 'string') prompt.texts.push(body.suffix);
    return prompt;
  },
  holdsAnswer: ({ choices }) => objectsIn(choices).some(({ text }) => typeof text === 'string'),
};
