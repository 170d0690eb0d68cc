/** For steps whose clock stands still while they run: no lease is ever renewed. */
import type { Pause } from '../../../src/core/ports/ports.ts';

/** Lets no time pass; ends when the work does. */
export const noHeartbeat: Pause = (_ms, signal) =>
  new Promise((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
