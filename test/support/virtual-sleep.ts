import type { Sleep } from '../../src/core/ports/ambient.ts';

interface Sleeper {
  at: number;
  wake: () => void;
}

export class VirtualSleep {
  readonly #clock: { now(): number; advance(ms: number): void };
  #sleepers: Sleeper[] = [];
  /** Calls over a real network that are under way. */
  #underWay = 0;
  #isPumping = false;

  constructor(clock: { now(): number; advance(ms: number): void }) {
    this.#clock = clock;
  }

  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const sleeper: Sleeper = { at: this.#clock.now() + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', () => this.#wake(sleeper), { once: true });
      void this.#pump();
    });

  /** Time stands still until `work` is done. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
    }
  }

  #wake(sleeper: Sleeper): void {
    this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
    sleeper.wake();
  }

  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#sleepers.length > 0) {
      // What can continue without time passing does so first.
      for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
      if (this.#underWay > 0) continue;
      const next = this.#sleepers.toSorted((one, other) => one.at - other.at)[0];
      if (next === undefined) break;
      this.#clock.advance(Math.max(0, next.at - this.#clock.now()));
      this.#wake(next);
    }
    this.#isPumping = false;
  }
}
