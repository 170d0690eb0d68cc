/**
 * Takes requests whose custom_id stood on an earlier line out of a plan's batches.
 *
 * What is known from the pass are hashes that occur more than once, nearly always none. The manifests say where they
 * stand; whether two lines bear the same id, only the lines themselves can tell, so both are read again. Of lines with
 * one id the first stays. Two ids that only share their hash both stay, but never in one batch, because the results of a
 * batch are joined by hash.
 *
 * Hashes are taken in *rounds* of as many as memory allows, ascending. A round finds its hashes, then looks at all
 * manifests twice: for the first line of each hash, then for the others. Ids that only share a hash are looked at again in
 * a further *level*, in which the first line that counts is the next one.
 *
 * The work may be broken off anywhere: after some of the merge, after any manifest, after any line that is read again.
 * What is written has the same bytes under the same key however often it is done, and wherever it was broken off.
 */
import { createHash } from 'node:crypto';
import { CorruptWorkFileError } from '../../base/errors.ts';
import { statedErrorLine } from '../../files/error-line.ts';
import { encodeManifest, type Manifest, ManifestEntries, readManifest } from '../../files/manifest.ts';
import type { PlannedBatch } from '../../files/plan.ts';
import { readRanges } from '../../files/ranges.ts';
import { RunWriter } from '../../files/run-file.ts';
import type { RunRef } from '../../model/batch.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { LineRules } from '../../ports/provider-rules.ts';
import { sizeOf } from '../../pricing/bound.ts';
import { checkLine, duplicateCustomId, type ValidLine } from '../../requests/check-line.ts';
import { findDuplicatedHashes, type MergeState, type SortedIds } from './id-runs.ts';

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

/** How far the work is: plain data, and bytes. */
export interface DuplicatesState {
  /** Batches as they are by now; one that lost all its requests has 0 of them, until the end. */
  batches: PlannedBatch[];
  /** Runs of the lines that were taken out. */
  runs: RunRef[];
  /** Lines that were taken out. */
  removed: number;
  /** Rounds that are done. */
  round: number;
  /** How far the merge is that gives the hashes of all rounds; absent before it. */
  merge?: MergeState;
  step: FindStep | LevelStep | PartStep;
}

/** The merge finds the hashes of the round. */
interface FindStep {
  name: 'find';
  /** Those that it has by now. */
  found: Uint8Array;
}

/** The manifests are looked at for some hashes. */
interface LevelStep {
  name: 'level';
  /** Counts the levels of a round, from 0. */
  level: number;
  table: FirstLinesState;
  /** Batches that were looked at for first lines. */
  met: number;
  /** Batches that what is no first line was taken out of. */
  batch: number;
  /** Of the next one: what is known of it. */
  judged?: Judged;
  /** Hashes that this level found to be shared, and earlier ones of the round. */
  shared: SharedHash[];
  sharedBefore: SharedHash[];
}

/** Of one batch, the lines whose hash stands on an earlier line. */
interface Judged {
  /** So many were read. */
  read: number;
  /** Those that are to be taken out. */
  repeated: { entry: number; customId: string }[];
  textBytes: number;
  dataUrlBytes: number;
}

/** What shares a hash is parted. */
interface PartStep {
  name: 'part';
  shared: SharedHash[];
  /** Batches that were looked at, and how many there are to look at. */
  batch: number;
  batches: number;
}

export interface DuplicatesDeps {
  objects: ObjectStore;
  rules: LineRules;
  bucket: string;
  ids: SortedIds;
  /** Names what is made of batch `batchId`; `name` tells apart what is made of it at several times. */
  keysOf(batchId: string, name: string): { manifest: string; run: { data: string; index: string } };
  /** Whether byte offsets mean something to a person: not in a compressed file. */
  statesBytes: boolean;
  /** Asked each time that some of the work is done; true breaks it off. */
  isOver(): boolean;
  /** Hashes of a round. Default: 500,000. */
  hashesOfARound?: number;
  /** See {@link findDuplicatedHashes}. */
  looksEvery?: number;
}

