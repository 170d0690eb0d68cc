/**
 * One streaming pass over an input: checks every line, cuts the good ones into batches, and writes manifests and the
 * run of invalid lines; then takes out what bears the custom_id of an earlier line. A pure function of the object, the
 * frozen route, the attempt's name and, for prompt cache keys, the prices: run twice, it writes the same bytes to keys of its own, and so it does when it is
 * broken off anywhere and gone on with by another worker.
 */
import type { Layout } from '../../../contract/layout.ts';
import { Block } from '../../base/block.ts';
import { CustomIdHasher } from '../../base/custom-id-hash.ts';
import { statedErrorLine } from '../../files/error-line.ts';
import { GzipError, gunzip, isGzip } from '../../files/gunzip.ts';
import { workKeys } from '../../files/keys.ts';
import type { Line, LineStart } from '../../files/lines.ts';
import { encodeManifest, ManifestEntries } from '../../files/manifest.ts';
import { buffersFor, readInParallel } from '../../files/parallel-read.ts';
import type { Plan, PlannedBatch } from '../../files/plan.ts';
import { RunWriter, type RunWriterState } from '../../files/run-file.ts';
import type { RunRef } from '../../model/batch.ts';
import { batchIdOf } from '../../model/batch-id.ts';
import type { Job, Rejection } from '../../model/job.ts';
import { type BatchLimits, MAX_GROUPS } from '../../model/limits.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { Deadline } from '../../ports/ambient.ts';
import type { ByteStream, ObjectStore } from '../../ports/objects.ts';
import type { LineRules } from '../../ports/provider-rules.ts';
import { sizeOf } from '../../pricing/bound.ts';
import type { Prices } from '../../pricing/prices.ts';
import { checkLine, type InvalidLine, lineTooLong, type ValidLine } from '../../requests/check-line.ts';
import { type LineHandlers, LineScanner, type ScannedRequest } from '../../requests/line-scanner.ts';
import { Cutter, type OpenBatch } from './cutter.ts';
import { type DuplicatesState, removeDuplicates, startDuplicates } from './duplicate-ids.ts';
import { type Additions, additionsOf, checkFilledIn } from './fill-in.ts';
import { type IdRun, IdRuns } from './id-runs.ts';
import { Spool, type SpoolState } from './spool.ts';

export interface ScanDeps {
  objects: ObjectStore;
  layout: Layout;
  rules: LineRules;
  /** Those of the rules, or less. */
  limits: BatchLimits;
  /** Say whose prompts are worth a key, where the route gives them one. */
  prices: Prices;
  deadline: Deadline;
  /** A fresh id of this worker: names what no other worker may write to. */
  worker: string;
  /**
   * Records how far the work is, so that another worker can go on from there. Must be strict: what throws here ends the
   * work, because somebody else has it.
   */
  save(state: ScanState): Promise<void>;
  /** Sizes that a test or a benchmark may set. */
  sizes?: Partial<ScanSizes>;
}

/** Sizes that change what a scan costs, and nothing of what it finds. */
interface ScanSizes {
  /** See {@link readInParallel}. */
  rangeBytes: number;
  rangesInFlight: number;
  /** See {@link LineScanner}. */
  blockBytes: number;
  /** See {@link IdRuns}. */
  maxIdsInMemory: number;
  /** See {@link Cutter}. */
  maxOpenRequests: number;
  /** See {@link removeDuplicates}. */
  hashesOfARound: number;
  looksEvery: number;
  /** Bits of each half of an id's hash that count, all by default: fewer make ids that only share their hash. */
  hashMask: number;
}

/** Bytes that one byte of gzip unpacks to at most. Source: zlib, "Technical details". */
const MAX_DEFLATE_RATIO = 1_032;
const WHOLE_HASH = 0xffffffff;
/** Manifests of 1.6 MB that are written while the scan goes on: a PUT may take longer than a batch of short lines. */
const MANIFESTS_UNDER_WAY = 3;

/** Version of {@link ScanState}. */
export const SCAN_VERSION = 2;

/** How far a scan is: plain data, and bytes. */
export type ScanState = LinesState | EndState;

/** What the pass over the lines has found. */
interface Found {
  /** Names the keys below `work/<job>/ingest/`. */
  attempt: string;
  compressed: boolean;
  /** Lines are written out once, because they cannot be sent from where they stand. */
  spooled: boolean;
  requests: number;
  invalid: number;
  invalidByCode: Record<string, number>;
}

