/**
 * Takes requests whose custom_id stood on an earlier line out of a plan's batches.
 *
 * What is known from the pass are hashes that occur more than once, nearly always none. The manifests say where they
 * stand; whether two lines bear the same id, only the lines themselves can tell, so both are read again. Of lines with
 * one id the first stays. Two ids that only share their hash both stay, but never in one batch, because the results of a
 * batch are joined by hash.
 *
 * Hashes are taken in *rounds* of as many as memory allows, ascending. A round looks at all manifests twice: for the first
 * line of each hash, then for the others. Ids that only share a hash are looked at again in a further *level*, in which
 * the first line that counts is the next one. What is written has the same bytes under the same key however often it is
 * done, so a round may be broken off after any batch and gone on with.
 */
import { createHash } from 'node:crypto';
import { statedErrorLine } from '../error-line.ts';
import { CorruptWorkFileError } from '../errors.ts';
import { encodeManifest, type Manifest, ManifestEntries, readManifest } from '../manifest.ts';
import type { RunRef, SourceObject } from '../model.ts';
import type { PlannedBatch } from '../plan.ts';
import type { ObjectStore } from '../ports.ts';
import { readRanges } from '../ranges.ts';
import { RunWriter } from '../run-file.ts';
import { checkLine, duplicateCustomId, type ValidLine } from './check-line.ts';
import { findDuplicatedHashes, type SortedIds } from './id-runs.ts';

/** Hashes of a round: 26 MB of tables. */
const HASHES_OF_A_ROUND = 500_000;
/** Bytes of a SHA-256 that an id is compared by: no two ids of the same 128 bits are known. */
const DIGEST_BYTES = 16;

/** A hash that several ids share, and the line of the one that was dealt with last. */
interface SharedHash {
  hash0: number;
  hash1: number;
  line: number;
}

/** How far the work is: plain data. */
export interface DuplicatesState {
  /** Batches as they are by now; one that lost all its requests has 0 of them, until the end. */
  batches: PlannedBatch[];
  /** Runs of the lines that were taken out. */
  runs: RunRef[];
  /** Lines that were taken out. */
  removed: number;
  /** Rounds that are done, and the greatest hash of the last one. */
  round: number;
  after?: [hash0: number, hash1: number];
  /** Hashes of this level; absent in a round's first level, which takes those that follow `after`. */
  shared?: SharedHash[];
  level: number;
  /** Hashes that this level found to be shared. */
  foundShared: SharedHash[];
  /** All of this round. */
  allShared: SharedHash[];
  /** Batches that this level is done with. */
  batch: number;
}

export interface DuplicatesDeps {
  objects: ObjectStore;
  bucket: string;
  ids: SortedIds;
  /** Names what is made of batch `batchId`; `name` tells apart what is made of it at several times. */
  keysOf(batchId: string, name: string): { manifest: string; run: { data: string; index: string } };
  /** Whether byte offsets mean something to a person: not in a compressed file. */
  statesBytes: boolean;
  /** Asked between batches; true breaks the work off. */
  isOver(): boolean;
  /** Hashes of a round. Default: 500,000. */
  hashesOfARound?: number;
}

/** The state before any work. */
export function startDuplicates(batches: readonly PlannedBatch[]): DuplicatesState {
  return {
    batches: structuredClone([...batches]),
    runs: [],
    removed: 0,
    round: 0,
    level: 0,
    foundShared: [],
    allShared: [],
    batch: 0,
  };
}

/**
 * Goes on from `state`, which it changes.
 * @returns whether everything is done; if not, it was broken off and `state` says where.
 */
export async function removeDuplicates(deps: DuplicatesDeps, state: DuplicatesState): Promise<boolean> {
  const most = deps.hashesOfARound ?? HASHES_OF_A_ROUND;
  for (;;) {
    const { words, hasMore } = await findDuplicatedHashes(deps.objects, deps.bucket, deps.ids, {
      after: state.after,
      most,
    });
    if (words.length > 0 && !(await endRound(deps, state, words))) return false;
    if (!hasMore) return true;
    state.after = [words.at(-2)!, words.at(-1)!];
    state.round++;
  }
}

