/** Fetches the result files of an ended batch, joins their lines to its requests, and has the outcome written. */
import { IncompleteDownloadError, ObjectGoneError } from '../../base/errors.ts';
import { toUsd } from '../../base/money.ts';
import { serviceCodeCounts } from '../../base/own-text.ts';
import { toCollected, toFetched, toReleased, toWithoutFiles } from '../../lifecycle/batch-transitions.ts';
import { showsExecutionBesideFiles } from '../../lifecycle/executed.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { writeOutcomeOnce } from '../../lifecycle/outcome-file.ts';
import { type BatchRecord, type FetchedFile, isSlice, tierOf } from '../../model/batch.ts';
import type { ScratchFile } from '../../ports/scratch.ts';
import { billedOf } from '../../pricing/bill.ts';
import { Tally } from '../../pricing/tally.ts';
import { readInputCounts } from '../../results/input-counts.ts';
import { CodeCounts } from './code-counts.ts';
import type { Collection, DepsWithKey } from './deps.ts';
import { fetchResults, readFetched } from './fetch.ts';
import { Join } from './join.ts';
import { isLeftOut } from './last-resort.ts';
import { waitForLateResults } from './late-results.ts';
import { type Results, writeResults } from './write-results.ts';

/** What sorting the lines of a fetched file takes at the worst, to begin it in the rest of an invocation. */
const SORTED_BYTES_PER_SECOND = 10_000_000;
const MIN_SORTING_MS = 90_000;

/** Fetches the results of a batch, sorts them, and writes down what became of its requests. */
export async function collectResults(deps: DepsWithKey, collection: Collection): Promise<void> {
  const { leased, isLastResort } = collection;
  const fetched = await fetchResults(deps, leased, isLastResort);
  if (fetched === 'to be continued' || (fetched.isFresh && !hasTimeFor(deps, fetched.files))) {
    await continueInNextInvocation(deps, leased, toReleased(leased.record));
    return;
  }
  const scratch = await deps.scratch.open();
  try {
    await sortResults(deps, collection, fetched.files, scratch);
  } finally {
    await scratch.dispose();
  }
}

async function sortResults(
  deps: DepsWithKey,
  collection: Collection,
  files: readonly FetchedFile[],
  scratch: ScratchFile,
): Promise<void> {
  const { leased, repair } = collection;
  const batch = leased.record;
  const results = await newResults(deps, collection, scratch);
  const { join } = results;
  for (const file of files) await addResults(deps, collection, join, file);
  const late = await waitForLateResults(deps, leased, join.known, files);
  if (late === 'unanswered') join.isUnreadable = true;
  if (batch.ending!.status === 'failed' && repair === undefined && !hasRun(batch, files)) {
    await continueInNextInvocation(deps, leased, toWithoutFiles(batch));
    return;
  }
  const written = await writeResults(deps, collection, results);
  await leased.move(toCollected(batch, await writeOutcomeOnce(deps, batch, written)));
  const { usage, bill, answeredBy: _, ...counts } = written.outcome;
  const { inputTokens, outputTokens } = usage;
  const { jobId, batchId } = batch;
  const failedByCode = serviceCodeCounts(counts.failedByCode);
  const usd = toUsd(bill === undefined ? 0n : billedOf(bill));
  const tokens = { inputTokens, outputTokens };
  const fields = { jobId, batchId, tier: tierOf(batch), ...counts, failedByCode, ...tokens, usd };
  deps.telemetry.record('batch.collected', fields);
}

/** The results of a batch before any file was read. */
async function newResults(
  { objects, prices, rules }: DepsWithKey,
  { job, leased, manifest, isLastResort }: Collection,
  scratch: ScratchFile,
): Promise<Results> {
  const batch = leased.record;
  const { endpoint } = batch;
  const answeredBy = new CodeCounts();
  const tally = new Tally(batch, manifest.entries, prices, rules.answers);
  // In the end, results do not wait for an input that cannot be read.
  const inputs = isLastResort
    ? undefined
    : await readInputCounts(objects, manifest, rules.endpoints.get(endpoint));
  const stores = { scratch, objects };
  const join = new Join(manifest, job.jobId, stores, {
    rules: rules.answers,
    askedOf: (index) => ({ endpoint, inputs: inputs?.[index] }),
    takesWhatIsReadable: isLastResort,
    onResult: (index, body, isAnswer) => {
      tally.add(index, body, isAnswer);
      if (isAnswer && typeof body.model === 'string') answeredBy.add(body.model);
    },
  });
  return { join, tally, answeredBy };
}

function hasTimeFor({ deadline }: DepsWithKey, files: readonly FetchedFile[]): boolean {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return deadline.remainingMs() > MIN_SORTING_MS + (bytes / SORTED_BYTES_PER_SECOND) * 1000;
}

function hasRun(batch: BatchRecord, files: readonly FetchedFile[]): boolean {
  return showsExecutionBesideFiles(batch) || files.some(({ bytes, isPartial }) => bytes > 0 || isPartial);
}

/** Gives the batch back and sends its message again; should the message be lost, the sweep sends it once more. */
async function continueInNextInvocation(
  deps: DepsWithKey,
  batch: LeasedBatch,
  transition: Parameters<LeasedBatch['move']>[0],
): Promise<void> {
  const { jobId, batchId } = batch.record;
  await batch.move(transition);
  await deps.outbox.collect({ v: 1, jobId, batchId });
  deps.telemetry.record('collect.paused', { jobId, batchId });
}

/** Joins a fetched file. One that does not read as it should is fetched again the next time. */
async function addResults(
  deps: DepsWithKey,
  { job, leased, isLastResort }: Collection,
  join: Join,
  file: FetchedFile,
): Promise<void> {
  const { bucket } = job.input;
  if (file.isPartial) join.isUnreadable = true;
  // In the end, what can be read in half of the time is all there is: the other half is for writing it.
  const reserveMs = isLastResort ? deps.deadline.remainingMs() / 2 : 0;
  try {
    const body = readFetched(deps, bucket, file, reserveMs);
    await join.addFile(`result file ${file.fileId}`, body, file.bytes, { bucket, key: file.key });
  } catch (error) {
    if (isLastResort && isLeftOut(leased.record, error)) {
      join.isUnreadable = true;
      return;
    }
    // The answers to the calls of a slice are in no other place.
    const isLost = error instanceof IncompleteDownloadError || error instanceof ObjectGoneError;
    if (isLost && !isSlice(leased.record)) await leased.tryMove(toFetched(leased.record, undefined));
    throw error;
  }
}