/** In the middle of the pass. */
interface LinesState extends Found {
  v: typeof SCAN_VERSION;
  phase: 'lines';
  /** The first line that was not looked at. */
  next: LineStart;
  batches: PlannedBatch[];
  open: (Omit<OpenBatch, 'entries'> & { entries: Uint8Array })[];
  ids: IdRun[];
  invalidRun?: RunWriterState;
  /** Of a route that adds something to lines. */
  originals?: RunWriterState;
  spool?: SpoolState;
}

/** Every line was looked at; what occurs twice is being taken out. */
interface EndState extends Found {
  v: typeof SCAN_VERSION;
  phase: 'duplicates';
  ids: IdRun[];
  invalidRun?: RunRef;
  originals?: RunRef;
  work: DuplicatesState;
}

/** What is left of a worker's life when it stops to save: a quarter of it, at most this. A checkpoint has 70 MB at most. */
const MAX_MARGIN_MS = 30_000;

/** Whether a worker, whose life begins now, is to stop and save. */
export function isOverOf(deadline: Deadline): () => boolean {
  const margin = Math.min(MAX_MARGIN_MS, deadline.remainingMs() / 4);
  return () => deadline.remainingMs() < margin;
}

/**
 * Reads the job's source once, or twice if it turns out to be shattered.
 * @param from a name for a new attempt, or what `save` was given last.
 * @returns the plan, or `undefined` if time was over: what there is to go on from was saved.
 */
export async function scan(deps: ScanDeps, job: Job, from: string | ScanState): Promise<Plan | undefined> {
  const isOver = isOverOf(deps.deadline);
  const state = typeof from === 'string' ? await begin(deps, job, from) : from;
  if (state.phase === 'duplicates') return end(deps, job, state, undefined, isOver);
  try {
    let read = await readLines(deps, job, state, isOver);
    if (read === 'shattered') {
      const again = freshState(`${state.attempt}-spool`, { compressed: false, spooled: true });
      read = await readLines(deps, job, again, isOver);
    }
    if (read === 'saved' || read === 'shattered') return undefined;
    if ('plan' in read) return read.plan;
    const { state: found, ids } = read;
    // A file that took several workers so far is not begun anew because the last of them died.
    if (typeof from !== 'string') {
      await deps.save({ ...found, ids: await ids.suspend() });
      if (isOver()) return undefined;
    }
    return await end(deps, job, found, ids, isOver);
  } catch (error) {
    if (!(error instanceof GzipError)) throw error;
    return rejectedPlan(job.jobId, { code: error.code, message: error.message });
  }
}

/** A plan of nothing: the file could not be read as lines at all. */
export function rejectedPlan(jobId: string, rejection: Rejection): Plan {
  return {
    v: 1,
    jobId,
    requests: 0,
    invalid: 0,
    invalidByCode: {},
    batches: [],
    invalidRuns: [],
    rejection,
  };
}

async function begin(deps: ScanDeps, job: Job, attempt: string): Promise<LinesState> {
  const compressed = isGzip(await firstBytes(deps.objects, job.source));
  const isFilledIn = additionsOf(job.route, deps.prices, job.createdAt) !== undefined;
  return freshState(attempt, { compressed, spooled: compressed || isFilledIn });
}

function freshState(attempt: string, mode: Pick<LinesState, 'compressed' | 'spooled'>): LinesState {
  return {
    v: SCAN_VERSION,
    phase: 'lines',
    attempt,
    ...mode,
    requests: 0,
    invalid: 0,
    invalidByCode: {},
    next: { offset: 0, line: 1 },
    batches: [],
    open: [],
    ids: [],
  };
}

/**
 * The pass over the lines. `shattered`: the requests are too scattered to be sent from where they stand. `saved`: time
 * was over. `plan`: the file is rejected.
 */
