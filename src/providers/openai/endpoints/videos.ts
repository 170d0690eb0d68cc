import { isText } from '../../../core/base/json-value.ts';
import { answerOf } from './answer-size.ts';
import type { OpenAIEndpoint } from './endpoint.ts';
import { readPicturePrompt } from './pictures.ts';

/** Source: API reference, "Videos". */
export const videos: OpenAIEndpoint = {
  url: '/v1/videos',
  hasFlex: false,
  hasPromptCache: false,
  answersLater: true,
  hasStatus: false,
  hasOutputTokens: false,
  readsInputs: false,
  outputLimitOf: () => 0,
  predictOutput: () => answerOf(0),
  readPrompt: readPicturePrompt,
  // A video is made after the answer, which names the job that makes it.
  holdsAnswer: ({ object, id }) => object === 'video' && isText(id),
};
