/**
 * Which custom_ids occur more than once, in memory that does not grow with their number. While a file is read, the hash
 * of each id is only appended; full memory is sorted and written below `work/` as one *id run*. At the end one merge
 * over all runs ({@link ./merge-ids.ts}) gives the hashes that occur more than once, ascending.
 *
 * An id run is the sorted hashes and nothing else: 8 bytes each, `hash0` then `hash1` as uint32 little-endian,
 * ordered by `hash1`, then `hash0`. How many there are, and their CRC-32, is recorded with the run's key.
 */
import { crc32 } from 'node:zlib';
import type { ObjectStore } from '../../ports/objects.ts';

/** Bytes of a hash in an id run. */
export const HASH_BYTES = 8;
/** Ids kept in memory before they are written out: 32 MB. */
const MAX_IDS_IN_MEMORY = 4_000_000;
/** Ids that there is room for at first. */
const FIRST_IDS = 65_536;
/** An id run below `work/`. */
export interface IdRun {
  key: string;
  /** Hashes in it. */
  count: number;
  /** CRC-32 of its bytes. */
  crc: number;
}

/** Collects the hashes of a file's ids, duplicates included. */
export class IdRuns {
  readonly #objects: Pick<ObjectStore, 'put'>;
  readonly #keyOf: (index: number) => string;
  readonly #maxInMemory: number;
  readonly #runs: IdRun[];
  #words = new Uint32Array(2 * FIRST_IDS);
  #count = 0;

  /**
   * @param keyOf names run `index` (0, 1, …) so that no other worker writes to the same key.
   * @param options.resume what {@link IdRuns.suspend} gave.
   * @param options.maxInMemory ids kept in memory. Default: 4,000,000.
   */
  constructor(
    objects: Pick<ObjectStore, 'put'>,
    keyOf: (index: number) => string,
    options: { resume?: readonly IdRun[]; maxInMemory?: number | undefined } = {},
  ) {
    this.#objects = objects;
    this.#keyOf = keyOf;
    this.#maxInMemory = options.maxInMemory ?? MAX_IDS_IN_MEMORY;
    this.#runs = [...(options.resume ?? [])];
  }

  /** Ids that are kept. */
  get count(): number {
    return this.#runs.reduce((sum, { count }) => sum + count, this.#count);
  }

  append(hash0: number, hash1: number): void {
    this.#reserve(1);
    const at = 2 * this.#count++;
    this.#words[at] = hash0;
    this.#words[at + 1] = hash1;
  }

  /** @param hashes pairs of `hash0` and `hash1`. */
  appendAll(hashes: Uint32Array): void {
    const count = hashes.length / 2;
    this.#reserve(count);
    this.#words.set(hashes, 2 * this.#count);
    this.#count += count;
  }

  #reserve(count: number): void {
    const needed = 2 * (this.#count + count);
    if (needed <= this.#words.length) return;
    const grown = new Uint32Array(Math.max(needed, 2 * this.#words.length));
    grown.set(this.#words);
    this.#words = grown;
  }

  /** Writes a run if memory is full. Call it between chunks of work. */
  async flush(): Promise<void> {
    if (this.#count >= this.#maxInMemory) await this.#spill();
  }

  /** Writes out everything and gives all runs: plain data, to be kept as it is. */
  async suspend(): Promise<IdRun[]> {
    if (this.#count > 0) await this.#spill();
    return [...this.#runs];
  }

  /**
   * Everything that may occur more than once, when there are no more ids to come: all runs, and the sorted hashes
   * that no run holds. Without runs, most hashes that occur once are forgotten before the rest is sorted.
   */
  sorted(): SortedIds {
    if (this.#runs.length === 0) this.#count = keepRepeated(this.#words.subarray(0, 2 * this.#count));
    return { runs: [...this.#runs], memory: this.#sorted() };
  }

  async #spill(): Promise<void> {
    const words = this.#sorted();
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    const key = this.#keyOf(this.#runs.length);
    await this.#objects.put(key, bytes);
    this.#runs.push({ key, count: this.#count, crc: crc32(bytes) });
    this.#count = 0;
  }

  #sorted(): Uint32Array<ArrayBuffer> {
    // As 64-bit integers of this little-endian machine, `hash1` is the upper half.
    new BigUint64Array(this.#words.buffer, 0, this.#count).sort();
    return this.#words.subarray(0, 2 * this.#count);
  }
}

/**
 * Bits that a hash may fall on, for each hash there is: one hash in so many shares its bit with another one by
 * chance.
 */
const BITS_A_HASH = 16;
/** 8 MB, for more than four million hashes: then chance keeps a few more. */
const MAX_BITS = 2 ** 26;

/**
 * Moves the hashes that share a bit of their own with another one to the front, in their order; all that occur more
 * than once are among them.
 * @param words pairs of `hash0` and `hash1`.
 * @returns how many hashes these are.
 */
function keepRepeated(words: Uint32Array): number {
  const bits = Math.min(MAX_BITS, 2 ** Math.ceil(Math.log2(Math.max(32, (words.length / 2) * BITS_A_HASH))));
  const once = new Uint32Array(bits / 32);
  const repeated = new Uint32Array(bits / 32);
  for (let at = 0; at < words.length; at += 2) {
    const place = (words[at]! & (bits - 1)) >>> 5;
    const bit = 1 << (words[at]! & 31);
    if ((once[place]! & bit) === 0) once[place]! |= bit;
    else repeated[place]! |= bit;
  }
  let kept = 0;
  for (let at = 0; at < words.length; at += 2) {
    const hash0 = words[at]!;
    if ((repeated[(hash0 & (bits - 1)) >>> 5]! & (1 << (hash0 & 31))) === 0) continue;
    words[2 * kept] = hash0;
    words[2 * kept + 1] = words[at + 1]!;
    kept++;
  }
  return kept;
}

/** Everything that was collected, sorted piece by piece. */
export interface SortedIds {
  runs: readonly IdRun[];
  /** Pairs of `hash0` and `hash1`. */
  memory: Uint32Array;
}
