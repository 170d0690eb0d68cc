import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Ambient, Sleep } from '../core/ports/ambient.ts';

/** The machine's clock and its source of randomness. */
export const systemAmbient: Ambient = {
  now: () => Date.now(),
  nonce: () => randomBytes(16).toString('hex'),
};

/** Real time passes. */
export const sleep: Sleep = async (ms, signal) => {
  try {
    await setTimeout(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
};
