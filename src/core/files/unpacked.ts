import type { ByteStream } from '../ports/objects.ts';
import { gunzip, isGzip } from './gunzip.ts';

/** A stream as it is, or unpacked if it begins like gzip. */
export async function unpacked(stream: ByteStream): Promise<ByteStream> {
  const chunks = stream[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  for (let bytes = 0; bytes < 2; ) {
    const { done, value } = await chunks.next();
    if (done) break;
    head.push(new Uint8Array(value));
    bytes += value.length;
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield* head;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  }
  return isGzip(Buffer.concat(head).subarray(0, 2)) ? gunzip(whole()) : whole();
}
