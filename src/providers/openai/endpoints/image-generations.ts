import type { OpenAIEndpoint } from './endpoint.ts';
import { holdsImage, predictImages, readPicturePrompt } from './pictures.ts';

/** Source: API reference, "Images". */
export const imageGenerations: OpenAIEndpoint = {
  url: '/v1/images/generations',
  hasFlex: false,
  hasPromptCache: false,
  answersLater: false,
  hasStatus: false,
  hasOutputTokens: false,
  readsInputs: false,
  outputLimitOf: () => 0,
  predictOutput: predictImages,
  readPrompt: readPicturePrompt,
  holdsAnswer: holdsImage,
};
