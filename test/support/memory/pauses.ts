import type { Pause } from '../../../src/core/model/pause.ts';
import type { PauseStore } from '../../../src/core/ports/pauses.ts';

/** {@link PauseStore} in memory. */
export class MemoryPauses implements PauseStore {
  readonly #pauses = new Map<string | undefined, Pause>();

  async getPauses(): Promise<Pause[]> {
    return structuredClone(
      [...this.#pauses.values()]
        .filter(({ isPaused }) => isPaused)
        .sort((one, other) => ((one.route ?? '') < (other.route ?? '') ? -1 : 1)),
    );
  }

  async pause(begin: Omit<Pause, 'isPaused'>): Promise<{ pause: Pause; isNew: boolean }> {
    const before = this.#pauses.get(begin.route);
    if (before?.isPaused) return { pause: { ...before }, isNew: false };
    const pause = { ...begin, isPaused: true };
    this.#pauses.set(begin.route, pause);
    return { pause: { ...pause }, isNew: true };
  }

  async unpause(end: Omit<Pause, 'isPaused'>): Promise<boolean> {
    if (!this.#pauses.get(end.route)?.isPaused) return false;
    this.#pauses.set(end.route, { ...end, isPaused: false });
    return true;
  }
}
