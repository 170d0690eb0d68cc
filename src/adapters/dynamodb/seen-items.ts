/**
 * Items of a table as this process last read or wrote them. Most writes follow a read, or another write, of the same
 * item in the same step: they begin with what was seen, and save reading it again. What was seen may be old, so it
 * only ever serves for a write whose condition checks that no write has happened since.
 */
type Item = Record<string, unknown>;

/** How many items are kept, the last ones seen: a step looks at a few, a dispatch at hundreds. */
const MAX_ITEMS = 1_000;

/** See the top of this file. */
export class SeenItems {
  readonly #items = new Map<string, Item | undefined>();

  /** Notes what an item is; `undefined`: there is none. */
  note(key: Item, item: Item | undefined): void {
    const name = nameOf(key);
    this.#items.delete(name);
    this.#items.set(name, item === undefined ? undefined : withoutUndefined(item));
    if (this.#items.size > MAX_ITEMS) this.#items.delete(this.#items.keys().next().value!);
  }

  /** The item as it was last seen, `{ item: undefined }` if there was none; `undefined` if it was never seen. */
  find(key: Item): { item: Item | undefined } | undefined {
    const name = nameOf(key);
    return this.#items.has(name) ? { item: this.#items.get(name) } : undefined;
  }

  /** What was seen turned out to be old. */
  forget(key: Item): void {
    this.#items.delete(nameOf(key));
  }
}

const seenByClient = new WeakMap<object, Map<string, SeenItems>>();

/** The items of a table that were seen through a client, by whichever adapter. */
export function seenThrough(client: object, table: string): SeenItems {
  const tables = seenByClient.get(client) ?? new Map<string, SeenItems>();
  seenByClient.set(client, tables);
  const seen = tables.get(table) ?? new SeenItems();
  tables.set(table, seen);
  return seen;
}

function nameOf({ pk, sk }: Item): string {
  return `${pk}\n${sk}`;
}

/** As the table gives it back: members that are `undefined` are not stored. */
function withoutUndefined<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(withoutUndefined) as Value;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => [name, withoutUndefined(member)]),
  ) as Value;
}
