/** One look at all batches for some hashes that occur more than once: see {@link LevelPass}. */
import { statedErrorLine } from '../../files/error-line.ts';
import { encodeManifest, type Manifest, ManifestEntries, readManifest } from '../../files/manifest.ts';
import type { PlannedBatch } from '../../files/plan.ts';
import { RunWriter } from '../../files/run-file.ts';
import type { RunRef } from '../../model/batch.ts';
import { sizeOf } from '../../pricing/bound.ts';
import { duplicateCustomId } from '../../requests/check-line.ts';
import { showInvalid } from '../../requests/first-invalid.ts';
import type { DuplicatesDeps, DuplicatesState, Judged, LevelStep } from './duplicates-state.ts';
import { FirstLines } from './first-lines.ts';
import { readRequests } from './read-requests.ts';

/**
 * A level of a round: finds the first line of each hash, then removes from all batches the requests that have the id
 * of a first line, and notes hashes that turn out to be shared. It changes the state and the step that it is given,
 * so that they say how far it is.
 */
export class LevelPass {
  readonly #deps: DuplicatesDeps;
  readonly #state: DuplicatesState;
  readonly #step: LevelStep;
  readonly #hashes: FirstLines;

  /** @param step of the state: where to continue. */
  constructor(deps: DuplicatesDeps, state: DuplicatesState, step: LevelStep) {
    this.#deps = deps;
    this.#state = state;
    this.#step = step;
    this.#hashes = new FirstLines(step.table);
  }

