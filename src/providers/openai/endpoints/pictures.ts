/** What the endpoints have in common that make images and videos from a text and, possibly, other images. */
import { isText, type JsonObject, objectsIn } from '../../../core/base/json-value.ts';
import type { PredictedOutput } from '../../../core/model/predicted-output.ts';
import type { Prompt } from '../../../core/model/prompt.ts';
import { newPrompt } from '../../../core/model/prompt.ts';
import { answerOf, positive } from './answer-size.ts';
import { endpointWithoutText, type OpenAIEndpoint } from './endpoint.ts';

/** A generated image, base64 in the line: a 1536x1024 PNG. */
const IMAGE_BYTES = 4_000_000;
const IMAGE_URL_BYTES = 1_000;

function predictImages({ n, response_format: format }: JsonObject): PredictedOutput {
  return answerOf((positive(n) ?? 1) * (format === 'url' ? IMAGE_URL_BYTES : IMAGE_BYTES));
}

/**
 * Output tokens of one image at the most. OpenAI's guide "Image generation" lists 6,240 for the dearest that gpt-image-1
 * makes (1536x1024, high). What later models and larger sizes take is not established: ours, four times as much.
 */
const IMAGE_TOKENS_AT_MOST = 25_000;

function imageTokensAtMost({ n }: JsonObject): number {
  return Math.ceil(positive(n) ?? 1) * IMAGE_TOKENS_AT_MOST;
}

export function readPicturePrompt({ prompt: text, image, images }: JsonObject): Prompt {
  const prompt = newPrompt();
  if (typeof text === 'string') prompt.texts.push(text);
  if (image !== undefined || images !== undefined) prompt.files++;
  return prompt;
}

function holdsImage({ data }: JsonObject): boolean {
  return objectsIn(data).some(({ b64_json: bytes, url }) => isText(bytes) || isText(url));
}

/** An endpoint that answers with images. Source: API reference, "Images". */
export function imageEndpoint(url: string): OpenAIEndpoint {
  return endpointWithoutText({
    url,
    hasOutputTokens: true,
    outputLimitOf: imageTokensAtMost,
    predictOutput: predictImages,
    readPrompt: readPicturePrompt,
    holdsAnswer: holdsImage,
  });
}
