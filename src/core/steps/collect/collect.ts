/**
 * From an ended batch to one outcome for each of its requests: an answer, a final error, or a place in the next round.
 *
 * Results are trusted line by line; counts and file ids are not: a file id may be missing or empty, a completed batch
 * may lack lines, an expired or cancelled one holds what was finished and paid for.
 */

import type { BatchMessage } from '../../../contract/messages.ts';
import type { Tier } from '../../../contract/route.ts';
import type { Settings } from '../../../contract/settings.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import {
  IncompleteDownloadError,
  isApiKeyError,
  isUnavailable,
  ObjectGoneError,
  OutOfTimeError,
} from '../../base/errors.ts';
import { reasonOf, serviceCodeCounts } from '../../base/own-text.ts';
import { asUtf8 } from '../../base/utf8.ts';
import { openaiErrorLine, statedErrorLine } from '../../files/error-line.ts';
import { workKeys } from '../../files/keys.ts';
import {
  encodeManifest,
  type Manifest,
  ManifestEntries,
  readManifest,
  renderedBytes,
} from '../../files/manifest.ts';
import { readRanges } from '../../files/ranges.ts';
import { RunWriter } from '../../files/run-file.ts';
import { cutIntoSlices } from '../../files/slices.ts';
import {
  toCollected,
  toFetched,
  toPostponed,
  toReleased,
  toWithoutFiles,
} from '../../lifecycle/batch-transitions.ts';
import { showsExecution, showsExecutionBesideFiles } from '../../lifecycle/executed.ts';
import { LeasedBatch, TakenOverError } from '../../lifecycle/leased.ts';
import { readOutcome, writeOutcomeOnce } from '../../lifecycle/outcome-file.ts';
import { advanceAfter } from '../../lifecycle/rounds.ts';
import { retryAt } from '../../lifecycle/step-failure.ts';
import { workingTime } from '../../lifecycle/time-limits.ts';
import { attemptsOf } from '../../model/attempts.ts';
import {
  apiKeyOf,
  type BatchRecord,
  type FetchedFile,
  isSlice,
  type NextBatch,
  tierOf,
  tokensOf,
} from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { BatchOutcome, Bill } from '../../model/outcome.ts';
import { noUsage } from '../../model/usage.ts';
import type { Cut } from '../../model/verdict.ts';
import type { Ambient, Deadline, Pause } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { BatchService, ByKey } from '../../ports/provider.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Scratch } from '../../ports/scratch.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import { differ, microdollarsOf } from '../../pricing/bill.ts';
import { cutByCost, sizeOf } from '../../pricing/bound.ts';
import type { Prices } from '../../pricing/prices.ts';
import { cutByTokens, type Part } from '../../pricing/recut.ts';
import { Tally } from '../../pricing/tally.ts';
import { readInputCounts } from '../../results/input-counts.ts';
import { dispatch } from '../../scheduling/dispatch.ts';
import { tierToBegin } from '../../scheduling/ladder.ts';
import { liftSuspensionsFor, operatorErrorOf, suspendFor } from '../../scheduling/operator-errors.ts';
import { isWithdrawn, readPaces } from '../../scheduling/step-down.ts';
import { type Decision, decide, decideRefusal, type Refusal, unreadable } from './decide.ts';
import { fetchResults, readFetched } from './fetch.ts';
import { Join } from './join.ts';
import { isLastTry } from './last-resort.ts';
import { lookAgain, waitForLateResults } from './late-results.ts';
import { sendRefusedAgain } from './refused.ts';

type Batches = Pick<BatchService, 'getBatch' | 'readFile' | 'fileSize' | 'deleteFile'>;

export interface CollectDeps {
  settings: Settings;
  prices: Prices;
  objects: ObjectStore;
  jobs: JobStore;
  batches: ByKey<Batches>;
  rules: ProviderRules;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  outbox: Pick<Outbox, 'submit' | 'call' | 'collect' | 'finalize'>;
  scratch: Scratch;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Pause;
  telemetry: Telemetry;
}

/** The same, with the key of the batch that is collected. */
type DepsWithKey = Omit<CollectDeps, 'batches'> & { batches: Batches };

