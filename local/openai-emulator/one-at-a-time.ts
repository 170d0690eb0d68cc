/** Work on state that is up to the clock, one piece after the other. */
export function oneAtATime(settle: () => Promise<void>) {
  let turn: Promise<unknown> = Promise.resolve();
  return {
    /** Waits for the work before it, brings state up to the clock, and does the work. */
    settled<T>(work: () => T | Promise<T>): Promise<T> {
      const done = turn.then(async () => {
        await settle();
        return work();
      });
      turn = done.catch(() => {});
      return done;
    },
    /** Until the work that was begun is done, whether or not it fails. */
    async idle(): Promise<void> {
      await turn;
    },
  };
}