/** The state before any work. */
export function startDuplicates(batches: readonly PlannedBatch[]): DuplicatesState {
  return { batches: structuredClone([...batches]), runs: [], removed: 0, round: 0, step: nothingFound() };
}

/**
 * Goes on from `state`, which it changes. However soon it is broken off, it has got further.
 * @returns whether everything is done; if not, it was broken off and `state` says where.
 */
export async function removeDuplicates(deps: DuplicatesDeps, state: DuplicatesState): Promise<boolean> {
  for (;;) {
    const { step } = state;
    if (step.name === 'find') {
      const end = await findHashes(deps, state, step);
      if (end === 'over') return false;
      if (step.found.length === 0) return true;
      const table = FirstLines.of(step.found);
      state.step = { name: 'level', level: 0, table, met: 0, batch: 0, shared: [], sharedBefore: [] };
    } else if (step.name === 'level') {
      if (!(await endLevel(deps, state, step))) return false;
      const { level } = step;
      const allShared = [...step.sharedBefore, ...step.shared];
      if (step.shared.length > 0) {
        const table = FirstLines.after(step.shared);
        const next = { level: level + 1, table, met: 0, batch: 0, shared: [], sharedBefore: allShared };
        state.step = { name: 'level', ...next };
      } else {
        const batches = allShared.length === 0 ? 0 : state.batches.length;
        state.step = { name: 'part', shared: allShared, batch: 0, batches };
      }
    } else {
      if (!(await partShared(deps, state, step))) return false;
      state.round++;
      state.step = nothingFound();
    }
  }
}

function nothingFound(): FindStep {
  return { name: 'find', found: new Uint8Array(0) };
}

async function findHashes(
  deps: DuplicatesDeps,
  state: DuplicatesState,
  step: FindStep,
): Promise<'all' | 'most' | 'over'> {
  const most = (deps.hashesOfARound ?? HASHES_OF_A_ROUND) - step.found.length / 8;
  const { words, merge, end } = await findDuplicatedHashes(deps.objects, deps.bucket, deps.ids, {
    from: state.merge,
    most,
    isOver: deps.isOver,
    ...(deps.looksEvery === undefined ? {} : { looksEvery: deps.looksEvery }),
  });
  const found = new Uint8Array(step.found.length + words.byteLength);
  found.set(step.found);
  found.set(new Uint8Array(words.buffer), step.found.length);
  step.found = found;
  state.merge = merge;
  return end;
}

async function endLevel(deps: DuplicatesDeps, state: DuplicatesState, step: LevelStep): Promise<boolean> {
  const hashes = new FirstLines(step.table);
  while (step.met < state.batches.length) {
    const batch = state.batches[step.met]!;
    if (batch.requests > 0) {
      const { entries } = await readManifest(deps.objects, batch.manifestKey);
      for (let entry = 0; entry < entries.count; entry++) hashes.meet(entries, entry);
    }
    step.met++;
    if (deps.isOver()) return false;
  }
  while (step.batch < state.batches.length) {
    const batch = state.batches[step.batch]!;
    if (batch.requests > 0 && !(await removeFrom(deps, state, step, hashes, batch))) return false;
    delete step.judged;
    step.batch++;
    if (deps.isOver()) return false;
  }
  return true;
}

/**
 * Takes out what bears the id of an earlier line, and notes hashes that turn out to be shared.
 * @returns false if it was broken off before anything was taken out.
 */
