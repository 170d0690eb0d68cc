import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { embeddings } from './embeddings.ts';
import type { OpenAIEndpoint } from './endpoint.ts';
import { imageEdits } from './image-edits.ts';
import { imageGenerations } from './image-generations.ts';
import { moderations } from './moderations.ts';
import { responses } from './responses.ts';
import { videos } from './videos.ts';

/**
 * Every endpoint that a batch may address, by URL: a new one is a file in this folder, and a line here.
 * Source: openai 7.55.0 `resources/batches.ts` (`BatchCreateParams.endpoint`).
 */
export const ENDPOINTS: ReadonlyMap<string, OpenAIEndpoint> = new Map(
  [
    responses,
    chatCompletions,
    embeddings,
    completions,
    moderations,
    imageGenerations,
    imageEdits,
    videos,
  ].map((endpoint) => [endpoint.url, endpoint]),
);
