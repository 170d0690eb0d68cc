/** The plain names of an input key: one worker writes them, or removes from them, at a time. */
import type { Layout } from '../../contract/layout.ts';
import { ownText } from '../base/own-text.ts';
import { publicationName } from '../files/keys.ts';
import { type GuardedPorts, guardPorts } from '../lifecycle/guarded-ports.ts';
import { LEASE_MS, type LeaseDeps, whileLeased } from '../lifecycle/lease.ts';
import type { Job } from '../model/job.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { JobStore, Publication } from '../ports/records.ts';
import { orderOf } from './place.ts';

/** What holding names takes. */
export interface NamesDeps extends LeaseDeps {
  settings: { layout: Layout };
  jobs: Pick<JobStore, 'renewPublication'>;
  ambient: Ambient;
}

/** A turn of this worker at the plain names of a job's input. */
export function publicationOf({ settings, ambient }: NamesDeps, job: Job): Publication {
  return {
    name: `${job.input.bucket}/${publicationName(settings.layout, job.input.key)}`,
    order: orderOf(job),
    owner: job.input.key,
    holder: ambient.nonce(),
  };
}

/**
 * Works while this worker has the names until `until`, and renews that. Giving them back is up to the caller.
 * @param work gets `deps` with ports whose side effects throw {@link LeaseLostError} once another worker may have them.
 */
export function whileNamesHeld<Deps extends NamesDeps & GuardedPorts, Result>(
  deps: Deps,
  publication: Publication,
  until: number,
  work: (deps: Deps) => Promise<Result>,
): Promise<Result> {
  const held = {
    what: ownText`the results of ${publication.owner}`,
    until,
    renew: (_now: number, renewedUntil: number) => deps.jobs.renewPublication(publication, renewedUntil),
  };
  return whileLeased(deps, held, (lease) => work(guardPorts(deps, lease)));
}

/** Until when names that are taken now are held, epoch ms. */
export function namesHeldUntil(now: number): number {
  return now + LEASE_MS;
}
