/** One merge over all id runs ({@link ./id-runs.ts}): the hashes that occur in them more than once, ascending. */
import { crc32 } from 'node:zlib';
import { CorruptWorkFileError, ObjectGoneError } from '../../base/errors.ts';
import type { ByteStream, ObjectStore } from '../../ports/objects.ts';
import { HASH_BYTES, type IdRun, type SortedIds } from './id-runs.ts';

/** Memory for the pages of all runs during the merge, two for each, and the least that is worth a GET. */
const PAGES_BYTES = 32 * 1024 * 1024;
const MIN_PAGE_BYTES = 64 * 1024;
/** And what is read at most before any of it is used: a merge may be broken off soon. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
/** Runs whose first pages are read side by side. */
const OPENED_AT_A_TIME = 16;
/** Hashes between two looks at the clock. */
const LOOKS_EVERY = 32_768;

/** How far a merge is: plain data. */
export interface MergeState {
  /** What it has taken of each run, in their order; what was in memory is the last run once that is written out. */
  taken: TakenOfRun[];
  /** The hash that was taken last, and whether it was found to occur more than once. */
  last: [hash0: number, hash1: number];
  isRepeated: boolean;
}

interface TakenOfRun {
  hashes: number;
  /** CRC-32 of them. */
  crc: number;
}

/** Some of the hashes that occur more than once, ascending. */
export interface DuplicatedHashes {
  /** Pairs of `hash0` and `hash1`. */
  words: Uint32Array<ArrayBuffer>;
  /** Where to continue. */
  merge: MergeState;
  /**
   * Why there are no more of them: all runs are at their end, as many as were asked for were found, or time is over.
   */
  end: 'all' | 'most' | 'over';
}

/**
 * Merges all runs and gives the next hashes that occur in them more than once.
 * @param options.from where an earlier call ended. Default: the beginning.
 * @param options.most how many at most.
 * @param options.isOver asked now and then, each time after some work; true ends the call.
 * @param options.looksEvery hashes taken between two such questions. Default: 32,768, a few milliseconds.
 * @param options.pageBytes bytes of a run that are read at a time, whole hashes. Default: what 32 MB allow, 4 MB at
 *   most.
 * @throws {CorruptWorkFileError} if a run is damaged.
 */
export async function findDuplicatedHashes(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  ids: SortedIds,
  options: {
    from?: MergeState | undefined;
    most: number;
    isOver(): boolean;
    looksEvery?: number | undefined;
    pageBytes?: number;
  },
): Promise<DuplicatedHashes> {
  const { from, most, isOver, looksEvery = LOOKS_EVERY, pageBytes = pageBytesFor(ids.runs.length) } = options;
  const cursors = cursorsOf(objects, bucket, ids, from?.taken ?? [], pageBytes);
  const heap = await openCursors(cursors);
  const found: number[] = [];
  // A hash is reported when it is met for the second time; 0 is the hash of no id.
  let [last0, last1] = from?.last ?? [0, 0];
  let isRepeated = from?.isRepeated ?? false;
  let end: DuplicatedHashes['end'] = 'all';
  for (let taken = 1; heap.length > 0; taken++) {
    const cursor = heap[0]!;
    if (heap.length === 1)
      taken += cursor.passSingles(last0, last1, (looksEvery - (taken % looksEvery)) % looksEvery);
    const { hash0, hash1 } = cursor;
    if (hash0 !== last0 || hash1 !== last1) {
      last0 = hash0;
      last1 = hash1;
      isRepeated = false;
    } else if (!isRepeated) {
      found.push(hash0, hash1);
      isRepeated = true;
    }
    if (!cursor.advance() && !(await cursor.turnPage())) {
      const tail = heap.pop()!;
      if (heap.length === 0) break;
      heap[0] = tail;
    }
    if (heap.length > 1) siftDown(heap);
    if (found.length === 2 * most) end = 'most';
    else if (taken % looksEvery === 0 && isOver()) end = 'over';
    if (end !== 'all') break;
  }
  const taken = cursors.map((cursor) => cursor.taken);
  return { words: Uint32Array.from(found), merge: { taken, last: [last0, last1], isRepeated }, end };
}

function pageBytesFor(runs: number): number {
  const each = Math.min(MAX_PAGE_BYTES, PAGES_BYTES / (2 * Math.max(1, runs)));
  return Math.max(MIN_PAGE_BYTES, Math.floor(each / HASH_BYTES) * HASH_BYTES);
}

/** One for each run, and one for what is in memory, if anything is. */
function cursorsOf(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  { runs, memory }: SortedIds,
  taken: readonly TakenOfRun[],
  pageBytes: number,
): Cursor[] {
  const cursors = runs.map((run, index) => {
    const start = taken[index] ?? NOTHING_TAKEN;
    return new Cursor(start, pagesOf(objects, bucket, run, start, pageBytes));
  });
  if (memory.length > 0) {
    const start = taken[runs.length] ?? NOTHING_TAKEN;
    cursors.push(new Cursor(start, onePage(memory.subarray(2 * start.hashes))));
  }
  return cursors;
}

