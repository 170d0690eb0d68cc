/** The index of ended jobs and what months add up to, recounted from the receipts. */
import type { Receipt } from '../../../../src/contract/receipt.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import type { Amounts, EndedJob, MonthRow } from '../../../../src/core/model/job-end.ts';
import { picodollarsOf } from './money.ts';

/** What is looked at of a stack's index. */
export interface IndexOfStack {
  ended: readonly EndedJob[];
  months: readonly string[];
  readMonth(month: string): Promise<MonthRow[]>;
}

/** What is compared. Of a tier, not every amount is told apart. */
const OF_ALL = ['jobs', 'succeeded', 'failed', 'invalid', 'inputTokens', 'outputTokens', 'cost'] as const;
const BY_DIMENSION = {
  route: OF_ALL,
  key: OF_ALL,
  // A job may have several, and what is invalid has none.
  model: ['succeeded', 'failed', 'inputTokens', 'outputTokens', 'cost'],
  // Requests that were never sent are in no tier.
  tier: ['succeeded', 'cost'],
} as const satisfies Record<Exclude<MonthRow['of'], 'total'>, readonly (keyof Amounts)[]>;

/**
 * Every job that has ended is listed once, and counted once.
 * @param of.jobs of the stack.
 * @param of.receipts of those that are no duplicates.
 * @param of.forgotten which of them were forgotten: they count, and are not listed.
 */
export async function checkMonths(
  index: IndexOfStack,
  {
    jobs,
    receipts,
    forgotten = new Set(),
  }: { jobs: readonly Job[]; receipts: readonly Receipt[]; forgotten?: ReadonlySet<string> },
  report: (text: string) => void,
): Promise<void> {
  const ended = new Map(
    jobs.filter(({ receiptKey }) => receiptKey !== undefined).map((job) => [job.jobId, job]),
  );
  const listed = new Set(index.ended.map(({ jobId }) => jobId));
  for (const [jobId, { result }] of ended) {
    if (forgotten.has(jobId)) continue;
    const line = index.ended.find((one) => one.jobId === jobId);
    if (line === undefined) report(`job ${jobId} has ended and is not listed`);
    else if (line.result !== result) report(`job ${jobId} is ${result}, and is listed as ${line.result}`);
  }
  for (const jobId of listed) if (!ended.has(jobId)) report(`job ${jobId} is listed, and has not ended`);
  const rows = (await Promise.all(index.months.map((month) => index.readMonth(month)))).flat();
  const total = sumOf(rows, 'total');
  const counted = recount(ended.size, receipts);
  for (const name of OF_ALL)
    if (total[name] !== BigInt(counted[name]))
      report(`the months have ${total[name]} ${name}; the receipts have ${counted[name]}`);
  for (const [dimension, names] of Object.entries(BY_DIMENSION)) {
    const sum = sumOf(rows, dimension as MonthRow['of']);
    for (const name of names)
      if (sum[name] !== total[name])
        report(`the months have ${total[name]} ${name}; by ${dimension} they are ${sum[name]}`);
  }
}

type Counted = Record<(typeof OF_ALL)[number], bigint>;

function sumOf(rows: readonly MonthRow[], of: MonthRow['of']): Counted {
  const sum = (name: (typeof OF_ALL)[number]): bigint =>
    rows.filter((row) => row.of === of).reduce((all, { amounts }) => all + BigInt(amounts[name]), 0n);
  return Object.fromEntries(OF_ALL.map((name) => [name, sum(name)])) as Counted;
}

function recount(jobs: number, receipts: readonly Receipt[]): Counted {
  const sum = (of: (receipt: Receipt) => number): bigint =>
    BigInt(receipts.reduce((all, receipt) => all + of(receipt), 0));
  return {
    jobs: BigInt(jobs),
    succeeded: sum(({ counts }) => counts.succeeded),
    failed: sum(({ counts }) => counts.failed),
    invalid: sum(({ counts }) => counts.invalid),
    inputTokens: sum(({ usage }) => usage.inputTokens),
    outputTokens: sum(({ usage }) => usage.outputTokens),
    cost: receipts.reduce((all, { cost }) => all + picodollarsOf(cost.usd), 0n),
  };
}
