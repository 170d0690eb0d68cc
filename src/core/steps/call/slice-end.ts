import { crc32 } from 'node:zlib';
import type { Tier } from '../../../contract/route.ts';
import { toCalled, toCallsPaused, toWithdrawn } from '../../lifecycle/batch-transitions.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { type BatchRecord, tierOf } from '../../model/batch.ts';
import type { StatedError } from '../../model/outcome-codes.ts';
import type { BatchTransition } from '../../model/transition.ts';
import type { ObjectWriter } from '../../ports/objects.ts';
import { MAX_DELAY_MS } from '../../ports/outbox.ts';
import type { CallDeps } from './deps.ts';
import type { SliceKeys, SliceProgress } from './progress.ts';

/** How a worker gives its slice away: to the next worker, or to collect. */
export class SliceEnd {
  readonly #deps: Pick<CallDeps, 'objects' | 'quota' | 'outbox' | 'ambient' | 'telemetry'>;
  readonly #leased: LeasedBatch;
  readonly #batch: BatchRecord;
  readonly #keys: SliceKeys;
  readonly #progress: SliceProgress;

  constructor(
    deps: Pick<CallDeps, 'objects' | 'quota' | 'outbox' | 'ambient' | 'telemetry'>,
    leased: LeasedBatch,
    keys: SliceKeys,
    progress: SliceProgress,
  ) {
    this.#deps = deps;
    this.#leased = leased;
    this.#batch = leased.record;
    this.#keys = keys;
    this.#progress = progress;
  }

  /** Nothing of it was sent, and nothing will be. */
  async withdraw(error: StatedError): Promise<void> {
    const { ambient, telemetry } = this.#deps;
    const { jobId, batchId, requests } = this.#batch;
    await this.#end(toWithdrawn(this.#batch, { errors: [error] }, ambient.now()), () =>
      telemetry.record('batch.withdrawn', { jobId, batchId, requests, code: error.code }),
    );
  }

  /**
   * Keeps what there is, and says when the next worker continues.
   * @param cause why this one stops.
   * @param refusals workers in a row that ended because the provider had no room.
   * @param notBefore epoch ms. Absent: at once.
   */
  async pause(
    cause: 'time' | 'refused' | 'window',
    refusals: number,
    notBefore: number | undefined,
  ): Promise<void> {
    const { outbox, ambient, telemetry } = this.#deps;
    const { jobId, batchId } = this.#batch;
    await this.#progress.keepForNext(refusals);
    await this.#progress.move(toCallsPaused(this.#batch, notBefore));
    const delayMs = Math.max(0, (notBefore ?? 0) - ambient.now());
    // A message that is lost, and a longer wait, are the sweep's.
    if (delayMs <= MAX_DELAY_MS)
      await outbox.call({ v: 1, jobId, batchId }, delayMs === 0 ? {} : { delayMs });
    telemetry.record('slice.paused', {
      jobId,
      batchId,
      tier: tierOf(this.#batch),
      cause,
      done: this.#progress.kept,
    });
  }

  /**
   * Every request has a line now, be it that it was not sent.
   * @param nextTier in which those continue that were not sent.
   * @param before what is done once the lines are safe, and before the record says so.
   */
  async complete(nextTier: Tier | undefined, before: () => Promise<void> = async () => {}): Promise<void> {
    const { objects, ambient, telemetry } = this.#deps;
    const { jobId, batchId } = this.#batch;
    const key = this.#keys.file(this.#leased.holder);
    const written = await this.#write(objects.openWrite(key));
    const file = { fileId: 'calls', key, ...written, fetchedAt: ambient.now() };
    const requests = this.#progress.requests.length;
    await before();
    await this.#end(toCalled(this.#batch, file, nextTier, ambient.now()), () =>
      telemetry.record('slice.completed', { jobId, batchId, tier: tierOf(this.#batch), requests }),
    );
  }

  /** @returns the size of the file of all lines, and its checksum. */
  async #write(writer: ObjectWriter): Promise<{ bytes: number; crc32: number }> {
    try {
      let checksum = 0;
      await this.#progress.complete(async (line) => {
        checksum = crc32(line, checksum);
        await writer.write(line);
      });
      return { bytes: await writer.close(), crc32: checksum };
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** Writes how the slice ends, reports it, and sends it to collect. */
  async #end(transition: BatchTransition, report: () => void): Promise<void> {
    const { quota, outbox, ambient } = this.#deps;
    const { jobId, batchId, admission } = this.#batch;
    await this.#progress.move(transition);
    report();
    if (admission !== undefined) await quota.giveBackTokens(admission.reservation, ambient.now());
    await outbox.collect({ v: 1, jobId, batchId });
  }
}
