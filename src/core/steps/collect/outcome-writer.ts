import { defined } from '../../base/defined.ts';
import { asUtf8 } from '../../base/utf8.ts';
import { openaiErrorLine, statedErrorLine } from '../../files/error-line.ts';
import { type Manifest, ManifestEntries, type ManifestEntry } from '../../files/manifest.ts';
import { RunWriter } from '../../files/run-file.ts';
import { type BatchRecord, isSlice, type RunRef } from '../../model/batch.ts';
import { type BatchOutcome, noOutcome } from '../../model/outcome.ts';
import { triesOf } from '../../model/tries.ts';
import type { Cut } from '../../model/verdict.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import { CodeCounts } from './code-counts.ts';
import type { Decision } from './decide.ts';

/** Where the answers that were cut short are counted. */
const COUNT_OF_CUT = {
  token_limit: 'incomplete',
  content_filter: 'filtered',
  other: 'cutOtherwise',
} as const satisfies Record<Cut, keyof BatchOutcome>;

type Succeeded = Extract<Decision, { kind: 'succeeded' }>;
type Retry = Extract<Decision, { kind: 'retry' }>;
type Failed = Extract<Decision, { kind: 'failed' }>;

/** Where the lines of an outcome come from. */
export interface LineSources {
  /** The result line of a request. */
  lineOf: (index: number) => Promise<Uint8Array>;
  /** For the errors that we state ourselves; see custom-ids.ts. */
  customIds: ReadonlyMap<number, string>;
  /** Whether the manifest's offsets are those of the dropped object: those of a spool mean nothing to a person. */
  isInput: boolean;
}

type RunKeys = { data: string; index: string };

/**
 * Writes what became of the requests of a batch, in input order: a run of answers, one of final errors, and the rest
 * of them.
 */
export class OutcomeWriter {
  readonly #batch: BatchRecord;
  readonly #entries: ManifestEntries;
  readonly #lines: LineSources;
  readonly #output: RunWriter;
  readonly #errors: RunWriter;
  readonly #counts = noOutcome();
  readonly #failedByCode = new CodeCounts();
  readonly #billedTwice = new CodeCounts();
  /** Of the requests that go into the next round. */
  readonly next = new ManifestEntries();
  /** Indexes of the requests whose try OpenAI may have charged without an answer. */
  readonly lost: number[] = [];
  /** Of a slice: how often those of its requests were tried that have failed now; 0 if none. */
  failedTries = 0;

  constructor(
    objects: Pick<ObjectStore, 'openWrite'>,
    keys: { output: RunKeys; errors: RunKeys },
    batch: BatchRecord,
    { source, entries }: Manifest,
    lines: LineSources,
  ) {
    this.#batch = batch;
    this.#entries = entries;
    this.#lines = lines;
    this.#output = new RunWriter(objects, keys.output, source);
    this.#errors = new RunWriter(objects, keys.errors, source);
  }

  /** Writes one request down. */
  async add(index: number, decision: Decision): Promise<void> {
    const entry = this.#entries.at(index);
    if (decision.kind === 'succeeded') await this.#addAnswer(index, entry, decision);
    else {
      if (decision.lost !== undefined) this.lost.push(index);
      if (decision.kind === 'retry') this.#addToNext(entry, decision);
      else await this.#addError(index, entry, decision);
    }
    await this.#output.flush();
    await this.#errors.flush();
  }

  async #addAnswer(
    index: number,
    { line, offset, length }: ManifestEntry,
    { cut }: Succeeded,
  ): Promise<void> {
    this.#counts.succeeded++;
    if (cut !== undefined) this.#counts[COUNT_OF_CUT[cut]]++;
    this.#output.add(line, await this.#resultLine(index), { offset, length });
  }

  #addToNext(entry: ManifestEntry, { tried, lost }: Retry): void {
    this.#counts.retried++;
    if (isSlice(this.#batch) && tried !== entry.tried)
      this.failedTries = Math.max(this.failedTries, triesOf(tried));
    if (lost !== undefined) this.#billedTwice.add(lost);
    this.next.push({ ...entry, tried });
  }

  async #addError(index: number, entry: ManifestEntry, { code, tried, stated }: Failed): Promise<void> {
    const { line, offset, length } = entry;
    this.#counts.failed++;
    this.#failedByCode.add(code);
    const context = {
      line,
      byte: this.#lines.isInput ? offset : undefined,
      tries: triesOf(tried),
    };
    const text =
      stated === undefined
        ? openaiErrorLine(Buffer.from(await this.#resultLine(index)).toString('utf8'), context)
        : statedErrorLine(this.#lines.customIds.get(index) ?? null, stated, context);
    this.#errors.add(line, text, { offset, length });
  }

  async #resultLine(index: number): Promise<Uint8Array> {
    const given = await this.#lines.lineOf(index);
    const text = asUtf8(given);
    if (text !== given) this.#counts.repairedLines++;
    return text;
  }

  /** What was counted so far; stray lines, tokens and the bill are not this writer's. */
  counts(): BatchOutcome {
    return {
      ...this.#counts,
      failedByCode: this.#failedByCode.toRecord(),
      possiblyBilledTwice: this.#billedTwice.toRecord(),
    };
  }

  /** Makes the runs visible; one without a line is absent. */
  async close(): Promise<{ outputRun?: RunRef; errorRun?: RunRef }> {
    const outputRun = await this.#output.close();
    const errorRun = await this.#errors.close();
    return defined({
      outputRun,
      errorRun,
    });
  }

  /** Removes what was written of the runs; never throws. */
  async abort(): Promise<void> {
    await Promise.allSettled([this.#output.abort(), this.#errors.abort()]);
  }
}
