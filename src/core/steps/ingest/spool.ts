import { defined } from '../../base/defined.ts';
import type { ObjectStore, ObjectWriter, WriterState } from '../../ports/objects.ts';
import type { OpenBatch } from './cutter.ts';

/** Lines held in memory before the largest group of them is written out. */
const HELD_BYTES = 32_000_000;
/** Lines are held in pieces of memory of this size: 200 groups (limits.ts) leave half of each unused, 7 MB. */
const PIECE_BYTES = 64 * 1024;
/** Pieces that memory is taken for at a time: fewer and larger allocations cost the garbage collector less. */
const PIECES_AT_A_TIME = 64;
/** Pieces are put together to this many bytes for one write: each write of a file is a call to the system. */
const WRITE_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

/** A line to be written out. */
export interface SpoolLine {
  length: number;
  copyTo: (target: Uint8Array, at: number) => void;
}

/** A spool that another worker continues: plain data. */
export interface SpoolState {
  /** Bytes that have a place. */
  position: number;
  /** Absent while nothing was written. */
  writer?: WriterState;
  /** Lines without a place, by batch: those of its entries from `first` on, each with a line feed. */
  held: { batch: number; first: number; bytes: Uint8Array }[];
}

/** The lines of a batch that have no place yet: those of its entries from `first` on. */
interface HeldLines {
  first: number;
  bytes: number;
  pieces: Piece[];
}

/** Lines one after the other, each with a line feed: so a range of them can be sent as it is. */
interface Piece {
  memory: Uint8Array;
  used: number;
}

/**
 * Writes lines out once, for inputs whose own bytes cannot be sent: compressed ones, and those where models take turns
 * so often that no batch has ranges worth fetching. One object holds the lines of every batch; lines of a batch are
 * held back and written side by side, so that its ranges are large however many batches fill up at the same time.
 */
export class Spool {
  readonly #open: (resume?: WriterState) => ObjectWriter;
  #writer: ObjectWriter | undefined;
  /** Pieces whose lines have a place, in order. */
  #queue: Piece[] = [];
  /** Lines that were given a place one by one, after those of the queue. */
  #single: HeldLines = emptyLines(0);
  #position = 0;
  readonly #held = new Map<OpenBatch, HeldLines>();
  #heldBytes = 0;
  readonly #spare: Uint8Array[] = [];
  /** What is written next. */
  readonly #gathered = Buffer.allocUnsafeSlow(WRITE_BYTES);
  #gatheredBytes = 0;

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
    for (const { batch, first, bytes } of held) {
      const pieces = [{ memory: bytes, used: bytes.length }];
      this.#held.set(resume.batches[batch]!, { first, bytes: bytes.length, pieces });
      this.#heldBytes += bytes.length;
    }
  }

  /** Takes the line of the batch's last entry; its place is set in the batch's manifest once it is known. */
  hold(batch: OpenBatch, line: SpoolLine): void {
    let lines = this.#held.get(batch);
    if (lines === undefined) {
      lines = emptyLines(batch.entries.count - 1);
      this.#held.set(batch, lines);
    }
    this.#add(lines, line);
    this.#heldBytes += line.length + 1;
    if (this.#heldBytes > HELD_BYTES) this.settle(this.#largest());
  }

  /** Gives every line of the batch its place. */
  settle(batch: OpenBatch): void {
    const lines = this.#held.get(batch);
    if (lines === undefined) return;
    this.#held.delete(batch);
    this.#heldBytes -= lines.bytes;
    this.#queueSingle();
    this.#queue.push(...lines.pieces);
    const { entries } = batch;
    let place = this.#position;
    for (let entry = lines.first; entry < entries.count; entry++) {
      entries.setOffset(entry, place);
      place += entries.length(entry) + 1;
    }
    this.#position += lines.bytes;
  }

  /** Gives a line a place at once. Copies the bytes. */
  append(bytes: Uint8Array): number {
    const place = this.#position;
    this.#add(this.#single, { length: bytes.length, copyTo: (target, at) => target.set(bytes, at) });
    this.#position += bytes.length + 1;
    return place;
  }

  /** Writes what has a place, but for the last of it. Call it between chunks of work. */
  async drain(): Promise<void> {
    this.#queueSingle();
    for (const { memory, used } of this.#queue.splice(0)) {
      if (this.#gatheredBytes + used > WRITE_BYTES) await this.#write();
      if (used > WRITE_BYTES) {
        this.#writer ??= this.#open();
        await this.#writer.write(memory.subarray(0, used));
        continue;
      }
      this.#gathered.set(memory.subarray(0, used), this.#gatheredBytes);
      this.#gatheredBytes += used;
      if (memory.length === PIECE_BYTES) this.#spare.push(memory);
    }
  }

  async #write(): Promise<void> {
    if (this.#gatheredBytes === 0) return;
    this.#writer ??= this.#open();
    await this.#writer.write(this.#gathered.subarray(0, this.#gatheredBytes));
    this.#gatheredBytes = 0;
  }

  /** Makes the spool visible. */
  async close(): Promise<void> {
    await this.drain();
    await this.#write();
    await this.#writer?.close();
  }

  /**
   * Ends the work of this process on the spool: see {@link ObjectWriter.suspend}.
   * @param batches those that lines may be held of; the state names them by their places here.
   */
  async suspend(batches: readonly OpenBatch[]): Promise<SpoolState> {
    await this.drain();
    await this.#write();
    const writer = await this.#writer?.suspend();
    return defined({
      position: this.#position,
      writer,
      held: [...this.#held].map(([batch, { first, pieces }]) => ({
        batch: batches.indexOf(batch),
        first,
        bytes: Buffer.concat(pieces.map(({ memory, used }) => memory.subarray(0, used))),
      })),
    });
  }

  async abort(): Promise<void> {
    await this.#writer?.abort();
  }

  #add(lines: HeldLines, line: SpoolLine): void {
    const { length } = line;
    let piece = lines.pieces.at(-1);
    if (piece === undefined || piece.memory.length - piece.used <= length) {
      const memory = length < PIECE_BYTES ? this.#newPiece() : new Uint8Array(length + 1);
      piece = { memory, used: 0 };
      lines.pieces.push(piece);
    }
    line.copyTo(piece.memory, piece.used);
    piece.used += length + 1;
    piece.memory[piece.used - 1] = LINE_FEED;
    lines.bytes += length + 1;
  }

  #newPiece(): Uint8Array {
    if (this.#spare.length === 0) {
      const memory = Buffer.allocUnsafeSlow(PIECES_AT_A_TIME * PIECE_BYTES);
      for (let at = 0; at < memory.length; at += PIECE_BYTES)
        this.#spare.push(memory.subarray(at, at + PIECE_BYTES));
    }
    return this.#spare.pop()!;
  }

  #queueSingle(): void {
    if (this.#single.bytes === 0) return;
    this.#queue.push(...this.#single.pieces);
    this.#single = emptyLines(0);
  }

  #largest(): OpenBatch {
    let largest: OpenBatch | undefined;
    let most = -1;
    for (const [batch, { bytes }] of this.#held) if (bytes > most) [largest, most] = [batch, bytes];
    return largest!;
  }
}

function emptyLines(first: number): HeldLines {
  return { first, bytes: 0, pieces: [] };
}
