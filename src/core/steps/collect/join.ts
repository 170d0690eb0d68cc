/**
 * Joins OpenAI's result lines to the requests of a batch: by custom_id, never by order or by counts.
 */

import { Block } from '../../base/block.ts';
import { CustomIdHasher } from '../../base/custom-id-hash.ts';
import { IncompleteDownloadError } from '../../base/errors.ts';
import { LineSplitter } from '../../files/lines.ts';
import type { Manifest, ManifestEntries } from '../../files/manifest.ts';
import { readRanges } from '../../files/ranges.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { Asked, Verdict } from '../../model/verdict.ts';
import type { ByteStream, ObjectStore } from '../../ports/objects.ts';
import type { AnswerRules } from '../../ports/provider-rules.ts';
import type { ScratchFile } from '../../ports/scratch.ts';
import { bodyOf } from '../../results/line-body.ts';
import { LONG_STRING, writeOutline } from './outline.ts';

/** Longest result line that is read: ten images of 4 MB, and room. */
const MAX_RESULT_LINE_BYTES = 128 * 1024 * 1024;

/** Lines that are read together from a result file, for those that the scratch file had no room for. */
const WINDOW_BYTES = 32 * 1024 * 1024;

/** Shorter lines are parsed as they are. */
const OUTLINED_BYTES = 2 * 1024;

/** Lines are appended to the scratch file together. */
const FLUSH_BYTES = 1024 * 1024;

/** Where the line of a request is; from {@link FIRST_FILE} on, in which of the result files; 0: it has none. */
const IN_SCRATCH = 1;
const FIRST_FILE = 2;

/** Where lines are kept until they are asked for. */
export interface LineStores {
  /** Takes what it has room for. */
  scratch: ScratchFile;
  /** Gives the others, from the result files themselves. */
  objects: Pick<ObjectStore, 'read'>;
}

/**
 * Is given the body of each result that counts, whose it is, and whether the request succeeded with it: of an answer
 * that follows an error, both. Long strings may be left out of it.
 */
type OnResult = (index: number, body: Record<string, unknown>, isAnswer: boolean) => void;

export interface JoinOptions {
  /** By which the provider's lines are judged. */
  rules: Pick<AnswerRules, 'verdictOf'>;
  /** What is known of a request, to judge its answer by. */
  askedOf: (index: number) => Asked;
  /** Counts lines that are not whole as stray instead of failing. Default: false. */
  takesWhatIsReadable?: boolean;
  onResult?: OnResult;
}

/** The results of one batch: some 40 bytes of memory for each request; lines on disk, or where they came from. */
export class Join {
  readonly #stores: LineStores;
  readonly #hasher: CustomIdHasher;
  readonly #requests: RequestIndex;
  readonly #takesWhatIsReadable: boolean;
  readonly #rules: JoinOptions['rules'];
  readonly #askedOf: (index: number) => Asked;
  readonly #onResult: OnResult;
  /** Every verdict that occurs, once: a request has its place here. The first one means none. */
  readonly #verdicts: (Verdict | undefined)[] = [undefined];
  readonly #placeOfVerdict = new Map<string, number>();
  readonly #verdictOf: Uint32Array;
  readonly #whereIs: Uint8Array;
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #files: SourceObject[] = [];
  /** Lines that were read from result files ahead of being asked for, and where each begins. */
  readonly #window = new Block();
  readonly #placeInWindow = new Map<number, number>();
  readonly #line = new Block();
  readonly #outline = new Block();
  #written = 0;
  /** Requests that have a line. */
  known = 0;
  /** Set where a file could not be read to its end, so that a missing line says nothing. */
  isUnreadable = false;
  /** Lines that name no request of this batch, or one that has a better answer already. */
  strayLines = 0;

  constructor({ entries }: Manifest, jobId: string, stores: LineStores, options: JoinOptions) {
    this.#rules = options.rules;
    this.#askedOf = options.askedOf;
    this.#onResult = options.onResult ?? (() => {});
    this.#takesWhatIsReadable = options.takesWhatIsReadable ?? false;
    this.#stores = stores;
    this.#hasher = new CustomIdHasher(jobId);
    this.#requests = new RequestIndex(entries);
    this.#verdictOf = new Uint32Array(entries.count);
    this.#whereIs = new Uint8Array(entries.count);
    this.#offsets = new Float64Array(entries.count);
    this.#lengths = new Uint32Array(entries.count);
  }

