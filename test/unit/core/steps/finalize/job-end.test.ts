import { expect, test } from 'vitest';
import type { Receipt } from '../../../../../src/contract/receipt.ts';
import {
  addAmounts,
  MAX_MODELS_KEPT,
  noAmounts,
  OTHER_MODELS,
} from '../../../../../src/core/model/job-end.ts';
import { noUsage } from '../../../../../src/core/model/usage.ts';
import { endOf } from '../../../../../src/core/steps/finalize/job-end.ts';
import { batchOf, jobOf, resultsOf } from '../../../../support/records.ts';

const AT = '2026-11-30T12:00:00.000Z';
const JOB = jobOf('job-1', { route: { ...jobOf('job-1').route, apiKey: 'team-a' } });
const USAGE = { ...noUsage(), inputTokens: 10, cachedTokens: 4, outputTokens: 5 };
const TIER = { results: 1, usage: USAGE, usd: '0.5' };
const BILL = {
  tiers: { batch: TIER, standard: { ...TIER, usd: '0.25' } },
  unpriced: 0,
  withoutUsage: 0,
  toolUsd: '0',
  standardUsd: '1.5',
  possibleUsd: '0.1',
};
const BATCHES = [
  batchOf('job-1', 0, {
    model: 'one',
    results: resultsOf({ outcome: { succeeded: 2, failed: 1, usage: USAGE, bill: BILL } }),
  }),
  batchOf('job-1', 1, { model: 'one', results: resultsOf({ outcome: { succeeded: 1 } }) }),
  batchOf('job-1', 2, { model: 'two', results: resultsOf({ outcome: { failed: 4 } }) }),
];

function receiptOf(changes: Partial<Receipt> = {}): Receipt {
  return {
    v: 1,
    jobId: 'job-1',
    stackId: 'stack-1',
    route: 'films',
    result: 'partial',
    input: { bucket: 'b', key: 'input/job-1.jsonl', versionId: 'v1', etag: '"e"', bytes: 10 },
    files: { receipt: 'receipts/job-1.jsonl.json' },
    counts: { requests: 10, succeeded: 3, failed: 5, invalid: 2 },
    usage: USAGE,
    tiers: { batch: { succeeded: 3, failed: 5, retried: 1 } },
    cost: {
      usd: '0.75',
      possibleUsd: '0.1',
      standardUsd: '1.5',
      savedUsd: '0.75',
      byTier: BILL.tiers,
      toolUsd: '0',
      withoutUsage: 0,
      unpriced: 0,
      usageDiffers: 0,
    },
    timings: { droppedAt: AT, claimedAt: AT, completedAt: AT, totalMs: 0 },
    ...changes,
  } as Receipt;
}

test('what is listed of a job is what its receipt says', () => {
  expect(endOf(JOB, receiptOf(), BATCHES).ended).toEqual({
    v: 1,
    jobId: 'job-1',
    bucket: 'b',
    key: 'input/job-1.jsonl',
    versionId: 'v1',
    droppedAt: Date.parse(AT),
    endedAt: Date.parse(AT),
    route: 'films',
    apiKey: 'team-a',
    result: 'partial',
    counts: { requests: 10, succeeded: 3, failed: 5, invalid: 2 },
    usd: '0.75',
    possibleUsd: '0.1',
    standardUsd: '1.5',
    tiers: ['batch'],
    receiptKey: 'receipts/job-1.jsonl.json',
  });
  const rejected = receiptOf({
    result: 'rejected',
    rejection: { code: 'cancelled', message: 'It was.' },
    duplicateOf: { jobId: 'job-0' },
  });
  expect(endOf(JOB, rejected, []).ended).toMatchObject({ rejection: 'cancelled', duplicateOf: 'job-0' });
});

test('a month gets the whole, by route and key, requests and money by tier, and what each model did', () => {
  const { rows } = endOf(JOB, receiptOf(), BATCHES);
  const of = Object.fromEntries(rows.map((row) => [`${row.of} ${row.name}`, row.amounts]));
  const tokens = { inputTokens: 10, cachedTokens: 4, outputTokens: 5 };
  const money = { cost: 750_000_000_000n, possibleCost: 100_000_000_000n, standardCost: 1_500_000_000_000n };
  const whole = { ...noAmounts(), jobs: 1, succeeded: 3, failed: 5, invalid: 2, ...tokens, ...money };
  expect(of).toEqual({
    'total ': whole,
    'route films': whole,
    'key team-a': whole,
    'tier batch': { ...noAmounts(), jobs: 1, succeeded: 3, failed: 5, ...tokens, cost: 500_000_000_000n },
    'tier standard': { ...noAmounts(), jobs: 1, ...tokens, cost: 250_000_000_000n },
    'model one': { ...noAmounts(), jobs: 1, succeeded: 3, failed: 1, ...tokens, ...money },
    'model two': { ...noAmounts(), jobs: 1, failed: 4 },
  });
});

test('of a job with more models than are kept, the others are added up, and one transaction holds all', () => {
  const batches = Array.from({ length: 100 }, (_, index) =>
    batchOf('job-1', index, { model: `m${index}`, results: resultsOf({ outcome: { succeeded: 1 } }) }),
  );
  const { rows } = endOf(JOB, receiptOf(), batches);
  const models = rows.filter((row) => row.of === 'model');
  expect(models).toHaveLength(MAX_MODELS_KEPT + 1);
  expect(models.at(-1)).toMatchObject({ name: OTHER_MODELS, amounts: { succeeded: 100 - MAX_MODELS_KEPT } });
  const sum = noAmounts();
  for (const { amounts } of models) addAmounts(sum, amounts);
  expect(sum.succeeded).toBe(100);
  // DynamoDB takes 100 items a transaction; two more are the job's lines.
  expect(rows.length).toBeLessThan(98);
});

test('a job that a person cancelled is listed with when, whatever came of it', () => {
  const timings = { droppedAt: AT, claimedAt: AT, cancelledAt: AT, completedAt: AT, totalMs: 0 };
  expect(endOf(JOB, receiptOf({ timings }), BATCHES).ended).toMatchObject({
    result: 'partial',
    cancelledAt: Date.parse(AT),
  });
  expect(endOf(JOB, receiptOf(), BATCHES).ended).not.toHaveProperty('cancelledAt');
});
