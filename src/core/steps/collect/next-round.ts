/** The batches that take up what a batch leaves: in which tier, of which requests, and their manifests. */

import type { Tier } from '../../../contract/route.ts';
import { defined } from '../../base/defined.ts';
import { encodeManifest, ManifestEntries, renderedBytes } from '../../files/manifest.ts';
import { type BatchRecord, type NextBatch, tierOf, tokensOf } from '../../model/batch.ts';
import type { SourceObject } from '../../model/objects.ts';
import { sizeOf } from '../../pricing/bound.ts';
import type { Part } from '../../pricing/recut.ts';
import { tierToBegin } from '../../scheduling/ladder.ts';
import { readTiers } from '../../scheduling/step-down.ts';
import type { DepsWithKey } from './deps.ts';

/** Where the manifests of the next batches are written, and which object their requests are read from. */
export interface NextRoundPlace {
  source: SourceObject;
  nextManifest: (index: number) => string;
}

/** What all batches of a next round have in common. */
export type SharedByNext = Pick<NextBatch, 'tier' | 'notBefore' | 'repairs'>;

/**
 * Writes the manifest of each part of a batch.
 * @param shared what all of them have in common.
 */
export async function writeNextBatches(
  { objects, prices }: Pick<DepsWithKey, 'objects' | 'prices'>,
  batch: Pick<BatchRecord, 'model'>,
  { source, nextManifest }: NextRoundPlace,
  parts: readonly Part[],
  shared: SharedByNext,
): Promise<NextBatch[]> {
  const next: NextBatch[] = [];
  for (const [index, { entries, tokens }] of parts.entries()) {
    const manifestKey = nextManifest(index);
    await objects.put(manifestKey, encodeManifest({ source, entries }));
    next.push(
      defined({
        ...shared,
        manifestKey,
        requests: entries.count,
        bytes: renderedBytes(entries),
        ...sizeOf(entries, prices.unlimitedOutputTokens(batch.model)),
        tokens,
      }),
    );
  }
  return next;
}

/** The tier that what a batch leaves continues in. */
export async function tierOfNext(
  deps: Pick<DepsWithKey, 'quota' | 'rules' | 'settings' | 'ambient'>,
  batch: BatchRecord,
  next: ManifestEntries,
): Promise<Tier> {
  const tier = batch.stop?.nextTier ?? tierOf(batch);
  const { ladder } = batch;
  if (ladder === undefined || next.count === 0) return tier;
  const bytes = renderedBytes(next);
  const work = { requests: next.count, tokens: tokensOfPart(batch, bytes) ?? tokensOf({ bytes }) };
  const tiers = await readTiers(deps, batch);
  return tierToBegin({ ladder, tier, work, ...tiers, now: deps.ambient.now() });
}

/** The tier as a record names it: batch goes without saying. */
export function inTier(tier: Tier | undefined): { tier?: Tier } {
  return tier === undefined || tier === 'batch' ? {} : { tier };
}

/** Requests of a batch as a part of it, with the tokens that their bytes make likely. */
export function partOf(batch: BatchRecord, entries: ManifestEntries): Part {
  return { entries, tokens: tokensOfPart(batch, renderedBytes(entries)) };
}

function tokensOfPart({ tokens, bytes }: BatchRecord, partBytes: number): number | undefined {
  return tokens === undefined ? undefined : Math.ceil((tokens * partBytes) / bytes);
}

/** The entries in two manifests, so that a request which sinks every batch that it is in is left alone in the end. */
export function halvesOf(entries: ManifestEntries): ManifestEntries[] {
  const middle = Math.ceil(entries.count / 2);
  const halves = [new ManifestEntries(), new ManifestEntries()] as const;
  for (let index = 0; index < entries.count; index++) {
    const { line, offset, length, tried, hash0, hash1 } = entries.at(index);
    halves[index < middle ? 0 : 1].push({ line, offset, length, tried, hash0, hash1 });
  }
  return halves.filter(({ count }) => count > 0);
}
