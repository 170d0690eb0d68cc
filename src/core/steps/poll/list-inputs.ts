/**
 * Finds the inputs whose S3 event was lost: once an hour, every version below the prefixes of the routes that is not
 * older than the watermark is looked up, and ingest gets a message for what has no job. A job's
 * id comes from the object and jobs are kept for ever, so neither an event that arrives late nor two listings make a
 * second one.
 *
 * What lay there when the deployment first ran, or when it claimed the prefix, is left alone: it was not
 * dropped for this stack. So is what another stack runs (see core/drops/owners.ts).
 */

import type { PrefixOwner } from '../../../contract/prefix-owners.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../contract/time.ts';
import { type ClaimPrefixesDeps, claimPrefixes } from '../../drops/claim-prefixes.ts';
import { findOtherOwner, ownedSince, prefixesOfRoute } from '../../drops/owners.ts';
import { workingTime } from '../../lifecycle/time-limits.ts';
import type { InputListing, ListingPass } from '../../model/input-listing.ts';
import { jobIdOf } from '../../model/job-id.ts';
import type { ObjectHead } from '../../model/objects.ts';
import type { Deadline } from '../../ports/ambient.ts';
import type { Inputs } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { JobStore, ListingStore } from '../../ports/records.ts';
import { isFolderMarker, routeOf } from '../../requests/route.ts';

export interface ListInputsDeps extends ClaimPrefixesDeps {
  inputs: Pick<Inputs, 'listVersions'>;
  jobs: Pick<JobStore, 'getJob'>;
  listing: ListingStore;
  outbox: Pick<Outbox, 'ingest'>;
  deadline: Deadline;
}

const EVERY_MS = HOUR_MS;
/** An event that is younger is not lost yet, it is on its way. The next pass looks at these objects. */
const EVENTS_TAKE_MS = 15 * MINUTE_MS;
/**
 * How much before the watermark an object may say it was put, and still be new: clocks differ, and a put takes time.
 */
const PUT_MAY_TAKE_MS = HOUR_MS;
/**
 * An object that was uploaded in parts says when its upload began, and appears when it ends. Source: S3 User Guide,
 * "Working with object metadata" (Last-Modified). Ours: the bucket gives up uploads after seven days (lib/storage.ts).
 */
const UPLOAD_MAY_TAKE_MS = 7 * DAY_MS;
/** Of these objects alone the ETag ends in the number of parts. Source: S3 API reference, "Object" (ETag). */
const UPLOADED_IN_PARTS = /-\d+"?$/;
/** What has no job keeps the watermark back until it has one, but no longer: it may never become readable. */
const WAIT_FOR_JOB_MS = 7 * DAY_MS;
const LOOK_UPS_AT_A_TIME = 25;

/**
 * Continues the pass that is under way, or begins one if it is time; what does not fit the deadline is left for
 * later.
 */
export async function listInputs(deps: ListInputsDeps): Promise<void> {
  const now = deps.ambient.now();
  // In each run, so that a new deployment has its prefixes before the first file comes.
  const owners = await claimPrefixes(deps);
  const current = await deps.listing.getListing();
  if (current === undefined) {
    // As S3 reports time, in whole seconds.
    const since = Math.floor(now / 1000) * 1000;
    const first = { v: 1, generation: 1, since, watermark: since, nextAt: now + EVERY_MS } as const;
    if (await deps.listing.putListing(first)) deps.telemetry.record('listing.started', { since });
    return;
  }
  if (current.pass === undefined && now < current.nextAt) return;
  const { pass, isDone } = await list(deps, owners, current, current.pass ?? { startedAt: now, found: 0 });
  const { pass: _, ...rest } = current;
  const generation = current.generation + 1;
  if (!isDone) {
    await deps.listing.putListing({ ...rest, generation, pass });
    deps.telemetry.record('listing.interrupted', {
      prefix: pass.prefix,
      found: pass.found,
    });
    return;
  }
  const watermark = watermarkAfter(pass);
  await deps.listing.putListing({ ...rest, generation, watermark, nextAt: pass.startedAt + EVERY_MS });
  if (pass.found > 0) deps.telemetry.record('inputs.discovered', { found: pass.found });
}

