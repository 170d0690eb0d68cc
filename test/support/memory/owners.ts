import type { OwnersStore } from '../../../src/core/ports/objects.ts';

/** {@link OwnersStore} in memory: one instance for each bucket. */
export class MemoryOwners implements OwnersStore {
  #standing: { body: string; etag: string } | undefined;
  #writes = 0;

  async readOwners(): Promise<{ body: string; etag: string } | undefined> {
    return this.#standing;
  }

  async writeOwners(body: string, etag: string | undefined): Promise<boolean> {
    if (etag !== this.#standing?.etag) return false;
    this.#standing = { body, etag: `"${++this.#writes}"` };
    return true;
  }

  /** Removes it, as an operator may: for tests. */
  remove(): void {
    this.#standing = undefined;
  }
}
