/**
 * What may be paid for is written down twice: before requests are called, or created in the background, the record
 * says up to which one they may have been; as answers come, they are kept as numbered segments in `work/`. So the next
 * worker of a slice knows which requests are answered, which surely were never called, and which may have been called
 * without an answer that anybody has.
 */
import { MINUTE_MS } from '../../../contract/time.ts';
import { NotYetError, ObjectGoneError } from '../../base/errors.ts';
import type { workKeys } from '../../files/keys.ts';
import { toCalling } from '../../lifecycle/batch-transitions.ts';
import { type LeasedBatch, TakenOverError } from '../../lifecycle/leased.ts';
import type { BatchRecord, Calls } from '../../model/batch.ts';
import type { BatchTransition } from '../../model/transition.ts';
import type { CallDeps } from './deps.ts';
import { type CallRequest, unansweredLine } from './requests.ts';
import { LEFT } from './unanswered.ts';

/** How many requests ahead of the calls the record says that they may have been called. */
const STRIDE = 32;

/** Answers are kept as soon as so many have come, or so much of them: images in answers take megabytes each. */
const KEEP_EVERY_ANSWERS = 64;
const KEEP_EVERY_CHARS = 32_000_000;

/** The objects of one slice below `work/`. */
export type SliceKeys = ReturnType<ReturnType<typeof workKeys>['calls']>;

/** Which requests of a slice are called, answered and kept. */
export class SliceProgress {
  readonly #deps: Pick<CallDeps, 'objects' | 'jobs'>;
  readonly #leased: LeasedBatch;
  readonly #batch: BatchRecord;
  readonly #keys: SliceKeys;
  readonly #onTakenOver: () => void;
  #requests: readonly CallRequest[] = [];
  /** By request: the number of the segment that holds its line. The lines of all answers are more than memory has. */
  readonly #kept = new Map<number, number>();
  /** By request: lines that no segment holds yet. */
  readonly #unkept = new Map<number, string>();
  #calls: Calls;
  #next: number;
  /** Surely not executed, although the record says that they may have been called: to be called. */
  readonly #again: number[];
  #isTakenOver = false;
  /** Writes to the record happen one after the other. */
  #writing: Promise<void> = Promise.resolve();

  /** @param onTakenOver is called when a write shows that another worker has the slice. */
  constructor(
    deps: Pick<CallDeps, 'objects' | 'jobs'>,
    leased: LeasedBatch,
    keys: SliceKeys,
    onTakenOver: () => void,
  ) {
    this.#deps = deps;
    this.#leased = leased;
    this.#batch = leased.record;
    this.#keys = keys;
    this.#onTakenOver = onTakenOver;
    this.#calls = this.#batch.calls ?? { started: 0, segments: 0, done: 0 };
    this.#next = this.#calls.started;
    this.#again = [...(this.#calls.again ?? [])];
  }

  get requests(): readonly CallRequest[] {
    return this.#requests;
  }

  /** Whether every request has a line. */
  get isComplete(): boolean {
    return this.#requests.every((_, index) => this.hasLine(index));
  }

  /** Whether no request is left to be called. */
  get isEmpty(): boolean {
    return this.#again.length === 0 && this.#next >= this.#requests.length;
  }

