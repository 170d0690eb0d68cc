/** Keys in S3's listing order, the order of their UTF-8 bytes, with binary search. */
export class SortedKeys {
  readonly #keys: string[] = [];

  get size(): number {
    return this.#keys.length;
  }

  at(index: number): string | undefined {
    return this.#keys[index];
  }

  /** Adds a key; one that is there already is left alone. */
  add(key: string): void {
    const index = this.indexFrom(key);
    if (this.#keys[index] !== key) this.#keys.splice(index, 0, key);
  }

  delete(key: string): void {
    const index = this.indexFrom(key);
    if (this.#keys[index] === key) this.#keys.splice(index, 1);
  }

  /** Index of the first key that is not before `key`. */
  indexFrom(key: string): number {
    // New keys mostly come last, when a folder is filled in order or a journal is replayed.
    const last = this.#keys.at(-1);
    if (last === undefined || compareUtf8(last, key) < 0) return this.#keys.length;
    return this.#firstIndex(0, (candidate) => compareUtf8(candidate, key) >= 0);
  }

  /** Index of the first key at or after `index` that does not begin with `prefix`, where `index` does. */
  indexPast(prefix: string, index: number): number {
    return this.#firstIndex(index, (candidate) => !candidate.startsWith(prefix));
  }

  #firstIndex(from: number, isReached: (key: string) => boolean): number {
    let low = from;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isReached(this.#keys[middle]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Compares by UTF-8 bytes. JavaScript's own order differs where surrogate pairs meet U+E000..U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const unitA = a.charCodeAt(i);
    const unitB = b.charCodeAt(i);
    if (unitA !== unitB) return rank(unitA) - rank(unitB);
  }
  return a.length - b.length;
}

/** Puts the surrogates after every other code unit, where the characters they spell belong. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x2800 : unit;
}
