import type { InputListing } from '../../../src/core/model/input-listing.ts';
import type { ListingStore } from '../../../src/core/ports/records.ts';
import { plainCopy } from '../plain-copy.ts';

/** {@link ListingStore} in memory. */
export class MemoryListing implements ListingStore {
  #current: InputListing | undefined;

  /** As {@link MemoryJobs.snapshot}: it stands in the same table. */
  snapshot(): () => void {
    const kept = plainCopy(this.#current);
    return () => {
      this.#current = plainCopy(kept);
    };
  }

  async getListing(): Promise<InputListing | undefined> {
    return plainCopy(this.#current);
  }

  async putListing(next: InputListing): Promise<boolean> {
    if (next.generation !== (this.#current?.generation ?? 0) + 1) return false;
    this.#current = plainCopy(next);
    return true;
  }
}