/** How long requests rest that failed as they were called: what is down for minutes is not to use up all their tries. */
const REST_BACKOFF: Backoff = { firstMs: 2 * MINUTE_MS, maxMs: 30 * MINUTE_MS };

/** When results are asked for again whose key could not be used; a new one is in use within five minutes. */
const KEY_REST_MS = 10 * MINUTE_MS;
export async function collect(deps: CollectDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const job = await deps.jobs.getJob(jobId);
  if (job?.planKey === undefined) {
    deps.telemetry.record('message.dropped', { jobId, batchId });
    return;
  }
  const found = await deps.jobs.getBatch(jobId, batchId);
  if ((found?.wait?.notBefore ?? 0) > deps.ambient.now()) return;
  // It waited for a short time after a refusal, which is over.
  if (found?.state === 'planned') return dispatch(deps, [found]);
  const batch = await LeasedBatch.lease(deps, { jobId, batchId }, 'ended');
  if (batch !== undefined) {
    try {
      const batches = deps.batches.withKey(apiKeyOf(batch.record));
      const withKey = { ...deps, batches, deadline: workingTime(deps.deadline) };
      await batch.work(withKey, (leased) => collectLeased(leased, job, batch));
    } catch (error) {
      if (isApiKeyError(error)) return waitForKey(deps, batch, error);
      // Another worker may have collected it, which is to be carried on below.
      if (!(error instanceof TakenOverError)) {
        const isDone = await batch.fail(deps, error, (delivery) =>
          deps.outbox.collect({ v: 1, jobId, batchId }, delivery),
        );
        if (!isDone) throw error;
        return;
      }
    }
  }
  const collected = await deps.jobs.getBatch(jobId, batchId);
  if (collected?.state !== 'collected') return;
  await settleCollected(deps, collected);
  const next = await advanceAfter(deps, job, collected, deps.ambient.now());
  // What else waits is the poll's to admit: it looks at all of it, which is too much to do for each batch.
  if (next.length > 0) await dispatch(deps, next);
}

/** Results that take a key which cannot be used stay where they are, for as long as it takes: no try of theirs counts. */
async function waitForKey(
  { rules, ambient, telemetry }: CollectDeps,
  batch: LeasedBatch,
  error: Error,
): Promise<void> {
  const { jobId, batchId } = batch.record;
  const reason = operatorErrorOf(rules.errors, error)?.code ?? rules.errors.keyRefused;
  const wait = { lastError: error.message, notBefore: ambient.now() + KEY_REST_MS };
  await batch.tryMove(toPostponed(batch.record, wait, reason));
  const apiKey = apiKeyOf(batch.record);
  telemetry.record('collect.delayed', { jobId, batchId, apiKey, reason: reasonOf(error) });
}

async function collectLeased(deps: DepsWithKey, job: Job, leased: LeasedBatch): Promise<void> {
  const batch = leased.record;
  // Whoever ended the batch may not have come so far.
  if (batch.admission !== undefined)
    await deps.quota.giveBackTokens(batch.admission.reservation, deps.ambient.now());
  const outcome = await readOutcome(deps, batch);
  if (outcome !== undefined) {
    await leased.move(toCollected(batch, outcome));
    return;
  }
  if (isWithdrawn(batch) && job.cancelledAt === undefined) {
    const { source, entries } = await readManifest(deps.objects, batch.manifestKey);
    const parts = cutIntoSlices(entries).map((slice) => ({
      entries: slice,
      ...tokensOfPart(batch, renderedBytes(slice)),
    }));
    await recut(deps, leased, source, parts);
    return;
  }
  const isRefused = batch.ending!.status === 'failed' && !showsExecution(batch);
  const refusal = isRefused ? decideRefusal(job, batch, deps.rules.errors) : undefined;
  if (refusal !== undefined && refusal.kind !== 'repair') {
    const isTooLarge = await sendRefusedAgain(deps, leased, refusal);
    if (!isTooLarge) return;
    const { source, entries } = await readManifest(deps.objects, batch.manifestKey);
    await recut(deps, leased, source, cut(deps, leased.record, entries));
    return;
  }
  const manifest = await readManifest(deps.objects, batch.manifestKey);
  if (batch.recut !== undefined && batch.requests > 1 && job.cancelledAt === undefined) {
    await recut(deps, leased, manifest.source, cut(deps, batch, manifest.entries));
    return;
  }
  await lookAgain(deps, leased);
  await collectResults(deps, job, leased, manifest, refusal);
}