function watermarkAfter({ startedAt, oldestFound = Number.POSITIVE_INFINITY }: ListingPass): number {
  return Math.max(startedAt - WAIT_FOR_JOB_MS, Math.min(startedAt - EVENTS_TAKE_MS, oldestFound));
}

/** Lists until all is listed or time is over. */
async function list(
  deps: ListInputsDeps,
  owners: readonly PrefixOwner[],
  current: InputListing,
  from: ListingPass,
): Promise<{ pass: ListingPass; isDone: boolean }> {
  // Not all of the time that is left: how far this came has to be recorded.
  const deadline = workingTime(deps.deadline);
  let pass = from;
  for (const prefix of prefixesOf(deps.settings)) {
    if (pass.prefix !== undefined && prefix < pass.prefix) continue;
    if (prefix !== pass.prefix) pass = { ...pass, prefix, after: undefined };
    do {
      if (deadline.remainingMs() <= 0) return { pass, isDone: false };
      const { versions, next } = await deps.inputs.listVersions(prefix, pass.after);
      const unknown = versions.filter((version) => mayBeUnknown(version, current, pass));
      pass = { ...(await handOver(deps, owners, pass, unknown)), after: next };
    } while (pass.after !== undefined);
  }
  return { pass, isDone: true };
}

/** Whether an object is an input that this stack runs, and that was put since it has had the prefix. */
function isOwnInput(
  { settings, stackId }: ListInputsDeps,
  owners: readonly PrefixOwner[],
  version: ObjectHead,
): boolean {
  const route = routeOf(settings, version.key);
  if (route === undefined || isFolderMarker(version)) return false;
  if (findOtherOwner(owners, stackId, prefixesOfRoute(settings, route), version) !== undefined) return false;
  const since = ownedSince(owners, stackId, version.key);
  // Without one, it was put while the prefix still was this stack's. S3 reports time in whole seconds.
  return since === undefined || version.lastModified >= Math.floor(since / 1000) * 1000;
}

/** Prefixes of all routes, sorted, without those inside another route's prefix. */
function prefixesOf({ routes }: ListInputsDeps['settings']): string[] {
  const prefixes = routes.map(({ prefix }) => prefix).sort();
  return prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)));
}

function mayBeUnknown(
  { lastModified, etag }: ObjectHead,
  { since, watermark }: InputListing,
  { startedAt }: ListingPass,
): boolean {
  const mayAppearLate = UPLOADED_IN_PARTS.test(etag) ? UPLOAD_MAY_TAKE_MS : PUT_MAY_TAKE_MS;
  return (
    lastModified >= since &&
    lastModified >= watermark - mayAppearLate &&
    lastModified <= startedAt - EVENTS_TAKE_MS
  );
}

/** Looks each version up, and sends ingest a message for those without a job. */
async function handOver(
  deps: ListInputsDeps,
  owners: readonly PrefixOwner[],
  pass: ListingPass,
  versions: readonly ObjectHead[],
): Promise<ListingPass> {
  let { found, oldestFound } = pass;
  const inputs = versions.filter((version) => isOwnInput(deps, owners, version));
  for (let start = 0; start < inputs.length; start += LOOK_UPS_AT_A_TIME) {
    const together = inputs.slice(start, start + LOOK_UPS_AT_A_TIME);
    await Promise.all(
      together.map(async (input) => {
        if ((await deps.jobs.getJob(jobIdOf(input))) !== undefined) return;
        const { bucket, key, versionId, lastModified } = input;
        await deps.outbox.ingest({ v: 1, bucket, key, versionId });
        found += 1;
        oldestFound = Math.min(oldestFound ?? lastModified, lastModified);
      }),
    );
  }
  return { ...pass, found, oldestFound };
}
