/**
 * Files that S3 sends no event of and that the hourly listing leaves alone, because they were put before it knew
 * of their prefix: only their event names them. A delayed message looks at such a file again, until it has a job.
 */

import { MINUTE_MS } from '../../contract/time.ts';
import type { ObjectHead } from '../model/objects.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { JobStore, ListingStore } from '../ports/records.ts';
import { type ClaimPrefixesDeps, claimPrefixes } from './claim-prefixes.ts';
import { ownedSince } from './owners.ts';

/** What {@link lookAgain} works with. */
export interface LookAgainDeps extends ClaimPrefixesDeps {
  jobs: Pick<JobStore, 'acquireLease' | 'leaseTakenAt'>;
  listing: Pick<ListingStore, 'getListing'>;
  outbox: Pick<Outbox, 'ingest'>;
}

/** The longest time that a queue holds a message back (ms), see {@link Delivery}. */
const EVERY_MS = 15 * MINUTE_MS;
/** A message that was sent since is still held back (ms). */
const ON_ITS_WAY_MS = 14 * MINUTE_MS;

/** Whether the hourly listing will send a version to ingest: the same times as in steps/poll/list-inputs.ts. */
export async function isListedLater(deps: LookAgainDeps, input: ObjectHead): Promise<boolean> {
  const listing = await deps.listing.getListing();
  if (listing === undefined || input.lastModified < listing.since) return false;
  const since = ownedSince(await claimPrefixes(deps), deps.stackId, input.key);
  return since === undefined || input.lastModified >= Math.floor(since / 1000) * 1000;
}

/**
 * Has ingest look at a version again in 15 minutes. A message may come twice, so it is recorded when the last one was
 * sent, which keeps the looks from multiplying. Only afterwards: a worker that dies before it has sent it has its own
 * message delivered again.
 * @param jobId of the job that the version will have.
 */
export async function lookAgain(deps: LookAgainDeps, jobId: string, input: ObjectHead): Promise<void> {
  const { jobs, outbox, ambient } = deps;
  // No worker holds it: it is a time that is recorded.
  const sent = `look-again ${jobId}`;
  const now = ambient.now();
  const sentAt = await jobs.leaseTakenAt(sent);
  if (sentAt !== undefined && now < sentAt + ON_ITS_WAY_MS) return;
  const { bucket, key, versionId } = input;
  const message = { v: 1, bucket, key, versionId } as const;
  await outbox.ingest(message, { delayMs: EVERY_MS });
  await jobs.acquireLease(sent, now, now);
}
