import { objectsIn } from '../../../core/base/json-value.ts';
import { newPrompt } from '../../../core/model/prompt.ts';
import { answerOf } from './answer-size.ts';
import { endpointWithoutText } from './endpoint.ts';
import { readContent, readInput } from './prompt-parts.ts';

/** Categories and scores of one input. */
const RESULT_BYTES = 3_000;

/** Source: API reference, "Moderations". */
export const moderations = endpointWithoutText({
  url: '/v1/moderations',
  readsInputs: true,
  predictOutput: ({ input }) => answerOf(RESULT_BYTES * (Array.isArray(input) ? input.length : 1)),
  readPrompt({ input }) {
    const prompt = newPrompt();
    if (Array.isArray(input) && typeof input[0] === 'object') readContent(prompt, input);
    else readInput(prompt, input);
    return prompt;
  },
  holdsAnswer: ({ results }) => objectsIn(results).length > 0,
});