/** Fetches the results of a batch, sorts them, and writes down what became of its requests. */
async function collectResults(
  deps: DepsWithKey,
  job: Job,
  leased: LeasedBatch,
  manifest: Manifest,
  refusal: Extract<Refusal, { kind: 'repair' }> | undefined,
): Promise<void> {
  const isLastResort = isLastTry(leased.record);
  const fetched = await fetchResults(deps, leased, isLastResort);
  if (fetched === 'to be continued' || (fetched.isFresh && !hasTimeFor(deps, fetched.files))) {
    await continueLater(deps, leased);
    return;
  }
  const batch = leased.record;
  const scratch = await deps.scratch.open();
  try {
    const { rules } = deps;
    const stores = { scratch, objects: deps.objects };
    const tally = new Tally(batch, manifest.entries, deps.prices, rules.answers);
    // In the end, results do not wait for an input that cannot be read.
    const inputs = isLastResort
      ? undefined
      : await readInputCounts(deps.objects, manifest, rules.endpoints.get(batch.endpoint));
    const join = new Join(manifest, job.jobId, stores, {
      rules: rules.answers,
      askedOf: (index) => ({ endpoint: batch.endpoint, inputs: inputs?.[index] }),
      takesWhatIsReadable: isLastResort,
      onResult: (index, body, isAnswer) => tally.add(index, body, isAnswer),
    });
    for (const file of fetched.files) await addResults(deps, job, leased, join, file, isLastResort);
    const late = await waitForLateResults(deps, leased, join.known, fetched.files);
    if (late === 'unanswered') join.isUnreadable = true;
    if (batch.ending!.status === 'failed' && refusal === undefined && !hasRun(batch, fetched.files)) {
      await continueLater(deps, leased, toWithoutFiles(batch));
      return;
    }
    const results = await writeResults(deps, job, batch, manifest, join, tally, refusal, isLastResort);
    await leased.move(toCollected(batch, await writeOutcomeOnce(deps, batch, results)));
    const { usage, bill: _, ...counts } = results.outcome;
    const { inputTokens, outputTokens } = usage;
    const { jobId, batchId } = batch;
    const failedByCode = serviceCodeCounts(counts.failedByCode);
    const fields = { jobId, batchId, ...counts, failedByCode, inputTokens, outputTokens };
    deps.telemetry.record('batch.collected', fields);
  } finally {
    await scratch.dispose();
  }
}

/** What sorting the lines of a fetched file takes at the worst, to begin it in the rest of an invocation. */
const SORTED_BYTES_PER_SECOND = 10_000_000;
const MIN_SORTING_MS = 90_000;

function hasTimeFor({ deadline }: DepsWithKey, files: readonly FetchedFile[]): boolean {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return deadline.remainingMs() > MIN_SORTING_MS + (bytes / SORTED_BYTES_PER_SECOND) * 1000;
}

function hasRun(batch: BatchRecord, files: readonly FetchedFile[]): boolean {
  return showsExecutionBesideFiles(batch) || files.some(({ bytes, isPartial }) => bytes > 0 || isPartial);
}

/** Gives the batch back and hands it to the next invocation; should the message be lost, the sweep sends it again. */
async function continueLater(
  deps: DepsWithKey,
  batch: LeasedBatch,
  transition = toReleased(batch.record),
): Promise<void> {
  const { jobId, batchId } = batch.record;
  await batch.move(transition);
  await deps.outbox.collect({ v: 1, jobId, batchId });
  deps.telemetry.record('collect.paused', { jobId, batchId });
}