async function readLines(
  deps: ScanDeps,
  job: Job,
  state: LinesState,
  isOver: () => boolean,
): Promise<{ state: EndState; ids: IdRuns } | { plan: Plan } | 'shattered' | 'saved'> {
  const { attempt, compressed, spooled } = state;
  const { sizes = {} } = deps;
  const keys = workKeys(deps.layout, job.jobId);
  const hashMask = sizes.hashMask ?? WHOLE_HASH;
  const found: Found = {
    attempt,
    compressed,
    spooled,
    requests: state.requests,
    invalid: state.invalid,
    invalidByCode: { ...state.invalidByCode },
  };
  const batches = [...state.batches];
  const open = state.open.map(({ entries: bytes, ...batch }): OpenBatch => {
    const entries = new ManifestEntries();
    entries.pushRecords(bytes);
    return { ...batch, entries };
  });
  const source = sourceOf(deps, job, state);
  const spool = spooled
    ? new Spool(
        deps.objects,
        keys.spool(attempt),
        state.spool === undefined ? undefined : { state: state.spool, batches: open },
      )
    : undefined;
  const invalidRun = new RunWriter(deps.objects, keys.invalid(attempt), source, state.invalidRun);
  const additions = additionsOf(job.route, deps.prices, job.createdAt);
  const originals = additions
    ? new RunWriter(deps.objects, keys.originals(attempt), source, state.originals)
    : undefined;
  const ids = new IdRuns(deps.objects, (index) => keys.ids(attempt, deps.worker, index), {
    resume: state.ids,
    ...(sizes.maxIdsInMemory === undefined ? {} : { maxInMemory: sizes.maxIdsInMemory }),
  });
  const full: OpenBatch[] = [];
  const cutter = new Cutter(
    deps.limits,
    (batch) => {
      // At once, so that the order of lines in the spool does not depend on how the stream is cut into chunks.
      spool?.settle(batch);
      full.push(batch);
    },
    {
      resume: open,
      isSpooled: spool !== undefined,
      // Lines that are unpacked or filled in have another size.
      ...(spooled ? {} : { totalBytes: job.input.size }),
      ...(sizes.maxOpenRequests === undefined ? {} : { maxOpenRequests: sizes.maxOpenRequests }),
    },
  );
  const hasher = new CustomIdHasher(job.jobId);
  let groupsExceeded = false;
  /** Lines of a spool are written side by side. */
  const isShattered = (): boolean => spool === undefined && cutter.isShattered;

  const reject = (line: Line, verdict: InvalidLine): void => {
    found.invalid++;
    found.invalidByCode[verdict.code] = (found.invalidByCode[verdict.code] ?? 0) + 1;
    let original = { offset: line.offset, length: line.length };
    if (spool !== undefined) {
      original =
        line.bytes === undefined
          ? { offset: 0, length: -1 }
          : { ...original, offset: spool.append(line.bytes) };
    }
    const { code, message, param } = verdict;
    const context = { line: line.line, ...(compressed ? {} : { byte: line.offset }), rounds: 0 };
    invalidRun.add(
      line.line,
      statedErrorLine(verdict.customId ?? null, { code, message, param }, context),
      original,
    );
  };

  const accept = (request: Omit<ScannedRequest, 'customId' | 'bytes'>): void => {
    if (hashMask !== WHOLE_HASH) {
      request.hash0 = (request.hash0 & hashMask) >>> 0;
      request.hash1 = ((request.hash1 & hashMask) | 1) >>> 0;
    }
    ids.append(request.hash0, request.hash1);
    const batch = cutter.add(request);
    spool?.hold(batch, request);
  };

  const take = (line: Line, verdict: ValidLine | InvalidLine, bytes = line.bytes): void => {
    found.requests++;
    if (!verdict.valid) {
      reject(line, verdict);
      return;
    }
    const { customId, url: endpoint, ...values } = verdict;
    hasher.hashText(customId);
    const { hash0, hash1 } = hasher;
    const { length } = bytes!;
    const copyTo = (target: Uint8Array, at: number): void => target.set(bytes!, at);
    accept({ ...line, ...values, length, endpoint, hash0, hash1, copyTo });
  };

  const handlers: LineHandlers = {
    ...(spool === undefined && hashMask === WHOLE_HASH
      ? {}
      : {
          onRequest: (request: ScannedRequest) => {
            found.requests++;
            accept(request);
          },
        }),
    onSpan: (span) => {
      found.requests += span.count;
      ids.appendAll(span.hashes);
      cutter.addSpan(span);
    },
    onLine: (line) =>
      take(line, line.bytes === undefined ? lineTooLong(line.length) : checkLine(line.bytes, deps.rules)),
  };

  /** Every line is filled in before it is judged, those that need nothing too. */
  const fillingHandlers = (additions: Additions, run: RunWriter): LineHandlers => {
    const onLine: LineHandlers['onLine'] = (line) => {
      if (line.bytes === undefined) {
        take(line, lineTooLong(line.length));
        return;
      }
      run.add(line.line, line.bytes, { offset: line.offset, length: line.length });
      const { verdict, bytes } = checkFilledIn(line.bytes, additions, deps.rules);
      take(line, verdict, bytes);
    };
    return {
      onSpan: (span) => {
        for (const { line, offset, length, bytes } of span.requests())
          onLine({ line, offset, length, bytes: bytes() });
      },
      onLine,
    };
  };

  const scanner = new LineScanner(
    job.jobId,
    additions === undefined || originals === undefined ? handlers : fillingHandlers(additions, originals),
    {
      rules: deps.rules,
      start: state.next,
      ...(compressed
        ? { sourceBytes: job.input.size * MAX_DEFLATE_RATIO }
        : {
            sourceBytes: job.input.size,
            slots: buffersFor(job.input.size, rangesFrom(deps, state.next.offset)),
          }),
      ...(sizes.blockBytes === undefined ? {} : { blockBytes: sizes.blockBytes }),
    },
  );

  /** Manifests that are being written, oldest first, each in a block. Nothing may be said of them before they are. */
  const writing: Promise<unknown>[] = [];
  const blocks: Block[] = [];
  const waitForManifests = async (most: number): Promise<void> => {
    while (writing.length > most) await writing.shift();
  };

  const writeFull = async (): Promise<void> => {
    groupsExceeded ||= cutter.groups > MAX_GROUPS;
    for (const { endpoint, model, bytes, textBytes, dataUrlBytes, entries } of full.splice(0)) {
      const batchId = batchIdOf(0, batches.length);
      const manifestKey = keys.manifest(attempt, batchId);
      await waitForManifests(MANIFESTS_UNDER_WAY - 1);
      const block = blocks.pop() ?? new Block();
      const put = deps.objects
        .put(manifestKey, encodeManifest({ source, entries }, block))
        .then(() => blocks.push(block));
      // Its failure is for who waits for it, which may be later.
      put.catch(() => {});
      writing.push(put);
      const requests = entries.count;
      batches.push({
        batchId,
        endpoint,
        model,
        manifestKey,
        requests,
        bytes,
        textBytes,
        dataUrlBytes,
        ...sizeOf(entries, model),
      });
      cutter.reuse(entries);
    }
    await spool?.drain();
    await invalidRun.flush();
    await originals?.flush();
    await ids.flush();
  };

  try {
    for await (const chunk of readSource(deps, job, state, scanner.slots)) {
      scanner.push(chunk);
      await writeFull();
      if (isShattered() || groupsExceeded) break;
      const { next } = scanner;
      if (!isOver() || next.offset === state.next.offset) continue;
      await waitForManifests(0);
      const now = cutter.open;
      await deps.save({
        v: SCAN_VERSION,
        phase: 'lines',
        ...found,
        next,
        batches,
        open: now.map(({ entries, ...batch }) => ({ ...batch, entries: entries.bytes() })),
        ids: await ids.suspend(),
        invalidRun: await invalidRun.suspend(),
        ...(originals === undefined ? {} : { originals: await originals.suspend() }),
        ...(spool === undefined ? {} : { spool: await spool.suspend(now) }),
      });
      return 'saved';
    }
    if (!isShattered() && !groupsExceeded) {
      scanner.end();
      groupsExceeded = cutter.groups > MAX_GROUPS;
    }
    if (groupsExceeded) {
      await Promise.all([...writing, invalidRun.abort(), originals?.abort(), spool?.abort()]);
      const message = `The file mixes more than ${MAX_GROUPS} pairs of model and endpoint; split it by model.`;
      return { plan: rejectedPlan(job.jobId, { code: 'too_many_models', message }) };
    }
    if (isShattered()) {
      await Promise.all([...writing, invalidRun.abort()]);
      return 'shattered';
    }
    cutter.finish();
    await writeFull();
    await waitForManifests(0);
    await spool?.close();
    const run = await invalidRun.close();
    const dropped = await originals?.close();
    const work = startDuplicates(batches);
    return {
      ids,
      state: {
        v: SCAN_VERSION,
        phase: 'duplicates',
        ...found,
        ids: [],
        ...(run === undefined ? {} : { invalidRun: run }),
        ...(dropped === undefined ? {} : { originals: dropped }),
        work,
      },
    };
  } catch (error) {
    await Promise.allSettled([...writing, invalidRun.abort(), originals?.abort(), spool?.abort()]);
    throw error;
  }
}

