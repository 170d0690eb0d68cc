/** From a job's object to the plan of its batches. */
import { defined } from '../../base/defined.ts';
import {
  CorruptWorkFileError,
  ObjectGoneError,
  ObjectUnreadableError,
  UploadGoneError,
} from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { afterUnreadable, type EndOfTries, isOfInput, rejectionOf } from '../../drops/unreadable.ts';
import { readCheckpoint, writeCheckpoint } from '../../files/checkpoint.ts';
import { workKeys } from '../../files/keys.ts';
import type { Plan } from '../../files/plan.ts';
import { waitingFor } from '../../lifecycle/duplicate-jobs.ts';
import type { Job } from '../../model/job.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import { type IngestDeps, type IngestRun, MAX_STARTS } from './ingest-run.ts';
import { rejectedPlan } from './plan-policy.ts';
import { scan } from './scan.ts';
import { SCAN_VERSION, type ScanDeps, type ScanState } from './scan-state.ts';

const CHECKPOINT_KIND = 'ingest';

/** Reads the object and finds out what it is made of; `undefined` if time was over: another worker is to continue. */
export async function makePlan(run: IngestRun): Promise<Plan | undefined> {
  const { deps, leased } = run;
  const job = leased.record;
  if (job.rejection !== undefined) return rejectedPlan(job.jobId, job.rejection);
  const { starts, restarts = 0 } = run.progress;
  if (starts >= MAX_STARTS || restarts >= MAX_STARTS) {
    const message =
      starts >= MAX_STARTS
        ? `The file could not be read further in ${starts} runs of 15 minutes. Split it; if it is compressed, unpack it.`
        : `What was read so far was lost ${restarts} times. Drop the file again.`;
    return rejectedPlan(job.jobId, { code: 'ingest_failed', message });
  }
  await run.record({ ...run.progress, starts: starts + 1 });
  const { checkpoint } = run.progress;
  try {
    await pinIfNeeded(deps.objects, job);
    const from =
      checkpoint === undefined ? deps.ambient.nonce() : await readState(deps.objects, checkpoint.key);
    return await scan(scanDepsOf(run), job, from);
  } catch (error) {
    if (error instanceof ObjectUnreadableError && isOfInput(error, job)) {
      const now = deps.ambient.now();
      const rejection = rejectionOf(
        afterUnreadable(run.progress.unreadable, error, now),
        await endOfTries(deps, job),
        now,
      );
      if (rejection !== undefined) return rejectedPlan(job.jobId, rejection);
    }
    if (error instanceof ObjectGoneError) {
      return rejectedPlan(job.jobId, {
        code: 'object_gone',
        message:
          'The object was deleted or replaced before it could be read. A replacement is a job of its own.',
      });
    }
    if (
      checkpoint !== undefined &&
      (error instanceof UploadGoneError || error instanceof CorruptWorkFileError)
    ) {
      deps.telemetry.record('scan.restarted', { jobId: job.jobId, reason: reasonOf(error) });
      run.progress = { starts, restarts: restarts + 1 };
    }
    throw error;
  }
}

/** A file that waits for S3 keeps nothing else waiting: its content, dropped again, is run by itself. */
async function endOfTries({ jobs, settings }: IngestDeps, job: Job): Promise<EndOfTries> {
  if (job.cancelledAt !== undefined) return 'cancelled';
  const duplicates = await waitingFor(jobs, job.jobId);
  return duplicates.length > 0 ? 'dropped again' : settings.inputs.unreadableHours;
}

function scanDepsOf(run: IngestRun): ScanDeps {
  const { deps, leased } = run;
  const job = leased.record;
  const { objects, rules, limits, prices, deadline } = deps;
  const { layout } = deps.settings;
  return {
    objects,
    layout,
    rules,
    limits,
    prices,
    deadline,
    worker: leased.holder,
    async save(state) {
      const { restarts, checkpoint } = run.progress;
      const generation = (checkpoint?.generation ?? 0) + 1;
      const key = workKeys(layout, job.jobId).checkpoint(leased.holder, generation);
      await writeCheckpoint(objects, key, CHECKPOINT_KIND, state);
      const offset = state.phase === 'lines' ? state.next.offset : (checkpoint?.offset ?? 0);
      run.progress = defined({
        starts: 0,
        restarts,
        checkpoint: { generation, key, offset },
      });
      await run.record({ ...run.progress, starts: 1 });
      deps.telemetry.record('scan.checkpointed', {
        jobId: job.jobId,
        generation,
        phase: state.phase,
        offset,
      });
    },
  };
}

async function readState(objects: ObjectStore, key: string): Promise<ScanState> {
  const state = (await readCheckpoint(objects, key, CHECKPOINT_KIND)) as ScanState;
  if (state.v === SCAN_VERSION) return state;
  throw new CorruptWorkFileError(
    `${key} has version ${String(state.v)}; this deployment reads version ${SCAN_VERSION}`,
  );
}

/** Without versioning, what is read is a copy; one that an earlier try made is as good. */
async function pinIfNeeded(objects: ObjectStore, job: Job): Promise<void> {
  if (job.input.versionId !== undefined) return;
  const pinned = await objects.head(job.source.bucket, job.source.key);
  if (pinned === undefined) await objects.pin(job.input, job.source.key);
}
