import { hash } from 'node:crypto';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Lower-case hexadecimal digest of the parts, `length` characters (64 at most). */
export function hexOf(length: number, ...parts: readonly (string | number)[]): string {
  return hash('sha256', JSON.stringify(parts)).slice(0, length);
}

/** Like `hexOf`, in the 62 letters and digits of `file-` and `chatcmpl-` ids (32 characters at most). */
export function base62Of(length: number, ...parts: readonly (string | number)[]): string {
  const digest = hash('sha256', JSON.stringify(parts), 'buffer');
  let id = '';
  for (const byte of digest.subarray(0, length)) id += BASE62[byte % 62];
  return id;
}

/** Numbers in [0, 1) that repeat for the same key (mulberry32 started from a hash). */
export function randomOf(...parts: readonly (string | number)[]): () => number {
  let state = Number.parseInt(hexOf(8, ...parts), 16) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The order 0..count-1, shuffled by Fisher-Yates when there is a `random`. */
export function shuffledOrder(count: number, random: (() => number) | undefined): Uint32Array {
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  if (random === undefined) return order;
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}

/** Makes ids in the forms seen on the real API; the same seed gives the same ids in the same order. */
export type Ids = {
  /** `file-` and 22 letters or digits. */
  file(): string;
  /** `batch_` and 32 hex digits. */
  batch(): string;
  /** `upload_` and 32 hex digits. */
  upload(): string;
  /** `part_` and 32 hex digits. */
  part(): string;
  /** `resp_` and 48 hex digits: of a background response. */
  response(): string;
  /** `whe_` and 32 hex digits. */
  webhookEndpoint(): string;
  /** `whsec_` and the base64 of 24 bytes. */
  webhookSecret(): string;
  /** `req_` and 32 hex digits: one per HTTP request. */
  httpRequest(): string;
  /** How many ids have been made; kept in the journal so that a restart makes new ones. */
  made(): number;
};

/**
 * @param seed what the ids are derived from
 * @param made how many were made before (after a restart)
 */
export function createIds(seed: string, made: number): Ids {
  let count = made;
  let requests = 0;
  const next = () => {
    count += 1;
    return count;
  };
  return {
    file: () => `file-${base62Of(22, seed, 'file', next())}`,
    batch: () => `batch_${hexOf(32, seed, 'batch', next())}`,
    upload: () => `upload_${hexOf(32, seed, 'upload', next())}`,
    part: () => `part_${hexOf(32, seed, 'part', next())}`,
    response: () => `resp_${hexOf(48, seed, 'response', next())}`,
    webhookEndpoint: () => `whe_${hexOf(32, seed, 'webhook endpoint', next())}`,
    webhookSecret: () =>
      `whsec_${Buffer.from(hexOf(48, seed, 'webhook secret', next()), 'hex').toString('base64')}`,
    httpRequest: () => `req_${hexOf(32, seed, 'http', made, requests++)}`,
    made: () => count,
  };
}
