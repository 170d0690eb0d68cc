/**
 * A batch of which nothing was sent, because it is too large for its tier, its budget or the provider: smaller ones
 * follow it.
 */
import { defined } from '../../base/defined.ts';
import { workKeys } from '../../files/keys.ts';
import type { Manifest, ManifestEntries } from '../../files/manifest.ts';
import { cutIntoSlices } from '../../files/slices.ts';
import { toCollected } from '../../lifecycle/batch-transitions.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { writeOutcomeOnce } from '../../lifecycle/outcome-file.ts';
import { type BatchRecord, tokensOf } from '../../model/batch.ts';
import { noOutcome } from '../../model/outcome.ts';
import { cutByCost } from '../../pricing/bound.ts';
import { cutByTokens, type Part } from '../../pricing/recut.ts';
import type { DepsWithKey } from './deps.ts';
import { inTier, partOf, type SharedByNext, writeNextBatches } from './next-round.ts';

/** A record holds the places of all parts; what is still too large is cut once more. */
const MAX_PARTS = 100;

/** Cuts a batch whose record says how large its parts may be. */
export async function recutToLimit(
  deps: DepsWithKey,
  leased: LeasedBatch,
  manifest: Manifest,
): Promise<void> {
  await recut(deps, leased, manifest, partsWithinLimit(deps, leased.record, manifest.entries));
}

/** Cuts a batch that was not sent because its requests continue in another tier. */
export async function recutToSlices(
  deps: DepsWithKey,
  leased: LeasedBatch,
  manifest: Manifest,
): Promise<void> {
  const slices = cutIntoSlices(manifest.entries);
  await recut(
    deps,
    leased,
    manifest,
    slices.map((slice) => partOf(leased.record, slice)),
  );
}

async function recut(
  deps: DepsWithKey,
  leased: LeasedBatch,
  { source }: Manifest,
  parts: readonly Part[],
): Promise<void> {
  const batch = leased.record;
  const { jobId, batchId, repairs } = batch;
  const { nextManifest } = workKeys(deps.settings.layout, jobId).collected(batchId, deps.ambient.nonce());
  const shared = defined<SharedByNext>({ ...inTier(batch.stop?.nextTier), repairs });
  const next = await writeNextBatches(deps, batch, { source, nextManifest }, parts, shared);
  const outcome = { ...noOutcome(), retried: batch.requests };
  await leased.move(toCollected(batch, await writeOutcomeOnce(deps, batch, { outcome, next })));
  deps.telemetry.record('batch.recut', { jobId, batchId, parts: next.length });
}

/** By its tokens, or by what it costs. */
function partsWithinLimit(
  { prices, ambient }: DepsWithKey,
  batch: BatchRecord,
  entries: ManifestEntries,
): Part[] {
  const { tokens, microdollars } = batch.recut!;
  if (microdollars === undefined)
    return cutByTokens(batch, entries, Math.max(tokens!, Math.ceil(tokensOf(batch) / MAX_PARTS)));
  return cutByCost(batch, entries, { microdollars, maxParts: MAX_PARTS }, prices, ambient.now());
}