  /** Whether so much is in no segment yet that it is time to {@link keep} it. */
  get isToBeKept(): boolean {
    if (this.#unkept.size >= KEEP_EVERY_ANSWERS) return true;
    let chars = 0;
    for (const line of this.#unkept.values()) chars += line.length;
    return chars >= KEEP_EVERY_CHARS;
  }

  /** Lines that segments hold. */
  get kept(): number {
    return this.#calls.done;
  }

  /** Workers in a row that ended because the provider had no room. */
  get refusals(): number {
    return this.#calls.refusals ?? 0;
  }

  /** As the record has it, or will have it after the next write. */
  get calls(): Calls {
    return this.#calls;
  }

  /** Requests that may have been called, without an answer that is kept. */
  get unaccounted(): number[] {
    const again = new Set(this.#again);
    const announced = Array.from({ length: this.#next }, (_, index) => index);
    return announced.filter((index) => !this.hasLine(index) && !again.has(index));
  }

  hasLine(index: number): boolean {
    return this.#kept.has(index) || this.#unkept.has(index);
  }

  /** The requests by their ids. */
  get places(): ReadonlyMap<string, number> {
    return new Map(this.#requests.map(({ customId }, index) => [customId, index]));
  }

  /** Takes up the work of earlier workers. */
  async load(requests: readonly CallRequest[]): Promise<void> {
    this.#requests = requests;
    await this.#readSegments();
  }

  /** Segments that the record does not know hold answers, too: their worker died before it could say so. */
  async #readSegments(): Promise<void> {
    const { places } = this;
    for (let segment = 0; ; segment++) {
      const bytes = await this.#deps.objects.get(this.#keys.segment(segment));
      if (bytes === undefined) {
        if (segment < this.#calls.segments) throw this.#missing(segment);
        this.#calls = { ...this.#calls, segments: segment };
        return;
      }
      for (const { index } of linesIn(bytes, places)) {
        this.#kept.set(index, segment);
        this.wasSent(index);
      }
    }
  }

  #missing(segment: number): ObjectGoneError {
    return new ObjectGoneError(
      `${this.#keys.segment(segment)} is missing; it held answers that were paid for`,
    );
  }

  /** There is proof that a request was sent. */
  wasSent(index: number): void {
    // The record may be of an earlier time than the answers, if its table was restored.
    const again = this.#again.indexOf(index);
    if (again >= 0) this.#again.splice(again, 1);
    if (index < this.#calls.started) return;
    this.#calls = { ...this.#calls, started: index + 1 };
    this.#next = index + 1;
  }

  /** Says in the record that requests which surely were not called may be from now on. */
  async announceAgain(): Promise<void> {
    if (this.#again.length > 0) await this.#write(() => this.#record(this.#calls));
  }

  /** The next request; the record says first that it may have been called. */
  async take(): Promise<number | undefined> {
    const again = this.#again.shift();
    if (again !== undefined) return again;
    if (this.#next >= this.#requests.length) return undefined;
    const index = this.#next++;
    if (index >= this.#calls.started) await this.#announce(index);
    return index;
  }

  /** The next requests, `most` of them at the most; the record says first that they may have been called. */
  async takeWave(most: number): Promise<number[]> {
    const wave = this.#again.splice(0, most);
    while (wave.length < most && this.#next < this.#requests.length) wave.push(this.#next++);
    const started = Math.max(this.#calls.started, this.#next);
    await this.#write(() => this.#record({ ...this.#calls, started }, this.#again));
    return wave;
  }

  /** A request that was taken and surely was not executed. */
  putBack(index: number): void {
    this.#again.push(index);
  }

  async #announce(index: number): Promise<void> {
    await this.#write(async () => {
      if (index < this.#calls.started) return;
      await this.#record({ ...this.#calls, started: Math.min(index + STRIDE, this.#requests.length) });
    });
  }

  add(index: number, line: string): void {
    this.#unkept.set(index, line);
  }

  /** What the record is to say besides, from its next write on. */
  note(changes: Pick<Calls, 'created' | 'lookedAt' | 'closed' | 'restUntil'>): void {
    this.#calls = { ...this.#calls, ...changes };
  }

  /** @param error `null`: nobody knows what became of the request. */
  addUnanswered(index: number, error: { code: string; message: string } | null): void {
    this.add(index, unansweredLine(this.#customId(index), error));
  }

  #customId(index: number): string {
    return this.#requests[index]!.customId;
  }

  /** Keeps the answers that have come, and the lease. */
  async keep(again: readonly number[] = []): Promise<void> {
    await this.#write(async () => {
      // A copy: others are answered while these are written.
      const added = [...this.#unkept];
      let { segments } = this.#calls;
      if (added.length > 0) {
        if (this.#isTakenOver) await this.#checkLive();
        const body = bytesOf(added.map(([, line]) => line));
        // A worker whose lease ran out while it wrote may have been first: its answers stay where they are.
        while (!(await this.#deps.objects.put(this.#keys.segment(segments++), body, { ifAbsent: true })));
        for (const [index, line] of added) {
          this.#kept.set(index, segments - 1);
          if (this.#unkept.get(index) === line) this.#unkept.delete(index);
        }
      }
      await this.#record({ ...this.#calls, segments, done: this.#kept.size }, again);
    });
  }

  /**
   * Keeps the answers, and says which requests were not called although the record counts them. Only while no call is
   * under way; nothing is called any more after it.
   * @param refusals workers in a row that ended because the provider had no room. Default: as before.
   */
  async keepForNext(refusals?: number): Promise<void> {
    if (refusals !== undefined) this.#calls = { ...this.#calls, refusals };
    const announced = Math.max(0, this.#calls.started - this.#next);
    const unsent = Array.from({ length: announced }, (_, index) => this.#next + index);
    await this.keep([...this.#again, ...unsent]);
  }

  /**
   * Keeps the answers. Which requests were not sent is in the record and in what this gives, and in no segment: another
   * worker, should this one have lost the slice, may be sending them.
   * @param write is given the lines of the slice, those of requests that were not sent included, in no order.
   * @throws {ObjectGoneError} if an answer is not where it was kept.
   */
  async complete(write: (line: Uint8Array) => Promise<void>): Promise<void> {
    await this.keepForNext();
    const { places } = this;
    const written = new Set<number>();
    for (const segment of new Set(this.#kept.values())) {
      const bytes = await this.#deps.objects.get(this.#keys.segment(segment));
      if (bytes === undefined) throw this.#missing(segment);
      for (const { index, line } of linesIn(bytes, places)) {
        if (this.#kept.get(index) !== segment || written.has(index)) continue;
        written.add(index);
        await write(line);
      }
    }
    for (let index = 0; index < this.#requests.length; index++) {
      if (written.has(index)) continue;
      const segment = this.#kept.get(index);
      if (segment !== undefined) throw this.#missing(segment);
      await write(bytesOf([unansweredLine(this.#customId(index), LEFT)]));
    }
  }

  /** One write after the other; the error of one is not the next one's. */
  async #write(step: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(step);
    this.#writing = written.catch(() => {});
    await written;
  }

  async #record({ again: _, ...rest }: Calls, again: readonly number[] = []): Promise<void> {
    const calls: Calls = again.length === 0 ? rest : { ...rest, again: [...again] };
    await this.move(toCalling(this.#batch, calls));
    this.#calls = calls;
  }

  /** @throws {NotYetError} if another worker has the slice; nothing was written. */
  async move(transition: BatchTransition): Promise<void> {
    try {
      await this.#leased.move(transition);
    } catch (error) {
      throw error instanceof TakenOverError ? this.#takenOver() : error;
    }
  }

  /**
   * An answer that comes after another worker took over is kept as long as it may be found.
   * @throws {NotYetError} if the slice has ended: its requests were judged without that answer.
   */
  async #checkLive(): Promise<void> {
    const { jobId, batchId } = this.#batch;
    const batch = await this.#deps.jobs.getBatch(jobId, batchId);
    if (batch?.state !== 'admitted') throw this.#takenOver();
  }

  #takenOver(): NotYetError {
    this.#isTakenOver = true;
    this.#onTakenOver();
    return new NotYetError(`slice ${this.#batch.batchId} was taken over by another worker`, MINUTE_MS);
  }
}

/** Each line with its line feed. Never as one text: half a gigabyte of answers is more than a string can hold. */
function bytesOf(lines: readonly string[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0));
  let at = 0;
  for (const line of lines) {
    at += bytes.write(line, at);
    at += bytes.write('\n', at);
  }
  return bytes;
}

/** The lines of a segment, each with its line feed, by the places of their requests. */
function* linesIn(
  bytes: Uint8Array,
  places: ReadonlyMap<string, number>,
): Generator<{ index: number; line: Uint8Array }> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end: number;
  for (let start = 0; start < text.length; start = end) {
    const lineFeed = text.indexOf('\n', start);
    end = lineFeed < 0 ? text.length : lineFeed + 1;
    const line = text.subarray(start, end);
    const { custom_id } = JSON.parse(line.toString('utf8')) as { custom_id: string };
    const index = places.get(custom_id);
    if (index !== undefined) yield { index, line };
  }
}
