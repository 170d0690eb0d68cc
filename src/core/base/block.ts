/** From here on, a buffer that one large line has made so large is not kept. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * Bytes put together in one buffer that is used again and again. What is allocated for each line and thrown away is
 * memory that the process holds until the next collection of garbage, however little of it is alive.
 */
export class Block {
  #buffer = Buffer.alloc(0);
  #used = 0;

  get length(): number {
    return this.#used;
  }

  /** Copies bytes to the end. */
  add(bytes: Uint8Array): void {
    this.#reserve(this.#used + bytes.length);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Adds one byte. */
  addByte(byte: number): void {
    this.#reserve(this.#used + 1);
    this.#buffer[this.#used++] = byte;
  }

  /** Empties the block and gives `length` bytes of it to be filled. */
  take(length: number): Uint8Array {
    this.clear();
    this.#reserve(length);
    this.#used = length;
    return this.bytes();
  }

  /** What is in it, valid until the next change. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#used);
  }

  clear(): void {
    this.#used = 0;
    if (this.#buffer.length > MAX_KEPT_BYTES) this.#buffer = Buffer.alloc(0);
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    // Half as much again: a block that grows line by line is not copied for each of them.
    const larger = Buffer.allocUnsafeSlow(Math.max(64 * 1024, bytes, Math.ceil(1.5 * this.#buffer.length)));
    larger.set(this.bytes());
    this.#buffer = larger;
  }
}
