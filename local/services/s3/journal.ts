import {
  closeSync,
  createReadStream,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';

/** Lines are gathered to this size while a compacted journal is written. */
const COMPACTION_WRITE_BYTES = 1 << 20;

/**
 * An append-only file of JSON lines. One line is one commit: after a crash it is there whole or not at all. Appends are
 * synchronous, so that a check, the append and the change in memory are one step that nothing can come between; they
 * land in the system's page cache, which outlives the process but not the machine.
 */
export class Journal<Commit> {
  readonly #file: number;
  #sizeBytes: number;
  #isBroken = false;

  private constructor(file: number, sizeBytes: number) {
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  /**
   * Reads the commits of a journal, oldest first. A last line without its newline is a commit that was cut off before
   * anyone was answered: it is left out.
   *
   * @throws Error when a line other than the last is not JSON
   */
  static async *read<Commit>(file: string): AsyncGenerator<Commit> {
    let held: { line: string; number: number } | undefined;
    let number = 0;
    const lines = createInterface({ input: createReadStream(file, { flags: 'a+' }), crlfDelay: Infinity });
    for await (const line of lines) {
      if (held) yield parseCommit<Commit>(file, held);
      held = { line, number: ++number };
    }
    if (held && (await endsInNewline(file))) yield parseCommit<Commit>(file, held);
  }

  /** Replaces the journal by one that holds `commits`, in one rename, and opens it for appending. */
  static replace<Commit>(file: string, commits: Iterable<Commit>): Journal<Commit> {
    const next = `${file}.next`;
    const descriptor = openSync(next, 'w');
    const journal = new Journal<Commit>(descriptor, 0);
    let gathered = '';
    for (const commit of commits) {
      gathered += `${JSON.stringify(commit)}\n`;
      if (gathered.length >= COMPACTION_WRITE_BYTES) {
        journal.#write(gathered);
        gathered = '';
      }
    }
    journal.#write(gathered);
    fsyncSync(descriptor);
    renameSync(next, file);
    return journal;
  }

  /**
   * Appends a commit; when this returns, a crash of the process no longer loses it.
   *
   * @throws the file system's error; the journal is then as it was before
   */
  append(commit: Commit): void {
    if (this.#isBroken)
      throw new Error('The S3 journal could not be repaired after a failed write; restart.');
    this.#write(`${JSON.stringify(commit)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(text: string): void {
    const bytes = Buffer.from(text);
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.#file, bytes, done, bytes.length - done, this.#sizeBytes + done);
      }
    } catch (error) {
      this.#cutTornLine();
      throw error;
    }
    this.#sizeBytes += bytes.length;
  }

  #cutTornLine(): void {
    try {
      ftruncateSync(this.#file, this.#sizeBytes);
    } catch {
      this.#isBroken = true;
    }
  }
}

function parseCommit<Commit>(file: string, { line, number }: { line: string; number: number }): Commit {
  try {
    return JSON.parse(line) as Commit;
  } catch (cause) {
    throw new Error(
      `${file} line ${number}: expected a JSON commit, read ${line.length} characters that are not. ` +
        'The S3 state was damaged by something other than a crash: restore the folder or remove it.',
      { cause },
    );
  }
}

async function endsInNewline(file: string): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer[0] === 0x0a;
  } finally {
    await handle.close();
  }
}
