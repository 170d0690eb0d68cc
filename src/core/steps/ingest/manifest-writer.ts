/** Manifests of full batches, written while the scan continues. */
import { Block } from '../../base/block.ts';
import { encodeManifest } from '../../files/manifest.ts';
import type { PlannedBatch } from '../../files/plan.ts';
import { batchIdOf } from '../../model/batch-id.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import { sizeOf } from '../../pricing/bound.ts';
import type { Prices } from '../../pricing/prices.ts';
import type { OpenBatch } from './cutter.ts';

/** Manifests of 1.6 MB under way at a time: a PUT may take longer than it takes to fill a batch with short lines. */
const MAX_UNDER_WAY = 3;

/** Plans each full batch and writes its manifest. A plan may be saved only after {@link ManifestWriter.finish}. */
export class ManifestWriter {
  readonly #objects: Pick<ObjectStore, 'put'>;
  readonly #source: SourceObject;
  readonly #keyOf: (batchId: string) => string;
  readonly #batches: PlannedBatch[];
  readonly #prices: Pick<Prices, 'unlimitedOutputTokens'>;
  /** Oldest first. */
  readonly #underWay: Promise<unknown>[] = [];
  /** Memory of manifests that are written, to be used again. */
  readonly #spare: Block[] = [];

  /**
   * @param source what the entries of the manifests point into.
   * @param keyOf names the manifest of a batch.
   * @param batches those that were planned before.
   */
  constructor(
    objects: Pick<ObjectStore, 'put'>,
    source: SourceObject,
    keyOf: (batchId: string) => string,
    batches: readonly PlannedBatch[],
    prices: Pick<Prices, 'unlimitedOutputTokens'>,
  ) {
    this.#prices = prices;
    this.#objects = objects;
    this.#source = source;
    this.#keyOf = keyOf;
    this.#batches = [...batches];
  }

  /** All batches that were planned so far. */
  get batches(): readonly PlannedBatch[] {
    return this.#batches;
  }

  /** Plans a batch. Its entries are encoded when this resolves, and written later. */
  async write({ entries, ...batch }: OpenBatch): Promise<void> {
    const { endpoint, model, bytes, textBytes, dataUrlBytes } = batch;
    const batchId = batchIdOf(0, this.#batches.length);
    const manifestKey = this.#keyOf(batchId);
    await this.#waitFor(MAX_UNDER_WAY - 1);
    const block = this.#spare.pop() ?? new Block();
    const put = this.#objects
      .put(manifestKey, encodeManifest({ source: this.#source, entries }, block))
      .then(() => this.#spare.push(block));
    // A failure is thrown by the call that waits for it, which may come later.
    put.catch(() => {});
    this.#underWay.push(put);
    this.#batches.push({
      batchId,
      endpoint,
      model,
      manifestKey,
      requests: entries.count,
      bytes,
      textBytes,
      dataUrlBytes,
      ...sizeOf(entries, this.#prices.unlimitedOutputTokens(model)),
    });
  }

  /** Waits until all manifests are written. @throws what writing one of them threw. */
  async finish(): Promise<void> {
    await this.#waitFor(0);
  }

  /** Waits until nothing is under way, whether it was written or not. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  async #waitFor(most: number): Promise<void> {
    while (this.#underWay.length > most) await this.#underWay.shift();
  }
}