async function endRound(deps: DuplicatesDeps, state: DuplicatesState, words: Uint32Array): Promise<boolean> {
  for (;;) {
    const hashes = state.shared === undefined ? new FirstLines(words) : FirstLines.after(state.shared);
    if (!(await endLevel(deps, state, hashes))) return false;
    if (state.foundShared.length === 0) break;
    state.allShared.push(...state.foundShared);
    state.shared = state.foundShared;
    state.foundShared = [];
    state.batch = 0;
    state.level++;
  }
  if (state.allShared.length > 0) await partShared(deps, state);
  delete state.shared;
  state.allShared = [];
  state.batch = 0;
  state.level = 0;
  return true;
}

async function endLevel(deps: DuplicatesDeps, state: DuplicatesState, hashes: FirstLines): Promise<boolean> {
  for (const batch of state.batches) {
    if (batch.requests === 0) continue;
    const { entries } = await readManifest(deps.objects, batch.manifestKey);
    for (let entry = 0; entry < entries.count; entry++) hashes.meet(entries, entry);
  }
  while (state.batch < state.batches.length) {
    const batch = state.batches[state.batch]!;
    if (batch.requests > 0) await removeFrom(deps, state, hashes, batch);
    state.batch++;
    if (deps.isOver()) return false;
  }
  return true;
}

/** Takes out what bears the id of an earlier line, and notes hashes that turn out to be shared. */
async function removeFrom(
  deps: DuplicatesDeps,
  state: DuplicatesState,
  hashes: FirstLines,
  batch: PlannedBatch,
): Promise<void> {
  const manifest = await readManifest(deps.objects, batch.manifestKey);
  const { entries, source } = manifest;
  const suspects: number[] = [];
  const slots = new Set<number>();
  for (let entry = 0; entry < entries.count; entry++) {
    const slot = hashes.find(entries.hash0(entry), entries.hash1(entry));
    if (slot < 0 || entries.line(entry) <= hashes.line(slot)) continue;
    suspects.push(entry);
    slots.add(slot);
  }
  if (suspects.length === 0) return;
  await readFirstIds(deps, source, hashes, slots);

  const keys = deps.keysOf(batch.batchId, `${state.round}-${state.level}`);
  const run = new RunWriter(deps.objects, keys.run, source);
  const kept = new ManifestEntries(entries.count);
  let copied = 0;
  let text = { textBytes: 0, dataUrlBytes: 0 };
  const ranges = suspects.map((entry) => ({
    offset: entries.offset(entry),
    length: entries.length(entry),
  }));
  for await (const { index, bytes } of readLines(deps.objects, source, ranges)) {
    const entry = suspects[index]!;
    const slot = hashes.find(entries.hash0(entry), entries.hash1(entry));
    const request = readRequest(bytes, source, ranges[index]!.offset);
    if (!hashes.isFirstId(slot, digestOf(request.customId))) {
      const [hash0, hash1] = [entries.hash0(entry), entries.hash1(entry)];
      if (!hashes.isShared(slot)) state.foundShared.push({ hash0, hash1, line: hashes.line(slot) });
      hashes.markShared(slot);
      continue;
    }
    kept.pushRange(entries, copied, entry);
    copied = entry + 1;
    const { code, message, param } = duplicateCustomId(request.customId, hashes.line(slot));
    const { line, offset, length } = entries.at(entry);
    const context = { line, ...(deps.statesBytes ? { byte: offset } : {}), rounds: 0 };
    run.add(line, statedErrorLine(request.customId, { code, message, param }, context), { offset, length });
    await run.flush();
    text = addText(text, request);
    batch.bytes -= length + 1;
  }
  const written = await run.close();
  if (written === undefined) return;
  kept.pushRange(entries, copied, entries.count);
  state.runs.push(written);
  state.removed += written.lines;
  batch.requests = kept.count;
  batch.textBytes -= text.textBytes;
  batch.dataUrlBytes -= text.dataUrlBytes;
  if (kept.count === 0) return;
  await deps.objects.put(keys.manifest, encodeManifest({ source, entries: kept }));
  batch.manifestKey = keys.manifest;
}

