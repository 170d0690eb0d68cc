import { isText, objectsIn } from '../../../core/base/json-value.ts';
import { newPrompt } from '../../../core/model/prompt.ts';
import { answerOf, positive } from './answer-size.ts';
import { endpointWithoutText } from './endpoint.ts';
import { readInput } from './prompt-parts.ts';

/** One dimension of an embedding as JSON text, such as `-0.012345678,`; four bytes in base64 are five and a third. */
const BYTES_PER_DIMENSION = { float: 14, base64: 5.4 };
/** Dimensions by model. Source: OpenAI's embeddings guide; others are taken to be as large as the largest. */
const DIMENSIONS: ReadonlyMap<unknown, number> = new Map([
  ['text-embedding-3-small', 1_536],
  ['text-embedding-ada-002', 1_536],
  ['text-embedding-3-large', 3_072],
]);
const DEFAULT_DIMENSIONS = 3_072;
/** Index, type and punctuation around one vector. */
const VECTOR_BYTES = 64;

/** Source: API reference, "Embeddings". */
export const embeddings = endpointWithoutText({
  url: '/v1/embeddings',
  readsInputs: true,
  countInputs: ({ input }) => countEmbeddingInputs(input),
  predictOutput(body, inputs) {
    const dimensions = positive(body.dimensions) ?? DIMENSIONS.get(body.model) ?? DEFAULT_DIMENSIONS;
    const each = body.encoding_format === 'base64' ? BYTES_PER_DIMENSION.base64 : BYTES_PER_DIMENSION.float;
    return answerOf(Math.ceil(inputs * (dimensions * each + VECTOR_BYTES)));
  },
  readPrompt(body) {
    const prompt = newPrompt();
    readInput(prompt, body.input);
    return prompt;
  },
  holdsAnswer: ({ data }, inputs) => vectorsIn(data) >= inputs,
});

/** Each text of an array counts, and each array of tokens; a text alone or one array of tokens is one. */
function countEmbeddingInputs(input: unknown): number {
  if (!Array.isArray(input)) return 1;
  return input.length > 0 && typeof input[0] !== 'number' ? input.length : 1;
}

/** Vectors of different inputs. */
function vectorsIn(data: unknown): number {
  const places = new Set<unknown>();
  for (const [place, { embedding, index = place }] of objectsIn(data).entries())
    if (isText(embedding) || (Array.isArray(embedding) && embedding.length > 0)) places.add(index);
  return places.size;
}