/** Joins a fetched file. One that does not read as it should is fetched again the next time. */
async function addResults(
  deps: DepsWithKey,
  job: Job,
  batch: LeasedBatch,
  join: Join,
  file: FetchedFile,
  isLastResort: boolean,
): Promise<void> {
  const { bucket } = job.input;
  if (file.isPartial) join.isUnreadable = true;
  // In the end, what can be read in half of the time is all there is: the other half is for writing it.
  const reserveMs = isLastResort ? deps.deadline.remainingMs() / 2 : 0;
  try {
    const body = readFetched(deps, bucket, file, reserveMs);
    await join.addFile(`OpenAI file ${file.fileId}`, body, file.bytes, { bucket, key: file.key });
  } catch (error) {
    if (isLastResort) {
      join.isUnreadable = true;
      return;
    }
    // What a slice was answered is nowhere else.
    const isLost = error instanceof IncompleteDownloadError || error instanceof ObjectGoneError;
    if (isLost && !isSlice(batch.record)) await batch.tryMove(toFetched(batch.record, undefined));
    throw error;
  }
}

/** A record holds the places of all parts; what is still too large is cut once more. */
const MAX_PARTS = 100;

/** A batch that was never sent, because it is too large for what is to become of it: smaller ones follow it. */
async function recut(
  deps: DepsWithKey,
  leased: LeasedBatch,
  source: SourceObject,
  parts: readonly Part[],
): Promise<void> {
  const batch = leased.record;
  const keys = workKeys(deps.settings.layout, batch.jobId).collected(batch.batchId, deps.ambient.nonce());
  const next: NextBatch[] = [];
  for (const part of parts) {
    const manifestKey = keys.nextManifest(next.length);
    await deps.objects.put(manifestKey, encodeManifest({ source, entries: part.entries }));
    next.push({
      ...inTier(batch.stop?.goTo),
      manifestKey,
      requests: part.entries.count,
      bytes: renderedBytes(part.entries),
      ...(part.tokens === undefined ? {} : { tokens: part.tokens }),
      ...sizeOf(part.entries, batch.model),
      ...(batch.repairs === undefined ? {} : { repairs: batch.repairs }),
    });
  }
  const outcome = { ...noOutcome(), retried: batch.requests };
  await leased.move(toCollected(batch, await writeOutcomeOnce(deps, batch, { outcome, next })));
  deps.telemetry.record('batch.recut', { jobId: batch.jobId, batchId: batch.batchId, parts: next.length });
}

/** The parts of a batch that is too large, by its tokens or by what it costs. */
function cut({ prices, ambient }: DepsWithKey, batch: BatchRecord, entries: ManifestEntries): Part[] {
  const { tokens, microdollars } = batch.recut!;
  if (microdollars === undefined)
    return cutByTokens(batch, entries, Math.max(tokens!, Math.ceil(tokensOf(batch) / MAX_PARTS)));
  return cutByCost(batch, entries, { microdollars, mostParts: MAX_PARTS }, prices, ambient.now());
}

