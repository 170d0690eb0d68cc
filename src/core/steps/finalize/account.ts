/** What a job cost and what became of its requests in each tier: added up from its batches, exactly. */
import { PRICED_TIERS } from '../../../contract/rates.ts';
import type { Receipt } from '../../../contract/receipt.ts';
import { fromUsd, type Picodollars, toUsd } from '../../base/money.ts';
import type { BatchRecord } from '../../model/batch.ts';
import { addUsage, noUsage, type TokenUsage } from '../../model/usage.ts';
import { billedOf } from '../../pricing/bill.ts';

/** The receipt's `cost`. */
export function costOf(batches: readonly BatchRecord[]): Receipt['cost'] {
  const bills = batches.flatMap(({ results }) => results?.outcome.bill ?? []);
  const usd = sumOf(bills, billedOf);
  const standard = sumOf(bills, ({ standardUsd }) => fromUsd(standardUsd)!);
  const byTier: Receipt['cost']['byTier'] = {};
  for (const tier of PRICED_TIERS) {
    const ofTier = bills.flatMap(({ tiers }) => tiers[tier] ?? []);
    if (ofTier.length === 0) continue;
    byTier[tier] = {
      results: ofTier.reduce((sum, { results }) => sum + results, 0),
      usage: usageOf(ofTier),
      usd: toUsd(sumOf(ofTier, (bill) => fromUsd(bill.usd)!)),
    };
  }
  return {
    usd: toUsd(usd),
    possibleUsd: toUsd(sumOf(bills, ({ possibleUsd }) => fromUsd(possibleUsd)!)),
    standardUsd: toUsd(standard),
    savedUsd: toUsd(standard - usd),
    byTier,
    toolUsd: toUsd(sumOf(bills, ({ toolUsd }) => fromUsd(toolUsd)!)),
    withoutUsage: bills.reduce((sum, { withoutUsage }) => sum + withoutUsage, 0),
    unpriced: bills.reduce((sum, { unpriced }) => sum + unpriced, 0),
    usageDiffers: bills.filter(({ differs }) => differs === true).length,
  };
}

/** The receipt's `tiers`. */
export function tiersOf(batches: readonly BatchRecord[]): Receipt['tiers'] {
  const tiers: Receipt['tiers'] = {};
  for (const batch of batches) {
    const { tier = 'batch' } = batch;
    const outcome = batch.results?.outcome;
    if (sentAt(batch) === undefined || outcome === undefined) continue;
    const counts = tiers[tier] ?? { succeeded: 0, failed: 0, retried: 0 };
    counts.succeeded += outcome.succeeded;
    counts.failed += outcome.failed;
    counts.retried += outcome.retried;
    tiers[tier] = counts;
  }
  return tiers;
}

/** How long the job waited to be sent, ran, and took from the drop on. */
export function durationsOf(
  batches: readonly Sent[],
  at: { droppedAt: number; claimedAt: number; completedAt: number },
): Pick<Receipt['timings'], 'queuedMs' | 'ranMs' | 'totalMs'> {
  const sent = batches.filter((batch) => sentAt(batch) !== undefined);
  const totalMs = Math.max(0, at.completedAt - at.droppedAt);
  if (sent.length === 0) return { totalMs };
  const first = sent.reduce((least, batch) => Math.min(least, sentAt(batch)!), Number.POSITIVE_INFINITY);
  const last = sent.reduce((most, { ending }) => Math.max(most, ending?.endedAt ?? first), first);
  return { queuedMs: Math.max(0, first - at.claimedAt), ranMs: Math.max(0, last - first), totalMs };
}

type Sent = Pick<BatchRecord, 'remote' | 'calls' | 'createdAt' | 'ending'>;

/** When a batch was sent, if it was. Requests that are called one by one are sent from when their slice was made on. */
function sentAt({ remote, calls, createdAt }: Sent): number | undefined {
  return remote?.submittedAt ?? (calls === undefined ? undefined : createdAt);
}

function usageOf(of: readonly { usage: TokenUsage }[]): TokenUsage {
  const sum = noUsage();
  for (const { usage } of of) addUsage(sum, usage);
  return sum;
}

function sumOf<Item>(items: readonly Item[], amountOf: (item: Item) => Picodollars): Picodollars {
  return items.reduce((sum, item) => sum + amountOf(item), 0n);
}