  /**
   * Takes in one result file.
   * @param expectedBytes its size as it should be.
   * @param source where it can be read again.
   * @throws {IncompleteDownloadError} if it is shorter or longer than that, or a line of it is not whole.
   */
  async addFile(name: string, body: ByteStream, expectedBytes: number, source: SourceObject): Promise<void> {
    const place = FIRST_FILE + this.#files.push(source) - 1;
    const pending = new Block();
    const splitter = new LineSplitter((line) => {
      if (line.bytes === undefined) {
        throw new IncompleteDownloadError(
          `${name}, line ${line.line}: ${line.length} bytes; a result line of at most ${MAX_RESULT_LINE_BYTES} was expected`,
        );
      }
      const index = this.#judge(name, line.line, line.bytes);
      if (index === undefined) return;
      this.#lengths[index] = line.length;
      if (this.#written + line.length <= this.#stores.scratch.roomBytes) {
        this.#whereIs[index] = IN_SCRATCH;
        this.#offsets[index] = this.#written;
        this.#written += line.length;
        pending.add(line.bytes);
      } else {
        this.#whereIs[index] = place;
        this.#offsets[index] = line.offset;
      }
    }, MAX_RESULT_LINE_BYTES);
    const flush = async (): Promise<void> => {
      if (pending.length > 0) await this.#stores.scratch.append(pending.bytes());
      pending.clear();
    };
    for await (const chunk of body) {
      splitter.push(chunk);
      if (pending.length >= FLUSH_BYTES) await flush();
    }
    if (splitter.position !== expectedBytes) {
      throw new IncompleteDownloadError(
        `${name}: read ${splitter.position} bytes of ${expectedBytes}; fetch it again`,
      );
    }
    splitter.end();
    await flush();
  }

  /**
   * The first good answer is kept; an error is kept until an answer comes.
   * @returns whose line this is from now on, if anybody's.
   */
  #judge(name: string, number: number, bytes: Uint8Array): number | undefined {
    let result: Result;
    try {
      result = this.#read(name, number, bytes);
    } catch (error) {
      if (!this.#takesWhatIsReadable) throw error;
      this.isUnreadable = true;
      this.strayLines++;
      return undefined;
    }
    const { line, index, verdict } = result;
    const known = index === undefined ? undefined : this.verdict(index);
    if (index === undefined || known?.kind === 'succeeded' || (known && verdict.kind !== 'succeeded')) {
      this.strayLines++;
      return undefined;
    }
    if (known !== undefined) this.strayLines++;
    else this.known++;
    const body = bodyOf(line);
    if (body !== undefined) this.#onResult(index, body, verdict.kind === 'succeeded');
    this.#verdictOf[index] = this.#place(verdict);
    return index;
  }

  /** Without the answer's text, if that is enough to know that there is one; error lines are read as they are. */
  #read(name: string, number: number, bytes: Uint8Array): Result {
    if (bytes.length >= OUTLINED_BYTES && writeOutline(bytes, this.#outline)) {
      const result = this.#resultOf(parse(name, number, bytes.length, this.#outline.bytes()));
      // An id that was left out belongs to no request.
      if (result.verdict.kind === 'succeeded' && result.line.custom_id !== LONG_STRING) return result;
    }
    return this.#resultOf(parse(name, number, bytes.length, bytes));
  }

  #resultOf(line: Record<string, unknown>): Result {
    let index: number | undefined;
    if (typeof line.custom_id === 'string') {
      this.#hasher.hashText(line.custom_id);
      index = this.#requests.find(this.#hasher.hash0, this.#hasher.hash1);
    }
    const asked = index === undefined ? {} : this.#askedOf(index);
    return { line, index, verdict: this.#rules.verdictOf(line, asked) };
  }