async function writeResults(
  deps: DepsWithKey,
  job: Job,
  batch: BatchRecord,
  manifest: Manifest,
  join: Join,
  tally: Tally,
  refusal: Extract<Refusal, { kind: 'repair' }> | undefined,
  isLastResort: boolean,
): Promise<NonNullable<BatchRecord['results']>> {
  const { entries, source } = manifest;
  const keys = workKeys(deps.settings.layout, job.jobId).collected(batch.batchId, deps.ambient.nonce());
  const { of: decisions, suspend: trouble } =
    refusal === undefined
      ? decide(job, batch, entries, join, deps.rules.errors)
      : decideMended(entries, refusal);
  const customIds = await readCustomIds(deps.objects, manifest, decisions);
  const outcome: BatchOutcome = { ...noOutcome(), strayLines: join.strayLines };
  const output = new RunWriter(deps.objects, keys.output, source);
  const errors = new RunWriter(deps.objects, keys.errors, source);
  // Not a plain object: a code may be called "constructor".
  const failedByCode = new Map<string, number>();
  const billedTwice = new Map<string, number>();
  const next = new ManifestEntries();
  const lost: number[] = [];
  let tries = 0;
  const hasTime = (): boolean => {
    if (deps.deadline.remainingMs() > 0) return true;
    if (isLastResort) return false;
    throw new OutOfTimeError(`batch ${batch.batchId}: its results cannot be sorted in one invocation`);
  };
  const lineOf = async (index: number): Promise<Uint8Array> => {
    const given = await join.line(index);
    const text = asUtf8(given);
    if (text !== given) outcome.repairedLines++;
    return text;
  };
  // Offsets in a spool mean nothing to a person, offsets in the dropped object do.
  const isInput = source.key === job.source.key;
  try {
    for (const [index, decided] of decisions.entries()) {
      const { line, offset, length, tried, hash0, hash1 } = entries.at(index);
      const decision = hasTime() ? decided : unreadable(tried);
      const original = { offset, length };
      if (decision.kind !== 'succeeded' && decision.lost !== undefined) lost.push(index);
      if (decision.kind === 'succeeded') {
        outcome.succeeded++;
        if (decision.cut !== undefined) outcome[COUNT_OF_CUT[decision.cut]]++;
        output.add(line, await lineOf(index), original);
      } else if (decision.kind === 'retry') {
        outcome.retried++;
        if (isSlice(batch) && decision.tried !== tried) tries = Math.max(tries, attemptsOf(decision.tried));
        if (decision.lost !== undefined) countIn(billedTwice, decision.lost);
        next.push({ line, offset, length, tried: decision.tried, hash0, hash1 });
      } else {
        outcome.failed++;
        countIn(failedByCode, decision.code);
        const rounds = attemptsOf(decision.tried);
        const context = { line, ...(isInput ? { byte: offset } : {}), rounds };
        const text =
          decision.stated === undefined
            ? openaiErrorLine(Buffer.from(await lineOf(index)).toString('utf8'), context)
            : statedErrorLine(customIds.get(index) ?? null, decision.stated, context);
        errors.add(line, text, original);
      }
      await output.flush();
      await errors.flush();
    }
    outcome.failedByCode = Object.fromEntries(failedByCode);
    outcome.possiblyBilledTwice = Object.fromEntries(billedTwice);
    outcome.usage = tally.usage();
    outcome.bill = billOf(deps, batch, tally, lost);
    const outputRun = await output.close();
    const errorRun = await errors.close();
    const tier = await tierOfNext(deps, batch, next);
    const parts =
      tier !== 'batch'
        ? cutIntoSlices(next)
        : refusal?.inHalves
          ? halvesOf(next)
          : [next].filter(({ count }) => count > 0);
    const children: NextBatch[] = [];
    const restMs = waitAfter(REST_BACKOFF, tries);
    const rest = tries === 0 ? {} : { notBefore: retryAt(batch, restMs, deps.ambient.now()) };
    for (const [index, part] of parts.entries()) {
      const manifestKey = keys.nextManifest(index);
      await deps.objects.put(manifestKey, encodeManifest({ source, entries: part }));
      children.push({
        ...inTier(tier),
        ...rest,
        manifestKey,
        requests: part.count,
        bytes: renderedBytes(part),
        ...sizeOf(part, batch.model),
        ...tokensOfPart(batch, renderedBytes(part)),
        ...(refusal === undefined ? {} : { repairs: (batch.repairs ?? 0) + 1 }),
      });
    }
    // Before the batch is collected: the next round must not be admitted into it.
    if (trouble !== undefined) await suspendFor(deps, batch, trouble, 'collected');
    else if (outcome.succeeded > 0) await liftSuspensionsFor(deps, batch, 'collected');
    return {
      outcome,
      ...(outputRun === undefined ? {} : { outputRun }),
      ...(errorRun === undefined ? {} : { errorRun }),
      ...(children.length === 0 ? {} : { next: children }),
    };
  } catch (error) {
    await Promise.allSettled([output.abort(), errors.abort()]);
    throw error;
  }
}

/** Where the answers that were cut short are counted. */
const COUNT_OF_CUT = {
  token_limit: 'incomplete',
  content_filter: 'filtered',
  other: 'cutOtherwise',
} as const satisfies Record<Cut, keyof BatchOutcome>;

/** Held against what OpenAI says of the whole batch, where it does. */
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

/** Of a collected batch: books what it cost and gives back the rest of what was reserved; once, however often asked. */
async function settleCollected(deps: CollectDeps, batch: BatchRecord): Promise<void> {
  if (batch.admission?.reservation === undefined) return;
  await deps.quota.settle(batch.admission?.reservation, deps.ambient.now(), microdollarsOf(batch));
}