/** A heap of the cursors that are not at their end, by the hash that each is at. */
async function openCursors(cursors: readonly Cursor[]): Promise<Cursor[]> {
  const open: Cursor[] = [];
  for (let at = 0; at < cursors.length; at += OPENED_AT_A_TIME) {
    const some = cursors.slice(at, at + OPENED_AT_A_TIME);
    const isOpen = await Promise.all(some.map((cursor) => cursor.turnPage()));
    open.push(...some.filter((_, index) => isOpen[index]));
  }
  // Sorted is a heap.
  return open.sort((a, b) => (isGreater(a.hash0, a.hash1, b.hash0, b.hash1) ? 1 : -1));
}

/** A place in sorted hashes that come page by page. */
class Cursor {
  readonly #pages: AsyncIterator<Uint32Array>;
  #words: Uint32Array = new Uint32Array(0);
  #at = 0;
  /** What was taken before this page. */
  #before: TakenOfRun;
  hash0 = 0;
  hash1 = 0;

  /** @param pages of what comes after `start`. */
  constructor(start: TakenOfRun, pages: AsyncIterator<Uint32Array>) {
    this.#before = start;
    this.#pages = pages;
  }

  /** What is before the cursor. */
  get taken(): TakenOfRun {
    return plus(this.#before, this.#words.subarray(0, this.#at));
  }

  /** Goes to the next hash of the page; false at its end. */
  advance(): boolean {
    this.#at += 2;
    return this.#look();
  }

  /**
   * With no other cursor: passes over hashes that are neither the one given, which was taken last, nor on the page
   * twice.
   * @returns how many; at most `most`.
   */
  passSingles(last0: number, last1: number, most: number): number {
    if (this.hash0 === last0 && this.hash1 === last1) return 0;
    const words = this.#words;
    const end = Math.min(words.length - 2, this.#at + 2 * most);
    let at = this.#at;
    while (at < end && (words[at] !== words[at + 2] || words[at + 1] !== words[at + 3])) at += 2;
    const passed = (at - this.#at) / 2;
    this.#at = at;
    this.#look();
    return passed;
  }

  /** Goes to the first hash of the next page; false at the end of the run. */
  async turnPage(): Promise<boolean> {
    const next = await this.#pages.next();
    if (next.done) return false;
    this.#before = plus(this.#before, this.#words);
    this.#words = next.value;
    this.#at = 0;
    return this.#look();
  }

  #look(): boolean {
    if (this.#at >= this.#words.length) return false;
    this.hash0 = this.#words[this.#at]!;
    this.hash1 = this.#words[this.#at + 1]!;
    return true;
  }
}

const NOTHING_TAKEN: TakenOfRun = { hashes: 0, crc: 0 };

function plus({ hashes, crc }: TakenOfRun, words: Uint32Array): TakenOfRun {
  if (words.length === 0) return { hashes, crc };
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  return { hashes: hashes + words.length / 2, crc: crc32(bytes, crc) };
}

async function* onePage(words: Uint32Array): AsyncGenerator<Uint32Array> {
  yield words;
}

/** The hashes of a run after `start`, one page read ahead of the one that is used. */
async function* pagesOf(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  run: IdRun,
  start: TakenOfRun,
  pageBytes: number,
): AsyncGenerator<Uint32Array> {
  const size = run.count * HASH_BYTES;
  const open = async (from: number, to: number): Promise<ByteStream> => {
    try {
      return await objects.read({ bucket, key: run.key }, from, to);
    } catch (error) {
      // This object is not the input, whose loss is the user's.
      if (!(error instanceof ObjectGoneError)) throw error;
      throw new CorruptWorkFileError(`${run.key} is missing; was work/ emptied too early?`, { cause: error });
    }
  };
  const read = async (from: number): Promise<Uint8Array> => {
    const page = new Uint8Array(Math.min(pageBytes, size - from));
    let filled = 0;
    for await (const chunk of await open(from, from + page.length)) {
      page.set(chunk, filled);
      filled += chunk.length;
    }
    if (filled !== page.length)
      throw new CorruptWorkFileError(`${run.key} ends at byte ${from + filled} of ${size}`);
    return page;
  };
  let { crc } = start;
  let end = start.hashes * HASH_BYTES;
  let next: Promise<Uint8Array> | undefined = end < size ? read(end) : undefined;
  while (next !== undefined) {
    end = Math.min(end + pageBytes, size);
    const page: Uint8Array = await next;
    next = end < size ? read(end) : undefined;
    // A reader that stops early never asks for it; then its failure must not end the process.
    next?.catch(() => {});
    crc = crc32(page, crc);
    if (next === undefined && crc !== run.crc)
      throw new CorruptWorkFileError(`${run.key} is damaged: its checksum differs`);
    yield new Uint32Array(page.buffer);
  }
}

function siftDown(heap: Cursor[]): void {
  const cursor = heap[0]!;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right !== undefined && isGreater(heap[child]!.hash0, heap[child]!.hash1, right.hash0, right.hash1))
      child++;
    const least = heap[child]!;
    if (!isGreater(cursor.hash0, cursor.hash1, least.hash0, least.hash1)) break;
    heap[at] = least;
    at = child;
  }
  heap[at] = cursor;
}

function isGreater(a0: number, a1: number, b0: number, b1: number): boolean {
  return a1 > b1 || (a1 === b1 && a0 > b0);
}
