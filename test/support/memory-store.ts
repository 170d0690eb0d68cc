import type { SourceObject } from '../../src/core/model/objects.ts';
import type { ObjectStore } from '../../src/core/ports/objects.ts';
import { MemoryObjects } from './memory/objects.ts';

export const BUCKET = 'bucket';

export function memoryStore(): MemoryObjects {
  return new MemoryObjects({ bucket: BUCKET }, { now: () => 1_790_000_000_000 });
}

/** Puts an object and gives the version that stands there now. */
export async function putSource(
  objects: MemoryObjects,
  key: string,
  body: Uint8Array,
): Promise<SourceObject> {
  await objects.put(key, body);
  const head = await objects.head(BUCKET, key);
  return { bucket: BUCKET, key, versionId: head!.versionId! };
}

/** The same store, with a record of what was read; `open` counts streams that have neither ended nor been left. */
export function watchReads(objects: ObjectStore) {
  const reads: { key: string; start: number; end: number | undefined }[] = [];
  const state = { open: 0, mostOpen: 0 };
  async function* watched(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    state.open++;
    state.mostOpen = Math.max(state.mostOpen, state.open);
    try {
      yield* stream;
    } finally {
      state.open--;
    }
  }
  const read: ObjectStore['read'] = async (source, start = 0, end) => {
    reads.push({ key: source.key, start, end });
    return watched(await objects.read(source, start, end));
  };
  return { objects: { read }, reads, state };
}

/** The same store, whose reads come in chunks of the sizes that `cutInto` gives. */
export function chopReads(
  objects: ObjectStore,
  cutInto: (stream: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): ObjectStore {
  return {
    head: (...args) => objects.head(...args),
    get: (...args) => objects.get(...args),
    put: (...args) => objects.put(...args),
    openWrite: (...args) => objects.openWrite(...args),
    pin: (...args) => objects.pin(...args),
    remove: (...args) => objects.remove(...args),
    read: async (...args) => cutInto(await objects.read(...args)),
  };
}
