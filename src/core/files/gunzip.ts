import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { BatchdropError } from '../base/errors.ts';
import type { ByteStream } from '../ports/objects.ts';

/** The first bytes of every gzip file (RFC 1952, section 2.3.1). Names and content types are not trusted. */
const GZIP_MAGIC = [0x1f, 0x8b] as const;

/** A compressed input may not unpack to more than this, nor to more than {@link MAX_GZIP_RATIO} times its size. */
const MAX_GUNZIPPED_BYTES = 100_000_000_000;
/** JSON lines of prompts shrink 3 to 20 times; deflate cannot shrink anything more than 1,032 times. */
export const MAX_GZIP_RATIO = 200;
/** Below this size the ratio does not matter: a small file of repeated lines is no bomb. */
const RATIO_FROM_BYTES = 50_000_000;

/** The input is compressed and cannot be used. */
export class GzipError extends BatchdropError {
  readonly code: 'gzip_corrupt' | 'gzip_too_large';

  constructor(code: GzipError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export function isGzip(start: Uint8Array): boolean {
  return GZIP_MAGIC.every((byte, index) => start[index] === byte);
}

/**
 * Unpacks a stream, several gzip members in a row included.
 * @throws {GzipError} while reading, if the stream is damaged, cut short, or unpacks to too much.
 */
export async function* gunzip(packed: ByteStream): AsyncGenerator<Uint8Array> {
  let packedBytes = 0;
  /** Position after the last byte that is not 0: tapes and some tools pad with zeros. */
  let meaningfulBytes = 0;
  let sourceError: unknown;
  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of packed) {
        const padding = trailingZeros(chunk);
        if (padding < chunk.length) meaningfulBytes = packedBytes + chunk.length - padding;
        packedBytes += chunk.length;
        // A copy: what reads ahead here asks for more before it has used up what it has.
        yield new Uint8Array(chunk);
      }
    } catch (error) {
      sourceError = error;
      throw error;
    }
  }
  const source = Readable.from(counted(), { objectMode: false });
  const unpacked = createGunzip({ chunkSize: 256 * 1024 });
  source.on('error', (error) => unpacked.destroy(error));
  source.pipe(unpacked);
  let bytes = 0;
  try {
    for await (const chunk of unpacked as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_GUNZIPPED_BYTES) {
        throw new GzipError(
          'gzip_too_large',
          `The file unpacks to more than ${MAX_GUNZIPPED_BYTES} bytes. Split it.`,
        );
      }
      if (bytes > RATIO_FROM_BYTES && bytes > packedBytes * MAX_GZIP_RATIO) {
        throw new GzipError(
          'gzip_too_large',
          `The file unpacks to more than ${MAX_GZIP_RATIO} times its size (${bytes} bytes from ${packedBytes}). Drop it uncompressed if it is meant to.`,
        );
      }
      yield chunk;
    }
    // zlib takes the first byte that begins no member for the end, whatever comes after it.
    if (unpacked.bytesWritten < meaningfulBytes) {
      throw new GzipError(
        'gzip_corrupt',
        `The gzip data ends after ${unpacked.bytesWritten} of ${packedBytes} bytes, but something else follows. Was another file appended?`,
      );
    }
  } catch (error) {
    if (sourceError !== undefined) throw sourceError;
    if (error instanceof GzipError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new GzipError(
      'gzip_corrupt',
      `The file begins like gzip but cannot be unpacked (${reason}) after ${bytes} unpacked bytes. Was the upload cut short?`,
      { cause: error },
    );
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

function trailingZeros(chunk: Uint8Array): number {
  let zeros = 0;
  while (zeros < chunk.length && chunk[chunk.length - 1 - zeros] === 0) zeros++;
  return zeros;
}