  #place(verdict: Verdict): number {
    const text = Object.values(verdict).join(' ');
    let place = this.#placeOfVerdict.get(text);
    if (place === undefined) {
      place = this.#verdicts.push(verdict) - 1;
      this.#placeOfVerdict.set(text, place);
    }
    return place;
  }

  /** What is known of a request; `undefined`: it is in neither file. */
  verdict(index: number): Verdict | undefined {
    return this.#verdicts[this.#verdictOf[index]!];
  }

  /**
   * The request's result line, as OpenAI wrote it; valid until the next one is asked for. Ask in ascending order:
   * lines are read ahead.
   */
  async line(index: number): Promise<Uint8Array> {
    const length = this.#lengths[index]!;
    if (this.#whereIs[index] === IN_SCRATCH) {
      const line = this.#line.take(length);
      await this.#stores.scratch.read(this.#offsets[index]!, line);
      return line;
    }
    if (!this.#placeInWindow.has(index)) await this.#readWindow(index);
    const start = this.#placeInWindow.get(index)!;
    return this.#window.bytes().subarray(start, start + length);
  }

  /** Reads the line of a request and of those that follow it, in the order of their files. */
  async #readWindow(first: number): Promise<void> {
    const window: number[] = [];
    let bytes = 0;
    for (let index = first; index < this.#whereIs.length && bytes < WINDOW_BYTES; index++) {
      if (this.#whereIs[index]! < FIRST_FILE) continue;
      window.push(index);
      bytes += this.#lengths[index]!;
    }
    this.#placeInWindow.clear();
    this.#window.clear();
    const text = this.#window.take(bytes);
    let start = 0;
    for (const index of window) {
      this.#placeInWindow.set(index, start);
      start += this.#lengths[index]!;
    }
    window.sort((a, b) => this.#offsets[a]! - this.#offsets[b]!);
    for (const [file, source] of this.#files.entries()) {
      const wanted = window.filter((index) => this.#whereIs[index] === FIRST_FILE + file);
      const ranges = wanted.map((index) => ({
        offset: this.#offsets[index]!,
        length: this.#lengths[index]!,
      }));
      let filled = 0;
      for await (const piece of readRanges(this.#stores.objects, source, ranges)) {
        text.set(piece.bytes, this.#placeInWindow.get(wanted[piece.index]!)! + filled);
        filled = piece.last ? 0 : filled + piece.bytes.length;
      }
    }
  }
}

/** A line that was read: whose it is, if anybody's, and what it says. */
interface Result {
  line: Record<string, unknown>;
  index: number | undefined;
  verdict: Verdict;
}

/** Finds a request by its id's hash: open addressing, at most half full. */
class RequestIndex {
  readonly #mask: number;
  /** Index of a request plus 1; 0 marks an empty slot. */
  readonly #slots: Uint32Array;
  readonly #hashes: Uint32Array;

  constructor(entries: ManifestEntries) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1, entries.count) * 2));
    this.#mask = slots - 1;
    this.#slots = new Uint32Array(slots);
    this.#hashes = new Uint32Array(2 * entries.count);
    for (let index = 0; index < entries.count; index++) {
      const { hash0, hash1 } = entries.at(index);
      this.#hashes[2 * index] = hash0;
      this.#hashes[2 * index + 1] = hash1;
      this.#slots[this.#slotOf(hash0, hash1)] = index + 1;
    }
  }

  find(hash0: number, hash1: number): number | undefined {
    const found = this.#slots[this.#slotOf(hash0, hash1)]!;
    return found === 0 ? undefined : found - 1;
  }

  /** The slot of a hash, or the empty one where it would be. */
  #slotOf(hash0: number, hash1: number): number {
    for (let slot = hash0 & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = 2 * (this.#slots[slot]! - 1);
      if (at < 0 || (this.#hashes[at] === hash0 && this.#hashes[at + 1] === hash1)) return slot;
    }
  }
}

function parse(name: string, number: number, length: number, bytes: Uint8Array): Record<string, unknown> {
  let line: unknown;
  try {
    line = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    // JSON.parse quotes what it read, which may be an answer: its message must not travel.
    throw new IncompleteDownloadError(
      `${name}, line ${number}: ${length} bytes that are not JSON; fetch it again`,
    );
  }
  if (typeof line !== 'object' || line === null || Array.isArray(line)) {
    throw new IncompleteDownloadError(`${name}, line ${number}: not a JSON object; fetch it again`);
  }
  return line as Record<string, unknown>;
}
