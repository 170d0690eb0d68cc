import type { OwnersStore } from '../../../src/core/ports/objects.ts';

/** {@link OwnersStore} in memory: one instance for each bucket. */
export class MemoryOwners implements OwnersStore {
  #current: { body: string; etag: string } | undefined;
  #writes = 0;

  async readOwners(): Promise<{ body: string; etag: string } | undefined> {
    return this.#current;
  }

  async writeOwners(body: string, etag: string | undefined): Promise<boolean> {
    if (etag !== this.#current?.etag) return false;
    this.#current = { body, etag: `"${++this.#writes}"` };
    return true;
  }

  /** Removes it, as an operator may: for tests. */
  remove(): void {
    this.#current = undefined;
  }
}
