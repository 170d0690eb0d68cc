/** What is kept of a job that has ended, to be listed and added up without looking at every job. */
import * as z from 'zod';
import { receiptSchema } from '../../contract/receipt.ts';
import type { Picodollars } from '../base/money.ts';

/** Epoch milliseconds. */
const time = z.number();

/** A line of the index of ended jobs. */
export const endedJobSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  bucket: z.string(),
  key: z.string(),
  versionId: z.exactOptional(z.string()),
  droppedAt: time,
  /** When its receipt was made. After a crash at that very moment, the one that stands may say a moment later. */
  endedAt: time,
  route: z.string(),
  /** Name of the API key of its route. */
  apiKey: z.string(),
  result: receiptSchema.shape.result,
  /** When it was cancelled, whatever came of it. Absent also on lines that are older than this member. */
  cancelledAt: z.exactOptional(time),
  /** Code of why nothing of it was run. */
  rejection: z.exactOptional(z.string()),
  /** Of a duplicate: the job that has answered it. */
  duplicateOf: z.exactOptional(z.string()),
  counts: receiptSchema.shape.counts,
  /** What it cost, what OpenAI may have charged beyond that, and what standard would have cost: exact decimals. */
  usd: z.string(),
  possibleUsd: z.string(),
  standardUsd: z.string(),
  /** Tiers in which something of it was sent. */
  tiers: z.array(z.string()),
  receiptKey: z.string(),
});
/** See {@link endedJobSchema}. */
export type EndedJob = z.infer<typeof endedJobSchema>;

/** What is added up for a month. */
export interface Amounts {
  jobs: number;
  succeeded: number;
  failed: number;
  invalid: number;
  inputTokens: number;
  /** Part of the input tokens. */
  cachedTokens: number;
  outputTokens: number;
  /** What results cost. */
  cost: Picodollars;
  /** The most that OpenAI may have charged beyond that. Of a tier: 0, it is not kept separately. */
  possibleCost: Picodollars;
  /** What the same would have cost in standard. Of a tier: 0, it is not kept separately. */
  standardCost: Picodollars;
}

/** By what a month is broken down. `key`: the name of an API key. */
export const DIMENSIONS = ['route', 'model', 'tier', 'key'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** What a month has of one thing, or what one job adds to it. */
export interface MonthRow {
  of: 'total' | Dimension;
  /** Of the route, the model, the tier, the API key. Of the total: empty. */
  name: string;
  amounts: Amounts;
}

/** The end of a job: its line of the index, and what it adds to its month. */
export interface JobEnd {
  ended: EndedJob;
  /** Each thing once. */
  rows: readonly MonthRow[];
}

/** Of so many models a job's share is kept; that of the others is added up as {@link OTHER_MODELS}. */
export const MAX_MODELS_KEPT = 60;
/** See {@link MAX_MODELS_KEPT}. */
export const OTHER_MODELS = 'other models';

/** UTC day of a time: `2026-11-30`. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** UTC month of a time: `2026-11`. */
export function monthOf(time: number): string {
  return new Date(time).toISOString().slice(0, 7);
}

/** The one that was dropped last first; of one second, the one that ended last. */
export function byDrop(one: EndedJob, other: EndedJob): number {
  return other.droppedAt - one.droppedAt || other.endedAt - one.endedAt;
}

/** Nothing. */
export function noAmounts(): Amounts {
  return {
    jobs: 0,
    succeeded: 0,
    failed: 0,
    invalid: 0,
    inputTokens: 0,
    cachedTokens: 0,
    outputTokens: 0,
    cost: 0n,
    possibleCost: 0n,
    standardCost: 0n,
  };
}

/** Adds `more` to `sum`. */
export function addAmounts(sum: Amounts, more: Amounts): void {
  sum.jobs += more.jobs;
  sum.succeeded += more.succeeded;
  sum.failed += more.failed;
  sum.invalid += more.invalid;
  sum.inputTokens += more.inputTokens;
  sum.cachedTokens += more.cachedTokens;
  sum.outputTokens += more.outputTokens;
  sum.cost += more.cost;
  sum.possibleCost += more.possibleCost;
  sum.standardCost += more.standardCost;
}
