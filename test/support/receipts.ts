/** Receipts as tests need them: what a test does not say is that of a job of one request that succeeded. */
import type { Receipt } from '../../src/contract/receipt.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import { noUsage } from '../../src/core/model/usage.ts';

const AT = '2026-11-30T12:00:00.000Z';

/** What it was reckoned with. */
export const PRICES_STATED = { date: '2026-11-30' };

/** A whole receipt. */
export function receiptOf(changes: Partial<Receipt> = {}): Receipt {
  const { tiers, budget, overBudget, maxTries, onInvalid } = defaultSettings().routes[0]!;
  return {
    v: 1,
    jobId: 'job-1',
    stackId: 'stack-1',
    route: 'films',
    result: 'succeeded',
    input: { bucket: 'b', key: 'input/job-1.jsonl', versionId: 'v1', etag: '"e"', bytes: 10 },
    files: { receipt: 'receipts/job-1.jsonl.json' },
    terms: { tiers, budget, overBudget, maxTries, onInvalid, options: [], optionsNotApplied: [] },
    counts: { requests: 1, succeeded: 1, failed: 0, invalid: 0 },
    errorsByCode: {},
    firstInvalid: {},
    possiblyBilledTwice: {},
    incomplete: 0,
    filtered: 0,
    cutOtherwise: 0,
    repairedLines: 0,
    strayLines: 0,
    answeredBy: {},
    warnings: [],
    usage: noUsage(),
    tiers: {},
    cost: {
      usd: '0',
      possibleUsd: '0',
      standardUsd: '0',
      savedUsd: '0',
      byTier: {},
      toolUsd: '0',
      withoutUsage: 0,
      unpriced: 0,
      usageDiffers: 0,
    },
    prices: PRICES_STATED,
    batches: [],
    timings: { droppedAt: AT, claimedAt: AT, completedAt: AT, totalMs: 0 },
    ...changes,
  };
}
