import type { InputListing } from '../../../src/core/model/input-listing.ts';
import type { ListingStore } from '../../../src/core/ports/records.ts';

/** {@link ListingStore} in memory. */
export class MemoryListing implements ListingStore {
  #standing: InputListing | undefined;

  /** As {@link MemoryJobs.snapshot}: it stands in the same table. */
  snapshot(): () => void {
    const kept = structuredClone(this.#standing);
    return () => {
      this.#standing = structuredClone(kept);
    };
  }

  async getListing(): Promise<InputListing | undefined> {
    return structuredClone(this.#standing);
  }

  async putListing(next: InputListing): Promise<boolean> {
    if (next.generation !== (this.#standing?.generation ?? 0) + 1) return false;
    this.#standing = structuredClone(next);
    return true;
  }
}
