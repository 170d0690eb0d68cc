import type { ByteStream, ObjectStore } from '../ports/objects.ts';
import type { Manifest, ManifestEntries } from './manifest.ts';
import { type Range, readRanges } from './ranges.ts';

const LINE_FEED = 0x0a;
const CHUNK_BYTES = 256 * 1024;

/**
 * The file that OpenAI gets for a batch: every request's line as it is in the source, each with one line feed; no
 * byte order mark, no blank line, no CR. Its size is `renderedBytes(manifest.entries)`, known before a byte is read.
 */
export async function* renderBatch(
  objects: Pick<ObjectStore, 'read'>,
  manifest: Manifest,
): ByteStream & AsyncGenerator<Uint8Array> {
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let filled = 0;
  for await (const piece of readRanges(objects, manifest.source, rangesOf(manifest.entries))) {
    let from = 0;
    while (from < piece.bytes.length) {
      if (filled === CHUNK_BYTES) {
        yield chunk;
        chunk = Buffer.allocUnsafe(CHUNK_BYTES);
        filled = 0;
      }
      const taken = Math.min(piece.bytes.length - from, CHUNK_BYTES - filled);
      chunk.set(piece.bytes.subarray(from, from + taken), filled);
      filled += taken;
      from += taken;
    }
    if (piece.last) {
      if (filled === CHUNK_BYTES) {
        yield chunk;
        chunk = Buffer.allocUnsafe(CHUNK_BYTES);
        filled = 0;
      }
      chunk[filled++] = LINE_FEED;
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

function* rangesOf(entries: ManifestEntries): Generator<Range> {
  for (let index = 0; index < entries.count; index++) {
    yield { offset: entries.offset(index), length: entries.length(index) };
  }
}
