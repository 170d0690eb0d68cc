/** What the functions have used, kept apart by function. */
import type { FunctionName } from './aws-prices.ts';
import { type BucketUse, noBucketUse } from './metered-objects.ts';
import { noTableUse, type TableUse } from './metered-table.ts';
import type { OpenAICall } from './modelled-openai.ts';

export interface Use {
  invocations: number;
  table: TableUse;
  bucket: BucketUse;
  openai: Partial<Record<OpenAICall, number>>;
  /** Sent to OpenAI, and read from it. */
  bytesOut: number;
  bytesIn: number;
  logLines: number;
  logBytes: number;
}

/** One run of the poll. */
export interface PollUse {
  /** Batches at OpenAI and batches waiting when it began. */
  atOpenAI: number;
  waiting: number;
  use: Use;
}

/** What is counted, from nothing. */
export function noUse(): Use {
  return {
    invocations: 0,
    table: noTableUse(),
    bucket: noBucketUse(),
    openai: {},
    bytesOut: 0,
    bytesIn: 0,
    logLines: 0,
    logBytes: 0,
  };
}

/** Adds what `more` has used. */
export function addUse(sum: Use, more: Use): void {
  sum.invocations += more.invocations;
  addCounts(sum.table, more.table);
  addCounts(sum.bucket, more.bucket);
  for (const [call, count] of Object.entries(more.openai) as [OpenAICall, number][])
    sum.openai[call] = (sum.openai[call] ?? 0) + count;
  sum.bytesOut += more.bytesOut;
  sum.bytesIn += more.bytesIn;
  sum.logLines += more.logLines;
  sum.logBytes += more.logBytes;
}

function addCounts<Counts extends object>(sum: Counts, more: Partial<Counts>): void {
  const counts = sum as Record<string, number>;
  for (const [name, count] of Object.entries(more)) counts[name] = counts[name]! + (count as number);
}

/** Keeps the books: whatever is counted while a function is invoked is that function's. */
export class UseOfFunctions {
  readonly #sums = new Map<FunctionName, Use>();
  /** What is counted outside of any invocation goes nowhere. */
  #present = noUse();

  add(use: { table?: Partial<TableUse>; bucket?: Partial<BucketUse> }): void {
    addCounts(this.#present.table, use.table ?? {});
    addCounts(this.#present.bucket, use.bucket ?? {});
  }

  addCall(call: OpenAICall, bytes: number): void {
    const { openai } = this.#present;
    openai[call] = (openai[call] ?? 0) + 1;
    if (call === 'upload') this.#present.bytesOut += bytes;
    if (call === 'read file') this.#present.bytesIn += bytes;
  }

  addLogLine(bytes: number): void {
    this.#present.logLines++;
    this.#present.logBytes += bytes;
  }

  /** @returns what this invocation has used. */
  async invoke(name: FunctionName, run: () => Promise<void>): Promise<Use> {
    const use = { ...noUse(), invocations: 1 };
    this.#present = use;
    try {
      await run();
    } finally {
      this.#present = noUse();
    }
    addUse(this.#sumOf(name), use);
    return use;
  }

  byFunction(): Record<FunctionName, Use> {
    const names = ['ingest', 'submit', 'poll', 'collect', 'finalize'] as const;
    return Object.fromEntries(names.map((name) => [name, this.#sumOf(name)])) as Record<FunctionName, Use>;
  }

  #sumOf(name: FunctionName): Use {
    const sum = this.#sums.get(name) ?? noUse();
    this.#sums.set(name, sum);
    return sum;
  }
}
