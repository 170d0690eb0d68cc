import { defined } from '../../core/base/defined.ts';
import { type BatchRecord, tierOf } from '../../core/model/batch.ts';
import { waitsForTurn } from '../../core/model/drop-turn.ts';
import type { Job } from '../../core/model/job.ts';
import type { LatestJob, Publication } from '../../core/ports/records.ts';

/** Who may write the plain names of an input key. */
export interface PublicationState {
  /** Whose names these are, and the greatest order that has published. */
  published?: { owner: string; order: string };
  /** Who is publishing, until when. */
  holder?: { id: string; until: number };
}

/** The job that is the latest at a key. `job` is absent where two of one second leave it unknown. */
export interface LatestState {
  lastModified: number;
  job?: LatestJob;
  before?: LatestJob;
}

/**
 * What recording a job at a key gives, and what is kept then.
 * @returns `next` absent: nothing changes.
 */
export function recordedLatest(
  state: LatestState | undefined,
  job: LatestJob,
): { next?: LatestState; before?: LatestJob | undefined } {
  const { lastModified } = job;
  if (state === undefined) return { next: { lastModified, job } };
  if (state.job?.jobId === job.jobId) return { before: state.before };
  if (state.lastModified > lastModified) return {};
  if (state.lastModified === lastModified) return state.job === undefined ? {} : { next: { lastModified } };
  const before = state.job;
  return { next: defined({ lastModified, job, before }), before };
}

/** Whether the latest of a key is this job, or, of objects of one second, may be. */
export function isLatestOf(state: LatestState | undefined, { jobId, lastModified }: LatestJob): boolean {
  if (state === undefined) return false;
  return state.job === undefined ? state.lastModified === lastModified : state.job.jobId === jobId;
}

/** A named lease. The token stays when the lease is given back, so that it only grows. */
export interface LeaseState {
  token: number;
  until: number;
  /** When it was last taken, epoch ms. */
  takenAt: number;
}

/** The part of a job or batch that decides which worker may write it. */
interface Leasable {
  state: string;
  lease?: { holder: string; until: number };
  remote?: { openaiBatchId: string };
}

/** Whether a job or batch is in `state` and free for `holder`: never leased, run out, or leased to the same holder. */
export function isLeasable(
  { state: current, lease }: Leasable,
  state: string,
  holder: string,
  now: number,
): boolean {
  if (current !== state) return false;
  return lease === undefined || lease.holder === holder || lease.until <= now;
}

/** Whether a batch still waits, in the tier in which its price and its place were judged: an index may lag behind. */
export function isAdmissible(
  current: Pick<BatchRecord, 'state' | 'tier'>,
  judged: Pick<BatchRecord, 'tier'>,
): boolean {
  return current.state === 'planned' && tierOf(current) === tierOf(judged);
}

/**
 * Whether a job or batch is as the writer last saw it. A lease that ran out still counts while no other worker took
 * it.
 */
export function isAsExpected(
  record: Leasable,
  transition: { from: string; ofOpenAI?: string },
  holder: string | undefined,
): boolean {
  const { from, ofOpenAI } = transition;
  return (
    record.state === from &&
    (holder === undefined || record.lease?.holder === holder) &&
    (ofOpenAI === undefined || record.remote?.openaiBatchId === ofOpenAI)
  );
}

/**
 * Whether the turn of a file is a caller's to take: of the worker that has leased the job, or, for one that waits, of
 * the poll while no worker has it.
 */
export function mayTakeTurn(job: Job, holder: string | undefined, now: number): boolean {
  if (holder !== undefined) return job.state === 'ingesting' && job.lease?.holder === holder;
  return waitsForTurn(job) && (job.lease === undefined || job.lease.until <= now);
}

/** The lease after a worker takes it, or `undefined` while another worker holds it. */
export function takeLease(lease: LeaseState | undefined, now: number, until: number): LeaseState | undefined {
  if (lease !== undefined && lease.until > now) return undefined;
  return { token: (lease?.token ?? 0) + 1, until, takenAt: now };
}

/** The lease as it is renewed, or `undefined` if the token does not hold it any more. */
export function renewedLease(
  lease: LeaseState | undefined,
  token: number,
  until: number,
): LeaseState | undefined {
  return lease?.token !== token || lease.until === 0 ? undefined : { token, until, takenAt: lease.takenAt };
}

/** The attributes that renew the lease on a job or batch, or `undefined` if it is not this holder's any more. */
export function renewedHolder(record: Leasable | undefined, holder: string, now: number, until: number) {
  return record?.lease?.holder !== holder ? undefined : { lease: { holder, until }, updatedAt: now };
}

/** What a worker that wants to publish is answered. */
export function decidePublication(
  state: PublicationState,
  publication: Pick<Publication, 'owner' | 'order' | 'holder'>,
  now: number,
): 'granted' | 'superseded' | 'busy' {
  const { published } = state;
  if (published !== undefined) {
    if (published.owner !== publication.owner || published.order > publication.order) return 'superseded';
  }
  return decideHold(state, publication, now);
}

/** What a worker that wants to keep others from publishing is answered. */
export function decideHold(
  { holder }: PublicationState,
  publication: Pick<Publication, 'holder'>,
  now: number,
): 'granted' | 'busy' {
  return holder !== undefined && holder.id !== publication.holder && holder.until > now ? 'busy' : 'granted';
}

/** The state after this holder has published, or `undefined` if another worker has taken its turn. */
export function afterPublication(
  state: PublicationState,
  publication: Pick<Publication, 'owner' | 'order' | 'holder'>,
): PublicationState | undefined {
  if (state.holder?.id !== publication.holder) return undefined;
  const { published } = state;
  return {
    published:
      published !== undefined && published.order > publication.order
        ? published
        : { owner: publication.owner, order: publication.order },
  };
}