  /** @returns whether the level is done; if not, it was interrupted. */
  async run(): Promise<boolean> {
    return (await this.#findFirstLines()) && (await this.#removeRepeated());
  }

  async #findFirstLines(): Promise<boolean> {
    const { batches } = this.#state;
    while (this.#step.met < batches.length) {
      const batch = batches[this.#step.met]!;
      if (batch.requests > 0) {
        const { entries } = await readManifest(this.#deps.objects, batch.manifestKey);
        for (let entry = 0; entry < entries.count; entry++) this.#hashes.meet(entries, entry);
      }
      this.#step.met++;
      if (this.#deps.isOver()) return false;
    }
    return true;
  }

  async #removeRepeated(): Promise<boolean> {
    const { batches } = this.#state;
    while (this.#step.batch < batches.length) {
      const batch = batches[this.#step.batch]!;
      if (batch.requests > 0 && !(await this.#removeFrom(batch))) return false;
      delete this.#step.judged;
      this.#step.batch++;
      if (this.#deps.isOver()) return false;
    }
    return true;
  }

  /** @returns false if it was interrupted before anything was removed. */
  async #removeFrom(batch: PlannedBatch): Promise<boolean> {
    const manifest = await readManifest(this.#deps.objects, batch.manifestKey);
    const suspects = this.#suspectsOf(manifest.entries);
    if (suspects.length === 0) return true;
    if (!(await this.#readFirstIds(manifest, suspects))) return false;
    this.#step.judged ??= { read: 0, repeated: [], textBytes: 0, dataUrlBytes: 0 };
    const { judged } = this.#step;
    if (!(await this.#judge(judged, manifest, suspects))) return false;
    if (judged.repeated.length > 0) await this.#remove(judged, manifest, batch);
    return true;
  }

  /** Entries whose hash an earlier line has. */
  #suspectsOf(entries: ManifestEntries): number[] {
    const suspects: number[] = [];
    for (let entry = 0; entry < entries.count; entry++) {
      const slot = this.#slotOf(entries, entry);
      if (slot >= 0 && entries.line(entry) > this.#hashes.line(slot)) suspects.push(entry);
    }
    return suspects;
  }

  #slotOf(entries: ManifestEntries, entry: number): number {
    return this.#hashes.find(entries.hash0(entry), entries.hash1(entry));
  }

  /** Reads the ids on first lines of the suspects that were not read before; false if it was interrupted. */
  async #readFirstIds({ source, entries }: Manifest, suspects: readonly number[]): Promise<boolean> {
    const hashes = this.#hashes;
    const slots = new Set(suspects.map((entry) => this.#slotOf(entries, entry)));
    const unread = [...slots].filter((slot) => !hashes.hasId(slot));
    unread.sort((a, b) => hashes.range(a).offset - hashes.range(b).offset);
    const ranges = unread.map((slot) => hashes.range(slot));
    for await (const { index, request } of readRequests(this.#deps, source, ranges)) {
      hashes.setId(unread[index]!, request.customId);
      if (this.#deps.isOver()) return false;
    }
    return true;
  }

  /** Reads the suspects that were not read before; false if it was interrupted. */
  async #judge(judged: Judged, { source, entries }: Manifest, suspects: readonly number[]): Promise<boolean> {
    const hashes = this.#hashes;
    const left = suspects.slice(judged.read);
    const ranges = left.map((entry) => ({ offset: entries.offset(entry), length: entries.length(entry) }));
    for await (const { index, request } of readRequests(this.#deps, source, ranges)) {
      const entry = left[index]!;
      const slot = this.#slotOf(entries, entry);
      if (hashes.isFirstId(slot, request.customId)) {
        judged.repeated.push({ entry, customId: request.customId });
        judged.textBytes += request.textBytes;
        judged.dataUrlBytes += request.dataUrlBytes;
      } else {
        if (!hashes.isShared(slot)) {
          const [hash0, hash1] = [entries.hash0(entry), entries.hash1(entry)];
          this.#step.shared.push({ hash0, hash1, line: hashes.line(slot) });
        }
        hashes.markShared(slot);
      }
      judged.read++;
      if (this.#deps.isOver()) return false;
    }
    return true;
  }

  /** Removes the repeated requests from the batch, whose manifest is written again without them. */
  async #remove({ repeated, textBytes, dataUrlBytes }: Judged, manifest: Manifest, batch: PlannedBatch) {
    const { source, entries } = manifest;
    const keys = this.#deps.keysOf(batch.batchId, `${this.#state.round}-${this.#step.level}`);
    const run = await this.#writeRun(keys.run, manifest, repeated);
    const kept = new ManifestEntries(entries.count);
    let copied = 0;
    let bytes = 0;
    for (const { entry } of repeated) {
      kept.pushRange(entries, copied, entry);
      copied = entry + 1;
      bytes += entries.length(entry) + 1;
    }
    kept.pushRange(entries, copied, entries.count);
    if (kept.count > 0) {
      await this.#deps.objects.put(keys.manifest, encodeManifest({ source, entries: kept }));
      batch.manifestKey = keys.manifest;
    }
    this.#state.runs.push(run);
    this.#state.removed += repeated.length;
    batch.requests = kept.count;
    Object.assign(batch, sizeOf(kept, this.#deps.prices.unlimitedOutputTokens(batch.model)));
    batch.bytes -= bytes;
    batch.textBytes -= textBytes;
    batch.dataUrlBytes -= dataUrlBytes;
  }

  /** Writes the error lines of repeated requests. */
  async #writeRun(
    keys: { data: string; index: string },
    { source, entries }: Manifest,
    repeated: Judged['repeated'],
  ): Promise<RunRef> {
    const run = new RunWriter(this.#deps.objects, keys, source);
    for (const { entry, customId } of repeated) {
      const { line, offset, length } = entries.at(entry);
      const firstLine = this.#hashes.line(this.#slotOf(entries, entry));
      const { code, message, param } = duplicateCustomId(customId, firstLine);
      const context = { line, byte: this.#deps.statesBytes ? offset : undefined, tries: 0 };
      showInvalid(this.#state.firstInvalid, code, { ...context, message });
      run.add(line, statedErrorLine(customId, { code, message, param }, context), { offset, length });
      await run.flush();
    }
    return (await run.close())!;
  }
}
