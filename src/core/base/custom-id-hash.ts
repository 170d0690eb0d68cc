/**
 * A 64-bit hash of a custom_id, seeded by the job: what manifests and the duplicate check keep in place of the id, so
 * that memory and files do not grow with the length of ids and our own files hold no id of a user.
 *
 * Two distinct ids of one job share a hash with odds of n²/2^64 (10 million ids: 3 in a million). Ingest reads both
 * lines of such a pair again, and keeps the two in different batches: see steps/ingest/duplicate-ids.ts.
 */
export class CustomIdHasher {
  readonly #seed: number;
  /** First half of the last hash, an unsigned 32-bit number. */
  hash0 = 0;
  /** Second half; never 0, so that 0 can mark what is no hash. */
  hash1 = 0;

  /** @param jobId hex digits; the first eight seed the hash. */
  constructor(jobId: string) {
    this.#seed = Number.parseInt(jobId.slice(0, 8), 16) | 0;
  }

  /** Hashes the UTF-8 bytes of an id into {@link hash0} and {@link hash1}. */
  hash(bytes: Uint8Array): void {
    let a = this.#seed ^ bytes.length;
    let b = Math.imul(this.#seed, 0x85ebca6b) ^ 0x1b873593;
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4) {
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      a = Math.imul(a ^ word, 0x9e3779b1);
      a ^= a >>> 15;
      b = Math.imul((b + word) | 0, 0x85ebca77);
      b = (b << 13) | (b >>> 19);
    }
    for (; at < bytes.length; at++) {
      a = Math.imul(a ^ bytes[at]!, 0x01000193);
      b = Math.imul(b ^ bytes[at]!, 0xc2b2ae3d);
      b ^= b >>> 13;
    }
    a ^= b;
    a ^= a >>> 16;
    a = Math.imul(a, 0x85ebca6b);
    a ^= a >>> 13;
    a = Math.imul(a, 0xc2b2ae35);
    a ^= a >>> 16;
    b = Math.imul(b ^ (b >>> 15) ^ a, 0x2c1b3c6d);
    b ^= b >>> 12;
    this.hash0 = a >>> 0;
    this.hash1 = (b | 1) >>> 0;
  }

  hashText(id: string): void {
    this.hash(Buffer.from(id));
  }
}
