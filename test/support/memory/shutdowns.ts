import type { KeptShutdowns } from '../../../src/core/model/shutdown.ts';
import type { ShutdownStore } from '../../../src/core/ports/records.ts';
import { plainCopy } from '../plain-copy.ts';

/** {@link ShutdownStore} in memory. */
export class MemoryShutdowns implements ShutdownStore {
  readonly #kept = new Map<string, KeptShutdowns>();

  async getShutdowns(apiKey: string): Promise<KeptShutdowns | undefined> {
    return plainCopy(this.#kept.get(apiKey));
  }

  async putShutdowns(next: KeptShutdowns): Promise<boolean> {
    if (next.generation !== (this.#kept.get(next.apiKey)?.generation ?? 0) + 1) return false;
    this.#kept.set(next.apiKey, plainCopy(next));
    return true;
  }
}
