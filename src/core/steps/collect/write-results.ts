/**
 * From the joined results of a batch to what became of each of its requests: runs, counts, the bill and the next
 * round.
 */

import { MINUTE_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import { defined } from '../../base/defined.ts';
import { OutOfTimeError } from '../../base/errors.ts';
import { workKeys } from '../../files/keys.ts';
import type { ManifestEntries } from '../../files/manifest.ts';
import { cutIntoSlices } from '../../files/slices.ts';
import { retryAt } from '../../lifecycle/step-failure.ts';
import type { BatchRecord, NextBatch } from '../../model/batch.ts';
import type { Bill } from '../../model/outcome.ts';
import { differ } from '../../pricing/bill.ts';
import type { Tally } from '../../pricing/tally.ts';
import { liftSuspensionsFor, suspendFor } from '../../scheduling/operator-errors.ts';
import { noteRetired, retiredError } from '../../scheduling/retirement.ts';
import type { CodeCounts } from './code-counts.ts';
import { readCustomIds } from './custom-ids.ts';
import { type Decision, decide, decideRepair, modelGoneCode, unreadable } from './decide.ts';
import type { Collection, DepsWithKey } from './deps.ts';
import type { Join } from './join.ts';
import {
  halvesOf,
  inTier,
  type NextRoundPlace,
  partOf,
  type SharedByNext,
  tierOfNext,
  writeNextBatches,
} from './next-round.ts';
import { OutcomeWriter } from './outcome-writer.ts';

/**
 * How long requests rest that failed as they were called: what is down for minutes is not to use up all their tries.
 */
const REST_BACKOFF: Backoff = { firstMs: 2 * MINUTE_MS, maxMs: 30 * MINUTE_MS };

/** What the result files of a batch say. */
export interface Results {
  join: Join;
  tally: Tally;
  /** Answers by the model that they name. */
  answeredBy: CodeCounts;
}

/** Writes the runs of a batch and the manifests of the next round. */
export async function writeResults(
  deps: DepsWithKey,
  collection: Collection,
  { join, tally, answeredBy }: Results,
): Promise<NonNullable<BatchRecord['results']>> {
  const { job, manifest, repair } = collection;
  const { objects, ambient, rules } = deps;
  const batch = collection.leased.record;
  const { source, entries } = manifest;
  const keys = workKeys(deps.settings.layout, job.jobId).collected(batch.batchId, ambient.nonce());
  const said = repair === undefined ? modelGoneCode(join, entries.count, rules.shutdowns) : undefined;
  const retired = said === undefined ? undefined : await retiredError(deps, batch, ambient.now());
  const { of: decisions, suspend } =
    repair === undefined
      ? decide(job, batch, entries, join, { rules, retired })
      : decideRepair(entries, repair);
  const customIds = await readCustomIds(objects, manifest, decisions);
  const writer = new OutcomeWriter(objects, keys, batch, manifest, {
    lineOf: (index) => join.line(index),
    customIds,
    isInput: source.key === job.source.key,
  });
  try {
    await writeDecisions(deps, collection, decisions, writer);
    const outcome = {
      ...writer.counts(),
      strayLines: join.strayLines,
      usage: tally.usage(),
      answeredBy: answeredBy.toRecord(),
      bill: billOf(deps, batch, tally, writer.lost),
    };
    const runs = await writer.close();
    const { nextManifest } = keys;
    const next = await writeNextRound(deps, collection, writer, { source, nextManifest });
    // Before the batch is collected: the next round must not be admitted into it.
    if (suspend !== undefined) await suspendFor(deps, batch, suspend, 'collected');
    else if (said !== undefined && retired !== undefined) await noteRetired(deps, batch, said);
    else if (outcome.succeeded > 0) await liftSuspensionsFor(deps, batch, 'collected');
    return defined({ outcome, ...runs, next: next.length === 0 ? undefined : next });
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Writes one request after the other, as long as there is time. */
async function writeDecisions(
  { deadline }: DepsWithKey,
  { leased, manifest, isLastResort }: Collection,
  decisions: readonly Decision[],
  writer: OutcomeWriter,
): Promise<void> {
  for (const [index, decision] of decisions.entries()) {
    const hasTime = deadline.remainingMs() > 0;
    if (!hasTime && !isLastResort)
      throw new OutOfTimeError(
        `batch ${leased.record.batchId}: its results cannot be sorted in one invocation`,
      );
    await writer.add(index, hasTime ? decision : unreadable(manifest.entries.tried(index)));
  }
}

/** The batches that take up what is to be run again. */
async function writeNextRound(
  deps: DepsWithKey,
  { leased, repair }: Collection,
  { next, failedTries }: OutcomeWriter,
  place: NextRoundPlace,
): Promise<NextBatch[]> {
  const batch = leased.record;
  const tier = await tierOfNext(deps, batch, next);
  const restMs = waitAfter(REST_BACKOFF, failedTries);
  const shared = defined<SharedByNext>({
    ...inTier(tier),
    notBefore: failedTries === 0 ? undefined : retryAt(batch, restMs, deps.ambient.now()),
    repairs: repair === undefined ? undefined : (batch.repairs ?? 0) + 1,
  });
  const parts = tier === 'batch' ? batchesOf(next, repair?.inHalves ?? false) : cutIntoSlices(next);
  return writeNextBatches(
    deps,
    batch,
    place,
    parts.map((part) => partOf(batch, part)),
    shared,
  );
}

function batchesOf(next: ManifestEntries, inHalves: boolean): ManifestEntries[] {
  if (inHalves) return halvesOf(next);
  return next.count > 0 ? [next] : [];
}

/** What the lines cost, compared with the tokens that OpenAI states for the whole batch, where it does. */
function billOf({ telemetry }: DepsWithKey, batch: BatchRecord, tally: Tally, lost: readonly number[]): Bill {
  const bill = tally.bill(lost);
  const { jobId, batchId } = batch;
  const openaiBatchId = batch.remote?.openaiBatchId;
  const reported = batch.remote?.reportedUsage;
  if (reported === undefined || reported.inputTokens + reported.outputTokens === 0) return bill;
  const counted = tally.usage();
  if (!differ(reported, counted)) return bill;
  telemetry.record('usage.mismatched', {
    jobId,
    batchId,
    openaiBatchId,
    reportedInputTokens: reported.inputTokens,
    reportedOutputTokens: reported.outputTokens,
    countedInputTokens: counted.inputTokens,
    countedOutputTokens: counted.outputTokens,
  });
  return { ...bill, differs: true };
}
