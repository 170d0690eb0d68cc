/** The bytes that a scan reads, and the object that its manifests and runs point into. */
import { defined } from '../../base/defined.ts';
import { gunzip } from '../../files/gunzip.ts';
import { workKeys } from '../../files/keys.ts';
import { buffersFor, readInParallel } from '../../files/parallel-read.ts';
import type { Job } from '../../model/job.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { ByteStream, ObjectStore } from '../../ports/objects.ts';
import type { Found, LinesState, ScanDeps } from './scan-state.ts';

/** Bytes that one byte of gzip unpacks to at most. Source: zlib, "Technical details". */
const MAX_DEFLATE_RATIO = 1_032;

/** The bytes of the source from the state's next line on, unpacked. */
export function readSource(
  deps: ScanDeps,
  job: Job,
  { compressed, next }: LinesState,
  buffers: readonly Uint8Array[],
): ByteStream {
  const { source } = job;
  const { size } = job.input;
  if (!compressed)
    return readInParallel(deps.objects, source, size, { ...rangesFrom(deps, next.offset), buffers });
  // Deflate cannot be read from the middle: what was looked at is unpacked once more.
  return skip(gunzip(readInParallel(deps.objects, source, size, rangesFrom(deps, 0))), next.offset);
}

function rangesFrom({ sizes: { rangeBytes, rangesInFlight } = {} }: ScanDeps, start: number) {
  return defined({
    start,
    rangeBytes,
    inFlight: rangesInFlight,
  });
}

async function* skip(stream: ByteStream, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of stream) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

/** What manifests and runs of this attempt point into. */
export function sourceOf(deps: ScanDeps, job: Job, { attempt, spooled }: Found): SourceObject {
  if (!spooled) return job.source;
  return { bucket: job.source.bucket, key: workKeys(deps.layout, job.jobId).spool(attempt) };
}

/** What the line scanner is to know of the source: how long a line may be, and the memory that is read into. */
export function scannerInputOf(
  deps: ScanDeps,
  { input }: Job,
  { compressed, next }: LinesState,
): { sourceBytes: number; slots?: { count: number; bytes: number } } {
  if (compressed) return { sourceBytes: input.size * MAX_DEFLATE_RATIO };
  return { sourceBytes: input.size, slots: buffersFor(input.size, rangesFrom(deps, next.offset)) };
}

/** The first two bytes of the source, which say whether it is compressed; fewer if it has fewer. */
export async function firstBytes(objects: ObjectStore, source: SourceObject): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await objects.read(source, 0, 2)) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}
