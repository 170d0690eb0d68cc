/**
 * Merges the runs of a job into the files that are published, privately below `work/`: over as many invocations as that
 * takes, so that publishing is a copy within S3.
 */

import type { Settings } from '../../../contract/settings.ts';
import { CorruptWorkFileError, OutOfTimeError, UploadGoneError } from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { readCheckpoint, writeCheckpoint } from '../../files/checkpoint.ts';
import { workKeys } from '../../files/keys.ts';
import { toMergedSoFar, toMergeRestarted } from '../../lifecycle/job-transitions.ts';
import type { LeasedJob } from '../../lifecycle/leased.ts';
import type { RunRef } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import type { Ambient, Deadline } from '../../ports/ambient.ts';
import type { ObjectStore, WriterState } from '../../ports/objects.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import { writeMergedText } from './merge.ts';
import { writeOriginals } from './originals.ts';

export interface MergeDeps {
  settings: Settings;
  objects: ObjectStore;
  ambient: Ambient;
  /** Until when there is time to merge. */
  deadline: Deadline;
  telemetry: Telemetry;
}

const CHECKPOINT_KIND = 'merge';
const PARTS = ['output', 'errors', 'retry'] as const;
type Part = (typeof PARTS)[number];

/** A merged file. */
export interface MergedFile {
  key: string;
  bytes: number;
}

/** The merged files; one that would be empty is absent. */
export type MergedFiles = { [Name in Part]?: MergedFile };

/** What the next invocation must know of a merge that is under way. */
interface MergeState {
  attempt: string;
  done: MergedFiles;
  /** Index of the part under way; behind the last one, all is merged. */
  part: number;
  /** The line of the input that it continues from. */
  nextLine: number;
  /** Absent while nothing of the part was written. */
  writer?: WriterState;
}

/** What goes into the files. */
export interface Runs {
  output: readonly RunRef[];
  errors: readonly RunRef[];
  /** Whose original lines are given back. */
  retry: readonly RunRef[];
  /** Every line as it was dropped, if the lines that were sent are others: then the dropped ones are given back. */
  originals?: RunRef | undefined;
}

/**
 * Merges the runs of a job that this worker has taken.
 * @returns the files; or that another invocation is to continue, from where the job's record says; or that another
 * worker has taken the job over.
 */
export async function mergeResults(
  deps: MergeDeps,
  leased: LeasedJob,
  runs: Runs,
): Promise<MergedFiles | 'to be continued' | 'taken over'> {
  const job = leased.record;
  const state = await readState(deps, job);
  const before = { part: state.part, nextLine: state.nextLine };
  try {
    for (; state.part < PARTS.length; state.part++) {
      const name = PARTS[state.part]!;
      if (runs[name].length > 0) {
        const end = await mergePart(deps, job, name, runs, state);
        if (end === 'out of time') return await record(deps, leased, state, before);
      }
      state.nextLine = 0;
    }
    // An invocation that has merged must not run out of time while it publishes: each next one would merge again.
    if (before.part < PARTS.length && !hasTimeToPublish(deps, state.done)) {
      return await record(deps, leased, state, before);
    }
    return state.done;
  } catch (error) {
    if (!(error instanceof UploadGoneError)) throw error;
    // Ended by a worker that died before it recorded that, or given up: the merge starts from the beginning.
    await leased.tryMove(toMergeRestarted(leased.record));
    throw error;
  }
}

/** Slower than S3 copies within a bucket. */
const PUBLISHED_BYTES_PER_SECOND = 100_000_000;

function hasTimeToPublish({ deadline }: MergeDeps, files: MergedFiles): boolean {
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  return deadline.remainingMs() > (bytes / PUBLISHED_BYTES_PER_SECOND) * 1000;
}

async function readState({ objects, ambient, telemetry }: MergeDeps, job: Job): Promise<MergeState> {
  if (job.merge !== undefined) {
    try {
      const state = (await readCheckpoint(objects, job.merge.checkpointKey, CHECKPOINT_KIND)) as MergeState;
      // They are removed once a job has ended, which a table that was restored to a time before that does not know.
      for (const { key } of Object.values(state.done)) {
        if ((await objects.head(job.input.bucket, key)) === undefined)
          throw new CorruptWorkFileError(`the merged file ${key} is missing`);
      }
      return state;
    } catch (error) {
      if (!(error instanceof CorruptWorkFileError)) throw error;
      telemetry.record('merge.restarted', { jobId: job.jobId, reason: reasonOf(error) });
    }
  }
  return { attempt: ambient.nonce(), done: {}, part: 0, nextLine: 0 };
}

/** Continues one file. When time is up, the state says how far the file is. */
async function mergePart(
  deps: MergeDeps,
  job: Job,
  name: Part,
  { [name]: runs, originals: dropped }: Runs,
  state: MergeState,
): Promise<'whole' | 'out of time'> {
  const { objects, deadline } = deps;
  const { bucket } = job.input;
  const isOutOfTime = (): boolean => deadline.remainingMs() <= 0;
  const key = workKeys(deps.settings.layout, job.jobId).merged(state.attempt)[name];
  const { writer: resume, nextLine } = state;
  const writer = objects.openWrite(key, { resume });
  delete state.writer;
  try {
    const stoppedAt =
      name === 'retry'
        ? await writeOriginals(objects, { bucket, runs, dropped }, writer, nextLine, isOutOfTime)
        : await writeMergedText(objects, bucket, runs, writer, { fromLine: nextLine, isOutOfTime });
    if (stoppedAt !== undefined) {
      state.nextLine = stoppedAt;
      state.writer = await writer.suspend();
      return 'out of time';
    }
    const bytes = await writer.close();
    const expected = runs.reduce((sum, run) => sum + run.bytes, 0);
    if (name !== 'retry' && bytes !== expected) {
      throw new CorruptWorkFileError(`${key} has ${bytes} bytes; its runs have ${expected}`);
    }
    if (bytes > 0) state.done[name] = { key, bytes };
    return 'whole';
  } catch (error) {
    // What an earlier invocation left stays usable.
    if (resume === undefined) await writer.abort();
    throw error;
  }
}

/**
 * Writes the checkpoint, then names it in the job's record.
 * @throws {OutOfTimeError} if there was no progress: the next invocation would make none either.
 */
async function record(
  deps: MergeDeps,
  leased: LeasedJob,
  state: MergeState,
  before: { part: number; nextLine: number },
): Promise<'to be continued' | 'taken over'> {
  const job = leased.record;
  if (state.part === before.part && state.nextLine <= before.nextLine) {
    throw new OutOfTimeError(`job ${job.jobId}: an invocation merged nothing after line ${before.nextLine}`);
  }
  const generation = (job.merge?.generation ?? 0) + 1;
  const keys = workKeys(deps.settings.layout, job.jobId).merged(state.attempt);
  const checkpointKey = keys.checkpoint(generation);
  await writeCheckpoint(deps.objects, checkpointKey, CHECKPOINT_KIND, state);
  const isRecorded = await leased.tryMove(toMergedSoFar(job, { generation, checkpointKey }));
  return isRecorded ? 'to be continued' : 'taken over';
}
