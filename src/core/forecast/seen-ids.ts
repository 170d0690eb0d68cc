/**
 * Which ids were seen, and on which line first, in memory: 12 bytes a slot, at most three quarters full. Ingest,
 * which may not grow with the file, has sorted runs in its place.
 */
export class SeenIds {
  #slots = 1 << 12;
  #hashes = new Uint32Array(this.#slots * 2);
  #lines = new Uint32Array(this.#slots);
  #count = 0;

  /** Remembers the id; gives the line where it was seen first, or 0 if this is the first. */
  add(hash0: number, hash1: number, line: number): number {
    if (this.#count * 4 >= this.#slots * 3) this.#grow();
    const mask = this.#slots - 1;
    for (let slot = hash0 & mask; ; slot = (slot + 1) & mask) {
      const found = this.#hashes[2 * slot + 1]!;
      if (found === 0) {
        this.#hashes[2 * slot] = hash0;
        this.#hashes[2 * slot + 1] = hash1;
        this.#lines[slot] = line;
        this.#count++;
        return 0;
      }
      if (found === hash1 && this.#hashes[2 * slot] === hash0) return this.#lines[slot]!;
    }
  }

  #grow(): void {
    const hashes = this.#hashes;
    const lines = this.#lines;
    this.#slots *= 2;
    this.#hashes = new Uint32Array(this.#slots * 2);
    this.#lines = new Uint32Array(this.#slots);
    this.#count = 0;
    for (let slot = 0; slot < lines.length; slot++) {
      const hash1 = hashes[2 * slot + 1]!;
      if (hash1 !== 0) this.add(hashes[2 * slot]!, hash1, lines[slot]!);
    }
  }
}
