/**
 * Results that the files of an ended batch do not hold yet. Its files may be named or filled a moment after it ended,
 * and to run a request again that was answered is to pay twice. So OpenAI is asked again, after seconds at first and
 * then ever more slowly; what changed is fetched again, and what did not is not. After an hour the files are
 * believed, but only as OpenAI has them by then, however old our record and our copies of them are.
 */
import { HOUR_MS, MINUTE_MS } from '../../../contract/time.ts';
import { isApiKeyError, NotYetError } from '../../base/errors.ts';
import { type FoundFiles, toResultsLate } from '../../lifecycle/batch-transitions.ts';
import { showsExecution, surelyDidNotBegin } from '../../lifecycle/executed.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { type BatchRecord, type FetchedFile, isSlice } from '../../model/batch.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { BatchService } from '../../ports/provider.ts';
import { isLastTry } from './last-resort.ts';

/** How long files may lag behind the end of a batch. Ours; none is documented. */
const LATE_RESULTS_MS = HOUR_MS;
/** The same for a batch that OpenAI, asked for it, does not know: it may be back. Ours. */
const UNKNOWN_BATCH_MS = 24 * HOUR_MS;
/** The first look follows after this time, each further one after half of the time waited so far. Ours. */
const FIRST_LOOK_MS = 5_000;
const MAX_LOOK_MS = 6 * MINUTE_MS;
/** The same once only the batch itself is waited for. */
const MAX_LATE_LOOK_MS = 30 * MINUTE_MS;

export interface LateResultsDeps {
  batches: Pick<BatchService, 'getBatch' | 'fileSize'>;
  ambient: Pick<Ambient, 'now'>;
}

/**
 * How many results a batch should have: one for each request, whatever OpenAI's counts say. A batch that was cut off
 * has lines for unexecuted requests, too.
 */
function promisedResults(batch: BatchRecord): number {
  const { requests } = batch;
  const { status, lostAt } = batch.ending!;
  if (lostAt !== undefined || isSlice(batch)) return 0;
  switch (status) {
    case 'completed':
      return requests;
    case 'expired':
    case 'cancelled':
      // Where the counts are absent, files may follow.
      return batch.remote?.progress === undefined || !surelyDidNotBegin(batch) ? requests : 0;
    default:
      return showsExecution(batch) ? requests : 0;
  }
}

/**
 * When to look again at a batch whose results are late.
 * @param waitedMs since it ended.
 */
export function nextLookMs(waitedMs: number): number {
  const most = waitedMs < LATE_RESULTS_MS ? MAX_LOOK_MS : MAX_LATE_LOOK_MS;
  const delayMs = Math.min(Math.max(waitedMs / 2, FIRST_LOOK_MS), most);
  const untilBelieved = LATE_RESULTS_MS - waitedMs;
  return Math.ceil(untilBelieved > 0 ? Math.min(delayMs, untilBelieved) : delayMs);
}

/**
 * Looks at a batch whose results were late when it was looked at last, before anything is fetched or sorted again; its
 * record then is without the copies that are to be made again.
 * @throws {NotYetError} if nothing has changed, and it is worth waiting.
 */
export async function lookAgain(deps: LateResultsDeps, leased: LeasedBatch): Promise<void> {
  const batch = leased.record;
  const known = batch.download?.lateResults;
  if (known === undefined) return;
  const look = await lookAt(deps, batch);
  if (look.kind === 'believed' || look.kind === 'unanswered') return;
  if (look.kind === 'same') throw notYet(deps, batch, known);
  await leased.move(toResultsLate(batch, look.found));
}

/**
 * To be asked before what a batch has no results for is given up.
 * @param known how many requests its files have results for.
 * @param files as they were fetched.
 * @returns `unanswered`: what is missing may be there, but OpenAI could not be asked for half a day.
 * @throws {NotYetError} while it is worth waiting.
 */
export async function waitForLateResults(
  deps: LateResultsDeps,
  leased: LeasedBatch,
  known: number,
  files: readonly FetchedFile[],
): Promise<'complete' | 'believed' | 'unanswered'> {
  const batch = leased.record;
  if (known >= promisedResults(batch)) return 'complete';
  const look = await lookAt(deps, { ...batch, download: { ...batch.download, fetched: [...files] } });
  if (look.kind === 'believed' || look.kind === 'unanswered') return look.kind;
  const found = look.kind === 'changed' ? look.found : undefined;
  await leased.move(toResultsLate(batch, found, known));
  throw notYet(deps, batch, known);
}

function notYet({ ambient }: LateResultsDeps, batch: BatchRecord, known: number): NotYetError {
  const { requests } = batch;
  const openaiBatchId = batch.remote?.openaiBatchId;
  const status = batch.ending?.status;
  return new NotYetError(
    `batch ${openaiBatchId} ended as ${status} with ${requests} requests, and its files hold results for ${known}`,
    nextLookMs(ambient.now() - batch.ending!.endedAt),
  );
}

/** What a look at OpenAI has found. */
type Look =
  | { kind: 'same' }
  | { kind: 'changed'; found: FoundFiles }
  /** Nothing more is to be expected. */
  | { kind: 'believed' }
  /** OpenAI gave no answer, for the last time that it is asked. */
  | { kind: 'unanswered' };

async function lookAt(deps: LateResultsDeps, batch: BatchRecord): Promise<Look> {
  try {
    return await askOpenAI(deps, batch);
  } catch (error) {
    // For a key, results wait as long as it takes.
    if (!isLastTry(batch) || isApiKeyError(error)) throw error;
    return { kind: 'unanswered' };
  }
}

async function askOpenAI(deps: LateResultsDeps, batch: BatchRecord): Promise<Look> {
  const remote = await deps.batches.getBatch(batch.remote!.openaiBatchId, batch.attempt?.keyVersion);
  const waitedMs = deps.ambient.now() - batch.ending!.endedAt;
  if (remote === undefined) return { kind: waitedMs >= UNKNOWN_BATCH_MS ? 'believed' : 'same' };
  // A file that was named once is not given up because it is named no more.
  const { outputFileId = batch.remote?.outputFileId, errorFileId = batch.remote?.errorFileId } = remote;
  const files = batch.download?.fetched ?? [];
  const fetched: FetchedFile[] = [];
  for (const file of files) if (!(await isOutdated(deps, batch, file, waitedMs))) fetched.push(file);
  const isNamed = outputFileId === batch.remote?.outputFileId && errorFileId === batch.remote?.errorFileId;
  if (isNamed && fetched.length === files.length)
    return { kind: waitedMs >= LATE_RESULTS_MS ? 'believed' : 'same' };
  return { kind: 'changed', found: { outputFileId, errorFileId, fetched } };
}

/**
 * Whether a copy is to be made again. As long as OpenAI says that the file is, it is the file. A file that is gone
 * cannot be had any better. Where OpenAI says another length or none, the file is fetched again each time that twice
 * as much time has passed, and in the end.
 */
async function isOutdated(
  { batches }: LateResultsDeps,
  batch: BatchRecord,
  file: FetchedFile,
  waitedMs: number,
): Promise<boolean> {
  const size = await batches.fileSize(file.fileId, batch.attempt?.keyVersion);
  if (size === undefined || size.bytes === file.bytes) return false;
  const waitedBeforeMs = file.fetchedAt - batch.ending!.endedAt;
  return (
    waitedBeforeMs < LATE_RESULTS_MS &&
    waitedMs >= Math.min(Math.max(2 * waitedBeforeMs, FIRST_LOOK_MS), LATE_RESULTS_MS)
  );
}
