/** The ids that came last; of more than it holds, the oldest are forgotten. */
export class RecentIds {
  readonly #ids = new Set<string>();
  readonly #most: number;

  /** @param most how many it holds. */
  constructor(most: number) {
    this.#most = most;
  }

  add(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size > this.#most) this.#ids.delete(this.#ids.values().next().value!);
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}
