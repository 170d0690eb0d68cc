import { ownText } from '../base/own-text.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { Job } from '../model/job.ts';
import type { JobStore } from '../ports/records.ts';
import { type GuardedPorts, guardPorts } from './guarded-ports.ts';
import { type HeldLease, LEASE_MS, type Lease, type LeaseDeps, whileLeased } from './lease.ts';

type ClaimDeps = LeaseDeps & GuardedPorts & { jobs: Partial<JobStore> };

/**
 * Works on a batch that was claimed with `claim`.
 * @param work gets `deps` with ports whose side effects throw {@link LeaseLostError} once the claim is lost. A write to the
 * record that takes the claim off gives the lease back.
 */
export function whileBatchClaimed<Deps extends ClaimDeps & { jobs: Pick<JobStore, 'renewBatch'> }, Result>(
  deps: Deps,
  batch: BatchRecord,
  claim: string,
  work: (deps: Deps) => Promise<Result>,
): Promise<Result> {
  const { jobId, batchId } = batch;
  return whileClaimed(
    deps,
    {
      what: ownText`batch ${batchId} of job ${jobId}`,
      until: batch.claimedUntil!,
      isForLife: isForLife(batch),
      renew: (now, until) => deps.jobs.renewBatch({ jobId, batchId }, claim, now, until),
    },
    work,
  );
}

/** The same for a job that was taken with `claim`. */
export function whileJobTaken<Deps extends ClaimDeps & { jobs: Pick<JobStore, 'renewJob'> }, Result>(
  deps: Deps,
  job: Job,
  claim: string,
  work: (deps: Deps) => Promise<Result>,
): Promise<Result> {
  const { jobId } = job;
  return whileClaimed(
    deps,
    {
      what: ownText`job ${jobId}`,
      until: job.claimedUntil!,
      isForLife: isForLife(job),
      renew: (now, until) => deps.jobs.renewJob(jobId, claim, now, until),
    },
    work,
  );
}

/** Whether what was just claimed is claimed for less than a lease, which is as long as the worker lives. */
function isForLife({
  updatedAt,
  claimedUntil,
}: Pick<BatchRecord | Job, 'updatedAt' | 'claimedUntil'>): boolean {
  return claimedUntil! < updatedAt + LEASE_MS;
}

function whileClaimed<Deps extends ClaimDeps, Result>(
  deps: Deps,
  held: HeldLease,
  work: (deps: Deps) => Promise<Result>,
): Promise<Result> {
  return whileLeased(deps, held, (lease) => {
    const guarded = guardPorts(deps, lease);
    return work({ ...guarded, jobs: noticeRelease(deps.jobs, lease) });
  });
}

/** Every write that takes the claim off ends the lease. */
function noticeRelease<Jobs extends Partial<JobStore>>(jobs: Jobs, lease: Lease): Jobs {
  const watch =
    <Parameters extends [unknown, unknown, { claim?: unknown }, ...unknown[]], Result>(
      write: (...parameters: Parameters) => Promise<Result>,
    ) =>
    async (...parameters: Parameters): Promise<Result> => {
      const result = await write(...parameters);
      const changes = parameters[2];
      if (result && 'claim' in changes && changes.claim === undefined) lease.released();
      return result;
    };
  return new Proxy(jobs, {
    get(target, name) {
      const own = Reflect.get(target, name) as unknown;
      if (typeof own !== 'function') return own;
      const method = own.bind(target);
      return name === 'updateBatch' || name === 'moveJob' ? watch(method) : method;
    },
  });
}
