/** Hashes of ids, each with the first line that has it: see {@link FirstLines}. */
import { createHash } from 'node:crypto';
import type { ManifestEntries } from '../../files/manifest.ts';

/** Bytes of a SHA-256 that an id is compared by: no two ids of the same 128 bits are known. */
const DIGEST_BYTES = 16;

/** A hash that several ids share, and the first line of the one that was looked at last. */
export interface SharedHash {
  hash0: number;
  hash1: number;
  line: number;
}

/** The tables of {@link FirstLines}: plain bytes, each of memory of its own. */
export interface FirstLinesState {
  /** Pairs of `hash0` and `hash1`, no two of them equal. */
  words: Uint8Array;
  /** Only later lines count. */
  after: Uint8Array;
  /** The first of those, and its place in the source. */
  lines: Uint8Array;
  offsets: Uint8Array;
  lengths: Uint8Array;
  /** Of the ids on first lines that were read. */
  digests: Uint8Array;
  hasId: Uint8Array;
  /** Whether another id has the same hash. */
  isShared: Uint8Array;
}

/** Hashes, each with the first line that has it, after some line of its own, and the id on that line. */
export class FirstLines {
  readonly #words: Uint32Array;
  /** Index of a hash plus 1, by hash; open addressing. */
  readonly #slots: Uint32Array;
  readonly #mask: number;
  readonly #after: Float64Array;
  readonly #lines: Float64Array;
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #digests: Uint8Array;
  readonly #hasId: Uint8Array;
  readonly #isShared: Uint8Array;

  /** @param state is kept, and changed in its place. */
  constructor(state: FirstLinesState) {
    this.#words = wordsOf(state.words);
    this.#after = doublesOf(state.after);
    this.#lines = doublesOf(state.lines);
    this.#offsets = doublesOf(state.offsets);
    this.#lengths = wordsOf(state.lengths);
    this.#digests = state.digests;
    this.#hasId = state.hasId;
    this.#isShared = state.isShared;
    const count = this.#words.length / 2;
    this.#mask = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * count))) - 1;
    this.#slots = new Uint32Array(this.#mask + 1);
    for (let index = 0; index < count; index++) {
      let at = this.#words[2 * index]! & this.#mask;
      while (this.#slots[at] !== 0) at = (at + 1) & this.#mask;
      this.#slots[at] = index + 1;
    }
  }

  /** Of each hash, every line counts. @param words pairs of `hash0` and `hash1`, no two of them equal. */
  static of(words: Uint8Array): FirstLinesState {
    const count = words.length / 8;
    return {
      words,
      after: new Uint8Array(8 * count),
      lines: new Uint8Array(new Float64Array(count).fill(Number.POSITIVE_INFINITY).buffer),
      offsets: new Uint8Array(8 * count),
      lengths: new Uint8Array(4 * count),
      digests: new Uint8Array(DIGEST_BYTES * count),
      hasId: new Uint8Array(count),
      isShared: new Uint8Array(count),
    };
  }

  /** Of each hash, the lines after its own line count; where one is named twice, after the later. */
  static after(shared: readonly SharedHash[]): FirstLinesState {
    const latest = [...new Map(shared.map((one) => [`${one.hash0} ${one.hash1}`, one])).values()];
    const words = Uint32Array.from(latest.flatMap((one) => [one.hash0, one.hash1]));
    const state = FirstLines.of(new Uint8Array(words.buffer));
    doublesOf(state.after).set(latest.map(({ line }) => line));
    return state;
  }

  /** Index of a hash, or -1. */
  find(hash0: number, hash1: number): number {
    for (let at = hash0 & this.#mask; ; at = (at + 1) & this.#mask) {
      const index = this.#slots[at]! - 1;
      if (index < 0) return -1;
      if (this.#words[2 * index] === hash0 && this.#words[2 * index + 1] === hash1) return index;
    }
  }

  /** Takes an entry for the first of its hash, if there is none earlier. */
  meet(entries: ManifestEntries, entry: number): void {
    const index = this.find(entries.hash0(entry), entries.hash1(entry));
    if (index < 0) return;
    const line = entries.line(entry);
    if (line <= this.#after[index]! || line >= this.#lines[index]!) return;
    this.#lines[index] = line;
    this.#offsets[index] = entries.offset(entry);
    this.#lengths[index] = entries.length(entry);
  }

  /** The first line of a hash; infinite if none was met. */
  line(index: number): number {
    return this.#lines[index]!;
  }

  /** Its place in the source. */
  range(index: number): { offset: number; length: number } {
    return { offset: this.#offsets[index]!, length: this.#lengths[index]! };
  }

  /** Whether the id on the first line was read. */
  hasId(index: number): boolean {
    return this.#hasId[index] === 1;
  }

  setId(index: number, customId: string): void {
    this.#digests.set(digestOf(customId), index * DIGEST_BYTES);
    this.#hasId[index] = 1;
  }

  /** Whether the first line has this id. */
  isFirstId(index: number, customId: string): boolean {
    const from = index * DIGEST_BYTES;
    return Buffer.compare(this.#digests.subarray(from, from + DIGEST_BYTES), digestOf(customId)) === 0;
  }

  /** Whether another id is known to have the same hash. */
  isShared(index: number): boolean {
    return this.#isShared[index] === 1;
  }

  markShared(index: number): void {
    this.#isShared[index] = 1;
  }
}

function digestOf(customId: string): Uint8Array {
  return createHash('sha256').update(customId).digest().subarray(0, DIGEST_BYTES);
}

function wordsOf({ buffer, byteOffset, byteLength }: Uint8Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}

function doublesOf({ buffer, byteOffset, byteLength }: Uint8Array): Float64Array {
  return new Float64Array(buffer, byteOffset, byteLength / 8);
}
