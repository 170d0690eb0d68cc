import type { Sleep } from '../../../src/core/ports/ambient.ts';

/** Lets no time pass; ends when the work does. */
export const noHeartbeat: Sleep = (_ms, signal) =>
  new Promise((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
