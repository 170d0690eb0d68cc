import { release } from '../../adapters/body-chunks.ts';
import { IncompleteDownloadError } from '../../core/base/errors.ts';
import { systemCodeOf } from './request-error.ts';

/** The length of a whole file, where the answer reports it. */
export function contentLengthOf(response: Response): number | undefined {
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  const length = response.headers.get('content-length') ?? '';
  return encoding === 'identity' && /^\d+$/.test(length) ? Number(length) : undefined;
}

/** What part of a file a 206 brings. Source: RFC 9110, section 14.4. */
export function contentRangeOf(
  response: Response,
): { start: number; end: number; total: number } | undefined {
  if (response.status !== 206) return undefined;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match === null
    ? undefined
    : { start: Number(match[1]), end: Number(match[2]), total: Number(match[3]) };
}

/**
 * The bytes from `from` on of a file whose body begins at `start`, which is not later.
 * @throws {IncompleteDownloadError} if the body breaks off.
 */
export async function* readBody(
  body: ReadableStream<Uint8Array> | null,
  action: string,
  { bytes, start, from }: { bytes: number | undefined; start: number; from: number },
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  let read = start;
  try {
    for await (const chunk of body) {
      const skipped = Math.min(Math.max(0, from - read), chunk.length);
      read += chunk.length;
      if (skipped < chunk.length) yield chunk.subarray(skipped);
      release(chunk);
    }
  } catch (error) {
    throw new IncompleteDownloadError(
      `${action} broke off after ${read} of ${bytes ?? 'an unknown number of'} bytes (${systemCodeOf(error) ?? 'no code'})`,
    );
  }
}