async function removeFrom(
  deps: DuplicatesDeps,
  state: DuplicatesState,
  step: LevelStep,
  hashes: FirstLines,
  batch: PlannedBatch,
): Promise<boolean> {
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
  if (suspects.length === 0) return true;
  if (!(await readFirstIds(deps, source, hashes, slots))) return false;
  step.judged ??= { read: 0, repeated: [], textBytes: 0, dataUrlBytes: 0 };
  if (!(await judge(deps, step, step.judged, hashes, manifest, suspects))) return false;
  const { repeated, textBytes, dataUrlBytes } = step.judged;
  if (repeated.length === 0) return true;

  const keys = deps.keysOf(batch.batchId, `${state.round}-${step.level}`);
  const run = new RunWriter(deps.objects, keys.run, source);
  const kept = new ManifestEntries(entries.count);
  let copied = 0;
  let bytes = 0;
  for (const { entry, customId } of repeated) {
    kept.pushRange(entries, copied, entry);
    copied = entry + 1;
    const { line, offset, length, hash0, hash1 } = entries.at(entry);
    const { code, message, param } = duplicateCustomId(customId, hashes.line(hashes.find(hash0, hash1)));
    const context = { line, ...(deps.statesBytes ? { byte: offset } : {}), rounds: 0 };
    run.add(line, statedErrorLine(customId, { code, message, param }, context), { offset, length });
    await run.flush();
    bytes += length + 1;
  }
  kept.pushRange(entries, copied, entries.count);
  const written = await run.close();
  if (kept.count > 0) {
    await deps.objects.put(keys.manifest, encodeManifest({ source, entries: kept }));
    batch.manifestKey = keys.manifest;
  }
  state.runs.push(written!);
  state.removed += repeated.length;
  batch.requests = kept.count;
  Object.assign(batch, sizeOf(kept, batch.model));
  batch.bytes -= bytes;
  batch.textBytes -= textBytes;
  batch.dataUrlBytes -= dataUrlBytes;
  return true;
}

/** Reads the ids on first lines that were not read before; false if it was broken off. */
async function readFirstIds(
  deps: DuplicatesDeps,
  source: SourceObject,
  hashes: FirstLines,
  slots: Iterable<number>,
): Promise<boolean> {
  const unread = [...slots].filter((slot) => !hashes.hasId(slot));
  unread.sort((a, b) => hashes.range(a).offset - hashes.range(b).offset);
  const ranges = unread.map((slot) => hashes.range(slot));
  for await (const { index, bytes } of readLines(deps.objects, source, ranges)) {
    const { customId } = readRequest(deps.rules, bytes, source, ranges[index]!.offset);
    hashes.setId(unread[index]!, digestOf(customId));
    if (deps.isOver()) return false;
  }
  return true;
}

/** Reads the lines that may bear the id of a first line; false if it was broken off. */
async function judge(
  deps: DuplicatesDeps,
  step: LevelStep,
  judged: Judged,
  hashes: FirstLines,
  { source, entries }: Manifest,
  suspects: readonly number[],
): Promise<boolean> {
  const left = suspects.slice(judged.read);
  const ranges = left.map((entry) => ({ offset: entries.offset(entry), length: entries.length(entry) }));
  for await (const { index, bytes } of readLines(deps.objects, source, ranges)) {
    const entry = left[index]!;
    const [hash0, hash1] = [entries.hash0(entry), entries.hash1(entry)];
    const slot = hashes.find(hash0, hash1);
    const { customId, textBytes, dataUrlBytes } = readRequest(
      deps.rules,
      bytes,
      source,
      ranges[index]!.offset,
    );
    if (hashes.isFirstId(slot, digestOf(customId))) {
      judged.repeated.push({ entry, customId });
      judged.textBytes += textBytes;
      judged.dataUrlBytes += dataUrlBytes;
    } else {
      if (!hashes.isShared(slot)) step.shared.push({ hash0, hash1, line: hashes.line(slot) });
      hashes.markShared(slot);
    }
    judged.read++;
    if (deps.isOver()) return false;
  }
  return true;
}