/** The bytes of the source from the state's next line on, unpacked. */
function readSource(
  deps: ScanDeps,
  job: Job,
  { compressed, next }: LinesState,
  buffers: readonly Uint8Array[],
): ByteStream {
  const { source } = job;
  const { size } = job.input;
  if (!compressed)
    return readInParallel(deps.objects, source, size, { ...rangesFrom(deps, next.offset), buffers });
  // Nobody can begin in the middle of deflate: what was looked at is unpacked once more.
  return skip(gunzip(readInParallel(deps.objects, source, size, rangesFrom(deps, 0))), next.offset);
}

function rangesFrom({ sizes: { rangeBytes, rangesInFlight } = {} }: ScanDeps, start: number) {
  return {
    start,
    ...(rangeBytes === undefined ? {} : { rangeBytes }),
    ...(rangesInFlight === undefined ? {} : { inFlight: rangesInFlight }),
  };
}

async function* skip(stream: ByteStream, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of stream) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

/** What manifests and runs of this attempt point into. */
function sourceOf(deps: ScanDeps, job: Job, { attempt, spooled }: Found): SourceObject {
  if (!spooled) return job.source;
  return { bucket: job.source.bucket, key: workKeys(deps.layout, job.jobId).spool(attempt) };
}

/** @param ids of the pass, if this worker made it; else the state has all of them. */
async function end(
  deps: ScanDeps,
  job: Job,
  state: EndState,
  ids: IdRuns | undefined,
  isOver: () => boolean,
): Promise<Plan | undefined> {
  const { attempt, spooled, invalidRun, originals, work } = state;
  const keys = workKeys(deps.layout, job.jobId);
  const { hashesOfARound, looksEvery } = deps.sizes ?? {};
  const isDone = await removeDuplicates(
    {
      objects: deps.objects,
      rules: deps.rules,
      bucket: job.source.bucket,
      ids: ids?.sorted() ?? { runs: state.ids, memory: new Uint32Array(0) },
      keysOf: (batchId, name) => keys.unique(attempt, batchId, name),
      // Offsets in a spool mean nothing to a person.
      statesBytes: !spooled,
      isOver,
      ...(hashesOfARound === undefined ? {} : { hashesOfARound }),
      ...(looksEvery === undefined ? {} : { looksEvery }),
    },
    work,
  );
  if (!isDone) {
    await deps.save({ ...state, ids: (await ids?.suspend()) ?? state.ids });
    return undefined;
  }
  const invalidByCode = { ...state.invalidByCode };
  if (work.removed > 0) invalidByCode.duplicate_custom_id = work.removed;
  const plan: Plan = {
    v: 1,
    jobId: job.jobId,
    requests: state.requests,
    invalid: state.invalid + work.removed,
    invalidByCode,
    batches: work.batches
      .filter(({ requests }) => requests > 0)
      .map((batch, index) => ({ ...batch, batchId: batchIdOf(0, index) })),
    invalidRuns: [...(invalidRun === undefined ? [] : [invalidRun]), ...work.runs],
    ...(originals === undefined ? {} : { originals }),
  };
  return applyPolicy(plan, job);
}

/** Decides whether a file that was read to its end is run. */
function applyPolicy(plan: Plan, job: Job): Plan {
  const good = plan.requests - plan.invalid;
  const reject = (code: Rejection['code'], message: string): Plan => ({
    ...plan,
    batches: [],
    invalid: plan.requests,
    invalidByCode: good === 0 ? plan.invalidByCode : { ...plan.invalidByCode, file_rejected: good },
    rejection: { code, message },
  });
  if (plan.requests === 0) return reject('empty_file', 'The file has no line with anything on it.');
  if ((plan.invalidByCode.invalid_json_line ?? 0) === plan.requests) {
    return reject(
      'not_json_lines',
      `None of the ${plan.requests} lines is a JSON object; one request a line is expected.`,
    );
  }
  if (good === 0)
    return reject('no_valid_lines', `None of the ${plan.requests} lines is a request that can be run.`);
  if (plan.invalid > 0 && job.route.onInvalid === 'reject') {
    return reject(
      'invalid_lines',
      `${plan.invalid} of ${plan.requests} lines are invalid and route "${job.route.name}" rejects such files; the errors file lists them.`,
    );
  }
  return plan;
}

async function firstBytes(objects: ObjectStore, source: SourceObject): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await objects.read(source, 0, 2)) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}
