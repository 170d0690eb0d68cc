import { isText } from '../../../core/base/json-value.ts';
import { answerOf } from './answer-size.ts';
import { endpointWithoutText } from './endpoint.ts';
import { readPicturePrompt } from './pictures.ts';

/** Source: API reference, "Videos". */
export const videos = endpointWithoutText({
  url: '/v1/videos',
  answersLater: true,
  predictOutput: () => answerOf(0),
  readPrompt: readPicturePrompt,
  // A video is made after the answer, which names the job that makes it.
  holdsAnswer: ({ object, id }) => object === 'video' && isText(id),
});