/** The tier in which what a batch leaves goes on. */
async function tierOfNext(deps: DepsWithKey, batch: BatchRecord, next: ManifestEntries): Promise<Tier> {
  const tier = batch.stop?.goTo ?? tierOf(batch);
  const { ladder } = batch;
  if (ladder === undefined || next.count === 0) return tier;
  const bytes = renderedBytes(next);
  const work = { requests: next.count, tokens: tokensOf({ bytes, ...tokensOfPart(batch, bytes) }) };
  const paceOf = await readPaces(deps, batch);
  return tierToBegin({ ladder, tier, work, paceOf, now: deps.ambient.now() });
}

function inTier(tier: Tier | undefined): { tier?: Tier } {
  return tier === undefined || tier === 'batch' ? {} : { tier };
}

/** The part of a batch's tokens that its bytes make likely. */
function tokensOfPart({ tokens, bytes }: BatchRecord, partBytes: number): Pick<NextBatch, 'tokens'> {
  return tokens === undefined ? {} : { tokens: Math.ceil((tokens * partBytes) / bytes) };
}

function noOutcome(): BatchOutcome {
  return {
    succeeded: 0,
    failed: 0,
    retried: 0,
    failedByCode: {},
    possiblyBilledTwice: {},
    incomplete: 0,
    filtered: 0,
    cutOtherwise: 0,
    repairedLines: 0,
    strayLines: 0,
    usage: noUsage(),
  };
}

/** None of them was executed, so this costs none of their rounds. */
function decideMended(
  entries: ManifestEntries,
  refusal: Extract<Refusal, { kind: 'repair' }>,
): { of: Decision[]; suspend?: undefined } {
  const of = Array.from({ length: entries.count }, (_, index): Decision => {
    const tried = entries.tried(index);
    const error = refusal.errorOf(index);
    return error === undefined
      ? { kind: 'retry', tried }
      : { kind: 'failed', tried, code: error.code, stated: error };
  });
  return { of };
}

/** The entries in two manifests, so that a request which sinks every batch that it is in is left alone in the end. */
function halvesOf(entries: ManifestEntries): ManifestEntries[] {
  const middle = Math.ceil(entries.count / 2);
  const halves = [new ManifestEntries(), new ManifestEntries()] as const;
  for (let index = 0; index < entries.count; index++) {
    const { line, offset, length, tried, hash0, hash1 } = entries.at(index);
    halves[index < middle ? 0 : 1].push({ line, offset, length, tried, hash0, hash1 });
  }
  return halves.filter(({ count }) => count > 0);
}

/** Codes that a batch's record counts one by one, and their length: it has room for 400 KB, and services make up codes. */
const MAX_CODES = 100;
const MAX_CODE_CHARS = 100;
/** What all further codes count as; the errors file has each of them. */
const FURTHER_CODES = 'other';

function countIn(counts: Map<string, number>, code: string): void {
  const name = code.slice(0, MAX_CODE_CHARS).toWellFormed();
  const counted = counts.has(name) || counts.size < MAX_CODES ? name : FURTHER_CODES;
  counts.set(counted, (counts.get(counted) ?? 0) + 1);
}

/** Our own error lines name the request; its id is read from the original line, because manifests hold only hashes. */
async function readCustomIds(
  objects: ObjectStore,
  { source, entries }: Manifest,
  decisions: readonly Decision[],
): Promise<Map<number, string>> {
  const wanted: number[] = [];
  for (const [index, decision] of decisions.entries()) {
    if (decision.kind === 'failed' && decision.stated !== undefined) wanted.push(index);
  }
  const customIds = new Map<number, string>();
  const ranges = wanted.map((index) => ({ offset: entries.offset(index), length: entries.length(index) }));
  let pieces: Uint8Array[] = [];
  try {
    for await (const piece of readRanges(objects, source, ranges)) {
      pieces.push(new Uint8Array(piece.bytes));
      if (!piece.last) continue;
      const request = JSON.parse(Buffer.concat(pieces).toString('utf8')) as { custom_id: string };
      customIds.set(wanted[piece.index]!, request.custom_id);
      pieces = [];
    }
  } catch (error) {
    // The input was deleted meanwhile, or S3 does not give it: the line numbers still say which requests these were.
    if (!isUnavailable(error)) throw error;
  }
  return customIds;
}
