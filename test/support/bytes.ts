/** Byte streams for tests: any bytes in any chunks. */
import fc from 'fast-check';
import type { ByteStream } from '../../src/core/ports/objects.ts';

/** Sizes of successive chunks, used over and over; 0 gives an empty chunk. At least one is positive. */
export const chunkSizesArbitrary = (most: number): fc.Arbitrary<number[]> =>
  fc
    .array(fc.nat({ max: most }), { minLength: 1, maxLength: 6 })
    .map((sizes) => (sizes.some((size) => size > 0) ? sizes : [...sizes, 1]));

/** Cuts bytes into chunks of the given sizes. Every chunk is a copy (`slice` of a Buffer would not be one). */
export function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length]!;
    chunks.push(new Uint8Array(bytes.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

/** A stream of these chunks, in which each chunk is overwritten once the next is asked for, as a buffer pool does. */
export async function* streamOf(chunks: Iterable<Uint8Array>): ByteStream & AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    yield chunk;
    chunk.fill(0x21);
  }
}

/** A stream of these chunks as Buffers that share one memory: each is overwritten by the next. */
export async function* pooled(chunks: readonly Uint8Array[]): ByteStream & AsyncGenerator<Uint8Array> {
  const pool = Buffer.alloc(Math.max(0, ...chunks.map(({ length }) => length)));
  for (const chunk of chunks) {
    pool.set(chunk);
    yield pool.subarray(0, chunk.length);
  }
}

/** Everything that a stream gives. */
export async function collectBytes(stream: ByteStream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

/** What an async iterable gives, as an array. */
export async function collectItems<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}
