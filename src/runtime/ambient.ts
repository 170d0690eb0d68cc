import { randomBytes } from 'node:crypto';
import type { Ambient } from '../core/ports.ts';

/** The machine's clock and its source of randomness. */
export const systemAmbient: Ambient = {
  now: () => Date.now(),
  nonce: () => randomBytes(16).toString('hex'),
};
