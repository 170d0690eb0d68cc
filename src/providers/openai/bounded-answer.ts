import { OpenAIRequestError } from './request-error.ts';

/**
 * The largest answer that is read whole. Ours: pages of batches and files have less than a MiB, and a function of
 * 512 MB holds one of this size as bytes, as text and parsed.
 */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/**
 * The same answer, whose body fails with {@link OpenAIRequestError} once it has more than `maxBytes`, so that a service
 * that sends without end does not use up the memory of the function. An answer of a file, which is read as it comes,
 * is left alone.
 * @param asked the URL that was asked for: a file may come from another one.
 */
export function boundedAnswer(asked: string, answer: Response, maxBytes = MAX_ANSWER_BYTES): Response {
  const { pathname } = new URL(asked);
  if (answer.body === null || (answer.ok && pathname.endsWith('/content'))) return answer;
  let bytes = 0;
  const body = answer.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length;
        if (bytes <= maxBytes) return controller.enqueue(chunk);
        throw new OpenAIRequestError(
          `${pathname} was answered with more than ${maxBytes} bytes: unknown whether OpenAI acted on it`,
        );
      },
    }),
  );
  const { status, statusText, headers } = answer;
  return new Response(body, { status, statusText, headers });
}