/** Gives each request but one, of those in a batch that share a hash, a batch of its own. */
async function partShared(deps: DuplicatesDeps, state: DuplicatesState, step: PartStep): Promise<boolean> {
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
  Object.assign(batch, sizeOf(kept, batch.model));
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
  for await (const { bytes } of readLines(deps.objects, source, [{ offset, length }]))
    request = readRequest(deps.rules, bytes, source, offset);
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
    ...sizeOf(entries, model),
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

function readRequest(rules: LineRules, bytes: Uint8Array, source: SourceObject, offset: number): ValidLine {
  const request = checkLine(bytes, rules);
  if (request.valid) return request;
  throw new CorruptWorkFileError(
    `${source.key} has no valid request at byte ${offset}, where one was read before; did the object change?`,
  );
}

function digestOf(customId: string): Uint8Array {
  return createHash('sha256').update(customId).digest().subarray(0, DIGEST_BYTES);
}

/** The tables of {@link FirstLines}: plain bytes, each of memory of its own. */
interface FirstLinesState {
  /** Pairs of `hash0` and `hash1`, no two of them equal. */
  words: Uint8Array;
  /** Only later lines count. */
  after: Uint8Array;
  /** The first of those, and where it stands. */
  lines: Uint8Array;
  offsets: Uint8Array;
  lengths: Uint8Array;
  /** Of the ids on first lines, where they were read. */
  digests: Uint8Array;
  hasId: Uint8Array;
  /** Whether another id has the same hash. */
  isShared: Uint8Array;
}

/** Hashes, each with the first line after some line that it stands on, and the id there. */
class FirstLines {
  readonly #words: Uint32Array;
  /** Index of a hash plus 1, by hash; open addressing. */
  readonly #slots: Uint32Array;
  readonly #mask: number;
  readonly #after: Float64Array;
  readonly #lines: Float64Array;
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #digests: Uint8Array;
  readonly #hasId: Uint8Array;
  readonly #isShared: Uint8Array;

  /** @param state is kept, and changed in its place. */
  constructor(state: FirstLinesState) {
    this.#words = wordsOf(state.words);
    this.#after = doublesOf(state.after);
    this.#lines = doublesOf(state.lines);
    this.#offsets = doublesOf(state.offsets);
    this.#lengths = wordsOf(state.lengths);
    this.#digests = state.digests;
    this.#hasId = state.hasId;
    this.#isShared = state.isShared;
    const count = this.#words.length / 2;
    this.#mask = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * count))) - 1;
    this.#slots = new Uint32Array(this.#mask + 1);
    for (let index = 0; index < count; index++) {
      let at = this.#words[2 * index]! & this.#mask;
      while (this.#slots[at] !== 0) at = (at + 1) & this.#mask;
      this.#slots[at] = index + 1;
    }
  }

  /** Of each hash, every line counts. @param words pairs of `hash0` and `hash1`, no two of them equal. */
  static of(words: Uint8Array): FirstLinesState {
    const count = words.length / 8;
    return {
      words,
      after: new Uint8Array(8 * count),
      lines: new Uint8Array(new Float64Array(count).fill(Number.POSITIVE_INFINITY).buffer),
      offsets: new Uint8Array(8 * count),
      lengths: new Uint8Array(4 * count),
      digests: new Uint8Array(DIGEST_BYTES * count),
      hasId: new Uint8Array(count),
      isShared: new Uint8Array(count),
    };
  }

  /** Of each hash, the lines after its own line count; where one is named twice, after the later. */
  static after(shared: readonly SharedHash[]): FirstLinesState {
    const latest = [...new Map(shared.map((one) => [`${one.hash0} ${one.hash1}`, one])).values()];
    const words = Uint32Array.from(latest.flatMap((one) => [one.hash0, one.hash1]));
    const state = FirstLines.of(new Uint8Array(words.buffer));
    doublesOf(state.after).set(latest.map(({ line }) => line));
    return state;
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

function wordsOf({ buffer, byteOffset, byteLength }: Uint8Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}

function doublesOf({ buffer, byteOffset, byteLength }: Uint8Array): Float64Array {
  return new Float64Array(buffer, byteOffset, byteLength / 8);
}
