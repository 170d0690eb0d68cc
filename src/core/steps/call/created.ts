/**
 * Which responses a slice has created in the background: their ids, as numbered segments below `work/`. Each wave of
 * creates is written down before the next one is announced; so at most one wave is left of which nobody knows what
 * became of it. A later line of a request replaces an earlier one.
 */
import { ObjectGoneError } from '../../base/errors.ts';
import { type CreatedLine, createdSegment, readCreated } from '../../files/created.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { BackgroundResponse } from '../../ports/provider.ts';
import type { SliceKeys, SliceProgress } from './progress.ts';

/** A create, by the place of its request in the slice. */
export type Created = Omit<CreatedLine, 'custom_id'>;

/** A create whose response is known. */
export type KnownCreated = Created & { id: string };

/** A create whose response is read. @param create what was known; the key that it names stays. */
export function createdOf(
  { id, keyVersion }: Pick<BackgroundResponse, 'id' | 'keyVersion'>,
  create: Created,
): KnownCreated {
  const version = create.keyVersion ?? keyVersion;
  return version === undefined ? { ...create, id } : { ...create, id, keyVersion: version };
}

/** The creates of one slice. */
export class CreatedResponses {
  readonly #objects: Pick<ObjectStore, 'get' | 'put'>;
  readonly #keys: Pick<SliceKeys, 'created'>;
  readonly #progress: SliceProgress;
  readonly #byRequest = new Map<number, Created>();
  /** By id; a request has two where the table was restored. */
  readonly #known = new Map<string, KnownCreated>();
  #unkept: Created[] = [];
  #segments = 0;

  constructor(
    objects: Pick<ObjectStore, 'get' | 'put'>,
    keys: Pick<SliceKeys, 'created'>,
    progress: SliceProgress,
  ) {
    this.#objects = objects;
    this.#keys = keys;
    this.#progress = progress;
  }

  /** Every response that is known, also of requests that have their answer. */
  get known(): KnownCreated[] {
    return [...this.#known.values()];
  }

  /** The create of a request; `undefined`: there was none. */
  of(request: number): Created | undefined {
    return this.#byRequest.get(request);
  }

  /** Responses without an answer yet. */
  get open(): KnownCreated[] {
    return [...this.#byRequest.values()].filter(
      (created): created is KnownCreated =>
        created.id !== undefined && !this.#progress.hasLine(created.request),
    );
  }

  /** Creates of which nobody knows whether a response came of them. */
  get unknown(): Created[] {
    return [...this.#byRequest.values()].filter(
      ({ id, request }) => id === undefined && !this.#progress.hasLine(request),
    );
  }

  /**
   * Reads what earlier workers created, also segments that the record does not know: their worker died before it could
   * say so.
   * @throws {ObjectGoneError} if a segment is missing.
   */
  async load(now: number): Promise<void> {
    const { places } = this.#progress;
    const recorded = this.#progress.calls.created ?? 0;
    for await (const lines of readCreated(this.#objects, this.#keys)) {
      this.#segments++;
      for (const { custom_id, ...created } of lines) {
        const request = places.get(custom_id);
        if (request !== undefined) this.#take({ ...created, request });
      }
    }
    if (this.#segments < recorded)
      throw new ObjectGoneError(
        `${this.#keys.created(this.#segments)} is missing; it held ids of responses that are paid for`,
      );
    this.#progress.note({ created: this.#segments });
    for (const request of this.#progress.unaccounted)
      if (!this.#byRequest.has(request)) this.add({ request, at: now });
  }

  #take(created: Created): void {
    const { request, id } = created;
    // What another worker did not know, one that came late may have written down meanwhile.
    const isNew = id !== undefined || this.#byRequest.get(request)?.id === undefined;
    if (isNew) this.#byRequest.set(request, created);
    if (id !== undefined) this.#known.set(id, { ...created, id });
    this.#progress.wasSent(request);
  }

  /** What is known of a create from now on; {@link keep} writes it down. */
  add(created: Created): void {
    this.#take(created);
    this.#unkept.push(created);
  }

  /** Writes down what was added. */
  async keep(): Promise<void> {
    const added = this.#unkept;
    if (added.length === 0) return;
    const { requests } = this.#progress;
    const body = createdSegment(
      added.map((created) => ({ custom_id: requests[created.request]!.customId, ...created })),
    );
    let isWritten = false;
    // A worker whose lease ran out while it wrote may have been first: its ids stay where they are.
    for (let segment = this.#segments; !isWritten; segment++) {
      isWritten = await this.#objects.put(this.#keys.created(segment), body, { ifAbsent: true });
      this.#segments = segment + 1;
    }
    this.#unkept = this.#unkept.slice(added.length);
    this.#progress.note({ created: this.#segments });
  }
}
