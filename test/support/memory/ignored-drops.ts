import type { IgnoredDrop } from '../../../src/core/model/ignored-drop.ts';
import { dayOf } from '../../../src/core/model/job-end.ts';
import type { IgnoredDropStore } from '../../../src/core/ports/ignored-drops.ts';
import { plainCopy } from '../plain-copy.ts';

/** {@link IgnoredDropStore} in memory. */
export class MemoryIgnoredDrops implements IgnoredDropStore {
  readonly #days = new Map<string, Map<string, IgnoredDrop>>();

  async note(drop: IgnoredDrop): Promise<void> {
    const day = this.#days.get(dayOf(drop.at)) ?? new Map<string, IgnoredDrop>();
    this.#days.set(dayOf(drop.at), day);
    if (!day.has(drop.key)) day.set(drop.key, plainCopy(drop));
  }

  async *listOn(day: string, prefix: string): AsyncGenerator<IgnoredDrop> {
    const drops = [...(this.#days.get(day)?.values() ?? [])].filter(({ key }) => key.startsWith(prefix));
    yield* drops.sort((one, other) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)));
  }
}
