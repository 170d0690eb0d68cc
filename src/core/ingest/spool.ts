import type { ObjectStore, ObjectWriter, WriterState } from '../ports.ts';
import type { OpenBatch } from './cutter.ts';

/** Lines held in memory before the largest group of them is written out. */
const HELD_BYTES = 32_000_000;
/** Spooled lines end with LF, so that a range of them can be sent as it stands. */
const LINE_FEED = Buffer.from('\n');

/** A spool that waits to be gone on with: plain data. */
export interface SpoolState {
  /** Bytes that have a place. */
  position: number;
  /** Absent while nothing was written. */
  writer?: WriterState;
  /** Lines without a place, by batch, those that have waited longest first. */
  held: { batch: number; entries: number[]; lengths: number[]; bytes: Uint8Array }[];
}

/**
 * Writes lines out once, for inputs whose own bytes cannot be sent: compressed ones, and those where models take turns
 * so often that no batch has ranges worth fetching. One object holds the lines of every batch; lines of a batch are
 * held back and written side by side, so that its ranges are large however many batches fill up at the same time.
 */
export class Spool {
  readonly #open: (resume?: WriterState) => ObjectWriter;
  #writer: ObjectWriter | undefined;
  #queue: Uint8Array[] = [];
  #position = 0;
  readonly #held = new Map<OpenBatch, { entry: number; bytes: Uint8Array }[]>();
  readonly #heldBytesOf = new Map<OpenBatch, number>();
  #heldBytes = 0;

  /**
   * @param resume what {@link suspend} gave for the same key, and the batches that were given to it, as they are now.
   */
  constructor(
    objects: Pick<ObjectStore, 'openWrite'>,
    key: string,
    resume?: { state: SpoolState; batches: readonly OpenBatch[] },
  ) {
    this.#open = (state) => objects.openWrite(key, state === undefined ? {} : { resume: state });
    if (resume === undefined) return;
    const { position, writer, held } = resume.state;
    this.#position = position;
    if (writer !== undefined) this.#writer = this.#open(writer);
    for (const { batch: index, entries, lengths, bytes } of held) {
      const batch = resume.batches[index]!;
      let at = 0;
      const lines = entries.map((entry, line) => {
        const end = at + lengths[line]!;
        const own = { entry, bytes: bytes.subarray(at, end) };
        at = end;
        return own;
      });
      this.#held.set(batch, lines);
      this.#heldBytesOf.set(batch, bytes.length);
      this.#heldBytes += bytes.length;
    }
  }

  /** Takes a line of a batch; its place is set in the batch's manifest once it is known. Copies the bytes. */
  hold(batch: OpenBatch, bytes: Uint8Array): void {
    const lines = this.#held.get(batch);
    const held = { entry: batch.entries.count - 1, bytes: new Uint8Array(bytes) };
    if (lines === undefined) this.#held.set(batch, [held]);
    else lines.push(held);
    this.#heldBytesOf.set(batch, (this.#heldBytesOf.get(batch) ?? 0) + bytes.length);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_BYTES) this.settle(this.#largest());
  }

  /** Gives every line of the batch its place. */
  settle(batch: OpenBatch): void {
    for (const { entry, bytes } of this.#held.get(batch) ?? [])
      batch.entries.setOffset(entry, this.#append(bytes));
    this.#heldBytes -= this.#heldBytesOf.get(batch) ?? 0;
    this.#held.delete(batch);
    this.#heldBytesOf.delete(batch);
  }

  /** Writes a line at once and gives its place. Copies the bytes. */
  append(bytes: Uint8Array): number {
    return this.#append(new Uint8Array(bytes));
  }

  /** Writes what has a place. Call it between chunks of work. */
  async drain(): Promise<void> {
    if (this.#queue.length === 0) return;
    const bytes = Buffer.concat(this.#queue);
    this.#queue = [];
    this.#writer ??= this.#open();
    await this.#writer.write(bytes);
  }

  /** Makes the spool visible. */
  async close(): Promise<void> {
    await this.drain();
    await this.#writer?.close();
  }

  /**
   * Ends the work of this process on the spool: see {@link ObjectWriter.suspend}.
   * @param batches those that lines may be held of; the state names them by their places here.
   */
  async suspend(batches: readonly OpenBatch[]): Promise<SpoolState> {
    await this.drain();
    const writer = await this.#writer?.suspend();
    return {
      position: this.#position,
      ...(writer === undefined ? {} : { writer }),
      held: [...this.#held].map(([batch, lines]) => ({
        batch: batches.indexOf(batch),
        entries: lines.map(({ entry }) => entry),
        lengths: lines.map(({ bytes }) => bytes.length),
        bytes: Buffer.concat(lines.map(({ bytes }) => bytes)),
      })),
    };
  }

  async abort(): Promise<void> {
    await this.#writer?.abort();
  }

  #append(bytes: Uint8Array): number {
    const offset = this.#position;
    this.#queue.push(bytes, LINE_FEED);
    this.#position += bytes.length + 1;
    return offset;
  }

  #largest(): OpenBatch {
    let largest: OpenBatch | undefined;
    let most = -1;
    for (const [batch, bytes] of this.#heldBytesOf) {
      if (bytes > most) [largest, most] = [batch, bytes];
    }
    return largest!;
  }
}
