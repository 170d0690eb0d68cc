/** How long OpenAI takes, for tests whose clock is the machine's. */

/** OpenAI takes no time. */
export const AT_ONCE = {
  validatingMs: 0,
  startMs: 0,
  perRequestMs: 0,
  perFurtherRequestMs: 0,
  finalizingMs: 0,
  cancellingMs: 0,
};