/** Reads the ids on first lines that were not read before. */
async function readFirstIds(
  deps: DuplicatesDeps,
  source: SourceObject,
  hashes: FirstLines,
  slots: Iterable<number>,
): Promise<void> {
  const unread = [...slots].filter((slot) => !hashes.hasId(slot));
  unread.sort((a, b) => hashes.range(a).offset - hashes.range(b).offset);
  const ranges = unread.map((slot) => hashes.range(slot));
  for await (const { index, bytes } of readLines(deps.objects, source, ranges)) {
    const { customId } = readRequest(bytes, source, ranges[index]!.offset);
    hashes.setId(unread[index]!, digestOf(customId));
  }
}

/** Gives each request but one, of those in a batch that share a hash, a batch of its own. */
async function partShared(deps: DuplicatesDeps, state: DuplicatesState): Promise<void> {
  const hashes = FirstLines.after(state.allShared);
  for (const batch of [...state.batches]) {
    if (batch.requests === 0) continue;
    const { source, entries } = await readManifest(deps.objects, batch.manifestKey);
    const kept = new ManifestEntries(entries.count);
    const met = new Set<number>();
    for (let entry = 0; entry < entries.count; entry++) {
      const slot = hashes.find(entries.hash0(entry), entries.hash1(entry));
      if (slot < 0 || !met.has(slot)) {
        if (slot >= 0) met.add(slot);
        kept.pushRange(entries, entry, entry + 1);
        continue;
      }
      const alone = new ManifestEntries(1);
      alone.pushRange(entries, entry, entry + 1);
      state.batches.push(await putApart(deps, batch, { source, entries: alone }));
    }
    if (kept.count === entries.count) continue;
    const { manifest } = deps.keysOf(batch.batchId, `${state.round}-parted`);
    await deps.objects.put(manifest, encodeManifest({ source, entries: kept }));
    for (const { requests, bytes, textBytes, dataUrlBytes } of state.batches.slice(
      -(entries.count - kept.count),
    )) {
      batch.requests -= requests;
      batch.bytes -= bytes;
      batch.textBytes -= textBytes;
      batch.dataUrlBytes -= dataUrlBytes;
    }
    batch.manifestKey = manifest;
  }
}

/** A batch of one request. */
async function putApart(deps: DuplicatesDeps, from: PlannedBatch, manifest: Manifest): Promise<PlannedBatch> {
  const { source, entries } = manifest;
  const { line, offset, length } = entries.at(0);
  let request: ValidLine | undefined;
  for await (const { bytes } of readLines(deps.objects, source, [{ offset, length }]))
    request = readRequest(bytes, source, offset);
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
  };
}

/** Whole lines, in the order of their ranges. */
async function* readLines(
  objects: Pick<ObjectStore, 'read'>,
  source: SourceObject,
  ranges: readonly { offset: number; length: number }[],
): AsyncGenerator<{ index: number; bytes: Uint8Array }> {
  let pieces: Uint8Array[] = [];
  for await (const { index, bytes, last } of readRanges(objects, source, ranges)) {
    if (last && pieces.length === 0) yield { index, bytes };
    else {
      pieces.push(new Uint8Array(bytes));
      if (!last) continue;
      yield { index, bytes: Buffer.concat(pieces) };
      pieces = [];
    }
  }
}

function readRequest(bytes: Uint8Array, source: SourceObject, offset: number): ValidLine {
  const request = checkLine(bytes);
  if (request.valid) return request;
  throw new CorruptWorkFileError(
    `${source.key} has no valid request at byte ${offset}, where one was read before; did the object change?`,
  );
}

