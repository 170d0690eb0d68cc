/**
 * Joins OpenAI's result lines to the requests of a batch: by custom_id, never by order or by counts.
 */
import { CustomIdHasher } from '../custom-id-hash.ts';
import { IncompleteDownloadError } from '../errors.ts';
import { LineSplitter } from '../ingest/lines.ts';
import type { Manifest } from '../manifest.ts';
import type { TokenUsage } from '../model.ts';
import type { ByteStream, ScratchFile } from '../ports.ts';
import { addUsage, classify, noUsage, type Verdict } from './classify.ts';

/** Longest result line that is read: ten images of 4 MB, and room. */
const MAX_RESULT_LINE_BYTES = 128 * 1024 * 1024;

/** What is known of one request of the batch. */
type Entry = { verdict: Verdict; offset: number; length: number } | undefined;

/** The results of one batch: verdicts in memory, lines in a scratch file. */
export class Join {
  readonly #scratch: ScratchFile;
  readonly #hasher: CustomIdHasher;
  readonly #indexOf = new Map<bigint, number>();
  readonly #entries: Entry[];
  readonly #takesWhatIsReadable: boolean;
  #written = 0;
  /** Requests that have a line. */
  known = 0;
  /** Set where a file could not be read to its end, so that a missing line says nothing. */
  isUnreadable = false;
  /** Lines that name nobody of this batch, or somebody who has a better answer already. */
  strayLines = 0;

  /** @param options.takesWhatIsReadable counts lines that are not whole as stray instead of failing. Default: false. */
  constructor(
    manifest: Manifest,
    jobId: string,
    scratch: ScratchFile,
    options: { takesWhatIsReadable?: boolean } = {},
  ) {
    this.#takesWhatIsReadable = options.takesWhatIsReadable ?? false;
    this.#scratch = scratch;
    this.#hasher = new CustomIdHasher(jobId);
    this.#entries = new Array<Entry>(manifest.entries.count).fill(undefined);
    for (let index = 0; index < manifest.entries.count; index++) {
      const { hash0, hash1 } = manifest.entries.at(index);
      this.#indexOf.set(key(hash0, hash1), index);
    }
  }

  /**
   * Takes in one result file.
   * @param expectedBytes its size as OpenAI tells it, if it does.
   * @throws {IncompleteDownloadError} if it is shorter or longer than that, or a line of it is not whole.
   */
  async addFile(name: string, body: ByteStream, expectedBytes: number | undefined): Promise<void> {
    let pending: Uint8Array[] = [];
    const splitter = new LineSplitter((line) => {
      if (line.bytes === undefined) {
        throw new IncompleteDownloadError(
          `${name}, line ${line.line}: ${line.length} bytes; a result line of at most ${MAX_RESULT_LINE_BYTES} was expected`,
        );
      }
      const kept = this.#add(name, line.line, line.bytes);
      if (kept !== undefined) pending.push(kept);
    }, MAX_RESULT_LINE_BYTES);
    const flush = async (): Promise<void> => {
      if (pending.length > 0) await this.#scratch.append(Buffer.concat(pending));
      pending = [];
    };
    for await (const chunk of body) {
      splitter.push(chunk);
      await flush();
    }
    if (expectedBytes !== undefined && splitter.position !== expectedBytes) {
      throw new IncompleteDownloadError(
        `${name}: read ${splitter.position} bytes, OpenAI has ${expectedBytes}; fetch it again`,
      );
    }
    splitter.end();
    await flush();
  }

  /** The first good answer stands; an error stands until an answer comes. */
  #add(name: string, number: number, bytes: Uint8Array): Uint8Array | undefined {
    let line: Record<string, unknown>;
    try {
      line = parse(name, number, bytes);
    } catch (error) {
      if (!this.#takesWhatIsReadable) throw error;
      this.isUnreadable = true;
      this.strayLines++;
      return undefined;
    }
    if (typeof line.custom_id !== 'string') {
      this.strayLines++;
      return undefined;
    }
    this.#hasher.hashText(line.custom_id);
    const index = this.#indexOf.get(key(this.#hasher.hash0, this.#hasher.hash1));
    const verdict = classify(line);
    const known = index === undefined ? undefined : this.#entries[index];
    if (
      index === undefined ||
      known?.verdict.kind === 'succeeded' ||
      (known && verdict.kind !== 'succeeded')
    ) {
      this.strayLines++;
      return undefined;
    }
    if (known !== undefined) this.strayLines++;
    else this.known++;
    this.#entries[index] = { verdict, offset: this.#written, length: bytes.length };
    this.#written += bytes.length;
    // Not `slice`, which copies nothing if the bytes are a Buffer.
    return new Uint8Array(bytes);
  }

  /** What is known of a request; `undefined`: it is in neither file. */
  verdict(index: number): Verdict | undefined {
    return this.#entries[index]?.verdict;
  }

  /** The request's result line, as OpenAI wrote it. */
  async line(index: number): Promise<Uint8Array> {
    const entry = this.#entries[index]!;
    return this.#scratch.read(entry.offset, entry.length);
  }

  /** Tokens of every answer that is kept. */
  usage(): TokenUsage {
    const sum = noUsage();
    for (const entry of this.#entries)
      if (entry?.verdict.kind === 'succeeded') addUsage(sum, entry.verdict.usage);
    return sum;
  }
}

function parse(name: string, number: number, bytes: Uint8Array): Record<string, unknown> {
  let line: unknown;
  try {
    line = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    // JSON.parse quotes what it read, which may be an answer: its message must not travel.
    throw new IncompleteDownloadError(
      `${name}, line ${number}: ${bytes.length} bytes that are not JSON; fetch it again`,
    );
  }
  if (typeof line !== 'object' || line === null || Array.isArray(line)) {
    throw new IncompleteDownloadError(`${name}, line ${number}: not a JSON object; fetch it again`);
  }
  return line as Record<string, unknown>;
}

function key(hash0: number, hash1: number): bigint {
  return (BigInt(hash0) << 32n) | BigInt(hash1);
}
