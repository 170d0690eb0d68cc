import type { OpenAIEndpoint } from './endpoint.ts';
import { holdsImage, predictImages, readPicturePrompt } from './pictures.ts';

/** Source: API reference, "Images". */
export const imageEdits: OpenAIEndpoint = {
  url: '/v1/images/edits',
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