function addText(
  sum: { textBytes: number; dataUrlBytes: number },
  { textBytes, dataUrlBytes }: ValidLine,
): { textBytes: number; dataUrlBytes: number } {
  return { textBytes: sum.textBytes + textBytes, dataUrlBytes: sum.dataUrlBytes + dataUrlBytes };
}

function digestOf(customId: string): Uint8Array {
  return createHash('sha256').update(customId).digest().subarray(0, DIGEST_BYTES);
}

/** Hashes, each with the first line after some line that it stands on, and the id there. */
class FirstLines {
  readonly #words: Uint32Array;
  /** Index of a hash plus 1, by hash; open addressing. */
  readonly #slots: Uint32Array;
  readonly #mask: number;
  /** Only later lines count. */
  readonly #after: Float64Array;
  readonly #lines: Float64Array;
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #digests: Uint8Array;
  readonly #hasId: Uint8Array;
  readonly #isShared: Uint8Array;

  /** @param words pairs of `hash0` and `hash1`, no two of them equal. */
  constructor(words: Uint32Array) {
    const count = words.length / 2;
    this.#words = words;
    this.#mask = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * count))) - 1;
    this.#slots = new Uint32Array(this.#mask + 1);
    this.#after = new Float64Array(count);
    this.#lines = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    this.#offsets = new Float64Array(count);
    this.#lengths = new Uint32Array(count);
    this.#digests = new Uint8Array(count * DIGEST_BYTES);
    this.#hasId = new Uint8Array(count);
    this.#isShared = new Uint8Array(count);
    for (let index = 0; index < count; index++) {
      let at = words[2 * index]! & this.#mask;
      while (this.#slots[at] !== 0) at = (at + 1) & this.#mask;
      this.#slots[at] = index + 1;
    }
  }

  /** Of each hash, the lines after its own line count; where one is named twice, after the later. */
  static after(shared: readonly SharedHash[]): FirstLines {
    const latest = new Map(shared.map((one) => [`${one.hash0} ${one.hash1}`, one]));
    const lines = new FirstLines(
      Uint32Array.from([...latest.values()].flatMap((one) => [one.hash0, one.hash1])),
    );
    for (const [index, { line }] of [...latest.values()].entries()) lines.#after[index] = line;
    return lines;
  }

  /** Index of a hash, or -1. */
  find(hash0: number, hash1: number): number {
    for (let at = hash0 & this.#mask; ; at = (at + 1) & this.#mask) {
      const index = this.#slots[at]! - 1;
      if (index < 0) return -1;
      if (this.#words[2 * index] === hash0 && this.#words[2 * index + 1] === hash1) return index;
    }
  }

  /** Takes an entry for the first of its hash, if there is none earlier. */
  meet(entries: ManifestEntries, entry: number): void {
    const index = this.find(entries.hash0(entry), entries.hash1(entry));
    if (index < 0) return;
    const line = entries.line(entry);
    if (line <= this.#after[index]! || line >= this.#lines[index]!) return;
    this.#lines[index] = line;
    this.#offsets[index] = entries.offset(entry);
    this.#lengths[index] = entries.length(entry);
  }

  line(index: number): number {
    return this.#lines[index]!;
  }

  range(index: number): { offset: number; length: number } {
    return { offset: this.#offsets[index]!, length: this.#lengths[index]! };
  }

  hasId(index: number): boolean {
    return this.#hasId[index] === 1;
  }

  setId(index: number, digest: Uint8Array): void {
    this.#digests.set(digest, index * DIGEST_BYTES);
    this.#hasId[index] = 1;
  }

  isFirstId(index: number, digest: Uint8Array): boolean {
    const from = index * DIGEST_BYTES;
    return Buffer.compare(this.#digests.subarray(from, from + DIGEST_BYTES), digest) === 0;
  }

  isShared(index: number): boolean {
    return this.#isShared[index] === 1;
  }

  markShared(index: number): void {
    this.#isShared[index] = 1;
  }
}
