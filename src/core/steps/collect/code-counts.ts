/**
 * The record of a batch counts this many codes one by one, because services make up codes and the record has 400 KB.
 */
const MAX_CODES = 100;
const MAX_CODE_CHARS = 100;
/** What all further codes count as; the errors file has each of them. */
const FURTHER_CODES = 'other';

/** How often each code occurred: as many codes, and as much of each, as a batch's record has room for. */
export class CodeCounts {
  /** Not a plain object: a code may be called "constructor". */
  readonly #counts = new Map<string, number>();

  add(code: string): void {
    const name = code.slice(0, MAX_CODE_CHARS).toWellFormed();
    const counted = this.#counts.has(name) || this.#counts.size < MAX_CODES ? name : FURTHER_CODES;
    this.#counts.set(counted, (this.#counts.get(counted) ?? 0) + 1);
  }

  /** The counts by code, as a record holds them. */
  toRecord(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
