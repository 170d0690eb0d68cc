/** Ids that only share their hash are never in one batch, because the results of a batch are joined by hash. */
import { encodeManifest, type Manifest, ManifestEntries, readManifest } from '../../files/manifest.ts';
import type { PlannedBatch } from '../../files/plan.ts';
import { sizeOf } from '../../pricing/bound.ts';
import type { ValidLine } from '../../requests/check-line.ts';
import type { DuplicatesDeps, DuplicatesState, PartStep } from './duplicates-state.ts';
import { FirstLines } from './first-lines.ts';
import { readRequests } from './read-requests.ts';

/**
 * Gives each request but one, of those in a batch that share a hash, a batch of its own. Changes the state and its
 * step.
 * @returns whether everything is done; if not, it was interrupted.
 */
export async function partShared(
  deps: DuplicatesDeps,
  state: DuplicatesState,
  step: PartStep,
): Promise<boolean> {
  const hashes = new FirstLines(FirstLines.after(step.shared));
  while (step.batch < step.batches) {
    const batch = state.batches[step.batch]!;
    if (batch.requests > 0) await partBatch(deps, state, hashes, batch);
    step.batch++;
    if (deps.isOver()) return false;
  }
  return true;
}

async function partBatch(
  deps: DuplicatesDeps,
  state: DuplicatesState,
  hashes: FirstLines,
  batch: PlannedBatch,
): Promise<void> {
  const { source, entries } = await readManifest(deps.objects, batch.manifestKey);
  const kept = new ManifestEntries(entries.count);
  const met = new Set<number>();
  const apart: PlannedBatch[] = [];
  for (let entry = 0; entry < entries.count; entry++) {
    const slot = hashes.find(entries.hash0(entry), entries.hash1(entry));
    if (slot < 0 || !met.has(slot)) {
      if (slot >= 0) met.add(slot);
      kept.pushRange(entries, entry, entry + 1);
      continue;
    }
    const alone = new ManifestEntries(1);
    alone.pushRange(entries, entry, entry + 1);
    apart.push(await putApart(deps, batch, { source, entries: alone }));
  }
  if (apart.length === 0) return;
  const { manifest } = deps.keysOf(batch.batchId, `${state.round}-parted`);
  await deps.objects.put(manifest, encodeManifest({ source, entries: kept }));
  batch.manifestKey = manifest;
  Object.assign(batch, sizeOf(kept, deps.prices.unlimitedOutputTokens(batch.model)));
  for (const { requests, bytes, textBytes, dataUrlBytes } of apart) {
    batch.requests -= requests;
    batch.bytes -= bytes;
    batch.textBytes -= textBytes;
    batch.dataUrlBytes -= dataUrlBytes;
  }
  state.batches.push(...apart);
}

/** A batch of one request. */
async function putApart(deps: DuplicatesDeps, from: PlannedBatch, manifest: Manifest): Promise<PlannedBatch> {
  const { source, entries } = manifest;
  const { line, offset, length } = entries.at(0);
  let request: ValidLine | undefined;
  for await (const read of readRequests(deps, source, [{ offset, length }])) request = read.request;
  const key = deps.keysOf(from.batchId, `line-${line}`).manifest;
  await deps.objects.put(key, encodeManifest(manifest));
  const { endpoint, model } = from;
  const { textBytes, dataUrlBytes } = request!;
  return {
    batchId: `${from.batchId}.${line}`,
    endpoint,
    model,
    manifestKey: key,
    requests: 1,
    bytes: length + 1,
    textBytes,
    dataUrlBytes,
    ...sizeOf(entries, deps.prices.unlimitedOutputTokens(model)),
  };
}
