/**
 * Which responses in the background could not be read when they were looked at last, and since when. It is a file of its
 * own that each worker replaces, as responses may come and go at every look. A worker that dies before it has written
 * it, or writes it late, makes others wait for longer, and nothing else.
 */
import * as z from 'zod';
import { defined } from '../../base/defined.ts';
import { readWorkJson } from '../../files/work-json.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { SliceKeys } from './progress.ts';

const unreadSchema = z.object({
  /** Epoch ms: since when no look at it has shown anything. */
  unreadableSince: z.exactOptional(z.number()),
  /** Epoch ms: since when each answer was that there is no such response. */
  missingSince: z.exactOptional(z.number()),
});
export const unreadFileSchema = z.object({ v: z.literal(1), byId: z.record(z.string(), unreadSchema) });

/** What is known of a response that could not be read; nothing if it could. */
export type Unread = z.infer<typeof unreadSchema>;

/** Those of one slice. */
export class UnreadResponses {
  readonly #objects: Pick<ObjectStore, 'get' | 'put'>;
  readonly #key: string;
  readonly #byId = new Map<string, Unread>();
  #isChanged = false;

  constructor(objects: Pick<ObjectStore, 'get' | 'put'>, { unread }: Pick<SliceKeys, 'unread'>) {
    this.#objects = objects;
    this.#key = unread;
  }

  /** Takes up what earlier workers found. */
  async load(): Promise<void> {
    const file = await readWorkJson(this.#objects, this.#key, unreadFileSchema);
    for (const [id, unread] of Object.entries(file?.byId ?? {})) this.#byId.set(id, unread);
  }

  of(id: string): Unread {
    return this.#byId.get(id) ?? {};
  }

  /** It was read. */
  found(id: string): void {
    if (this.#byId.delete(id)) this.#isChanged = true;
  }

  /** There is no such response, or not any more, or not yet. */
  missing(id: string, now: number): void {
    const { unreadableSince, missingSince } = this.of(id);
    if (missingSince === undefined || unreadableSince !== undefined)
      this.#set(id, { missingSince: missingSince ?? now });
  }

  /** Nobody knows what it is like. */
  unreadable(id: string, now: number): void {
    const { unreadableSince, missingSince } = this.of(id);
    if (unreadableSince !== undefined) return;
    this.#set(id, defined({ unreadableSince: now, missingSince }));
  }

  /** It is there, in a state that nobody knows: that tells nothing, but that it is not missing. */
  notUnderstood(id: string, now: number): void {
    const { unreadableSince, missingSince } = this.of(id);
    if (unreadableSince === undefined || missingSince !== undefined)
      this.#set(id, { unreadableSince: unreadableSince ?? now });
  }

  #set(id: string, unread: Unread): void {
    this.#byId.set(id, unread);
    this.#isChanged = true;
  }

  /** Writes down what has changed. */
  async keep(): Promise<void> {
    if (!this.#isChanged) return;
    const content = { v: 1, byId: Object.fromEntries(this.#byId) };
    await this.#objects.put(this.#key, Buffer.from(JSON.stringify(content)), {
      contentType: 'application/json',
    });
    this.#isChanged = false;
  }
}
