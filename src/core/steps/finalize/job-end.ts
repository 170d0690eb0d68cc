/** What the index keeps of a job that ends: taken from its receipt, and from its batches where that tells less. */

import type { Receipt } from '../../../contract/receipt.ts';
import { defined } from '../../base/defined.ts';
import { fromUsd } from '../../base/money.ts';
import { apiKeyOf, type BatchRecord } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import {
  type Amounts,
  addAmounts,
  type EndedJob,
  type JobEnd,
  MAX_MODELS_KEPT,
  type MonthRow,
  noAmounts,
  OTHER_MODELS,
} from '../../model/job-end.ts';
import { billedOf } from '../../pricing/bill.ts';

/** The end of a job, as its receipt says it. @param batches all of the job. */
export function endOf(job: Job, receipt: Receipt, batches: readonly BatchRecord[]): JobEnd {
  const ended = endedOf(job, receipt);
  const whole = wholeOf(receipt);
  return {
    ended,
    rows: [
      { of: 'total', name: '', amounts: whole },
      { of: 'route', name: ended.route, amounts: whole },
      { of: 'key', name: ended.apiKey, amounts: whole },
      ...tierRows(receipt),
      ...modelRows(batches),
    ],
  };
}

function endedOf(job: Job, receipt: Receipt): EndedJob {
  const { jobId, route, result, counts, cost, input, timings } = receipt;
  const { bucket, key, versionId } = input;
  return defined({
    v: 1,
    jobId,
    bucket,
    key,
    versionId,
    droppedAt: Date.parse(timings.droppedAt),
    endedAt: Date.parse(timings.completedAt),
    route,
    apiKey: apiKeyOf(job.route),
    result,
    cancelledAt: timings.cancelledAt === undefined ? undefined : Date.parse(timings.cancelledAt),
    rejection: receipt.rejection === undefined ? undefined : receipt.rejection.code,
    duplicateOf: receipt.duplicateOf === undefined ? undefined : receipt.duplicateOf.jobId,
    counts,
    usd: cost.usd,
    possibleUsd: cost.possibleUsd,
    standardUsd: cost.standardUsd,
    tiers: Object.keys(receipt.tiers),
    receiptKey: receipt.files.receipt,
  });
}

function wholeOf({ counts, usage, cost }: Receipt): Amounts {
  const { succeeded, failed, invalid } = counts;
  const { inputTokens, cachedTokens, outputTokens } = usage;
  return {
    jobs: 1,
    succeeded,
    failed,
    invalid,
    inputTokens,
    cachedTokens,
    outputTokens,
    cost: fromUsd(cost.usd)!,
    possibleCost: fromUsd(cost.possibleUsd)!,
    standardCost: fromUsd(cost.standardUsd)!,
  };
}

/** Requests by the tier that they were sent in; tokens and money by the tier that OpenAI billed. */
function tierRows({ tiers, cost }: Receipt): MonthRow[] {
  const names = new Set([...Object.keys(tiers), ...Object.keys(cost.byTier)] as (keyof Receipt['tiers'])[]);
  return [...names].map((name) => {
    const { succeeded = 0, failed = 0 } = tiers[name] ?? {};
    const { usage, usd = '0' } = cost.byTier[name] ?? {};
    const amounts = {
      ...noAmounts(),
      jobs: 1,
      succeeded,
      failed,
      inputTokens: usage?.inputTokens ?? 0,
      cachedTokens: usage?.cachedTokens ?? 0,
      outputTokens: usage?.outputTokens ?? 0,
      cost: fromUsd(usd)!,
    };
    return { of: 'tier', name, amounts };
  });
}

function modelRows(batches: readonly BatchRecord[]): MonthRow[] {
  const models = new Map<string, Amounts>();
  for (const { model, results } of batches) {
    if (results === undefined) continue;
    const isKept = models.has(model) || models.size < MAX_MODELS_KEPT;
    const name = isKept ? model : OTHER_MODELS;
    const amounts = models.get(name) ?? { ...noAmounts(), jobs: 1 };
    models.set(name, amounts);
    const { succeeded, failed, usage, bill } = results.outcome;
    const { inputTokens, cachedTokens, outputTokens } = usage;
    addAmounts(amounts, {
      ...noAmounts(),
      succeeded,
      failed,
      inputTokens,
      cachedTokens,
      outputTokens,
      cost: bill === undefined ? 0n : billedOf(bill),
      possibleCost: bill === undefined ? 0n : fromUsd(bill.possibleUsd)!,
      standardCost: bill === undefined ? 0n : fromUsd(bill.standardUsd)!,
    });
  }
  return [...models].map(([name, amounts]) => ({ of: 'model', name, amounts }));
}
