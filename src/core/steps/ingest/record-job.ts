/**
 * From an object to the record of its job. Whatever an object in an input prefix is, it ends as a job that a receipt
 * answers, unless it cannot be meant as a file to run (see route.ts).
 */

import { readDuration } from '../../../contract/durations.ts';
import { layoutOf } from '../../../contract/layout.ts';
import { type ObjectLocation, PREFIX_OWNED } from '../../../contract/messages.ts';
import type { Route } from '../../../contract/route.ts';
import type { Settings } from '../../../contract/settings.ts';
import { defined } from '../../base/defined.ts';
import { ObjectUnreadableError } from '../../base/errors.ts';
import { ownText, reasonOf } from '../../base/own-text.ts';
import { claimPrefixes } from '../../drops/claim-prefixes.ts';
import { answerIgnored, type IgnoredDeps, reportIgnored } from '../../drops/ignored.ts';
import { isListedLater, type LookAgainDeps, lookAgain } from '../../drops/look-again.ts';
import { findOtherOwner, prefixesOfRoute } from '../../drops/owners.ts';
import { placeOf } from '../../drops/place.ts';
import { describeOtherOwner, refusalOf } from '../../drops/refusal.ts';
import { afterUnreadable, rejectionOf } from '../../drops/unreadable.ts';
import { type NewJob, writeJobOnce } from '../../files/job-file.ts';
import { hasRoomForResults, MAX_KEY_BYTES, workKeys } from '../../files/keys.ts';
import { contentOf, OWNER_MS } from '../../lifecycle/duplicate-jobs.ts';
import { unlessForgotten } from '../../lifecycle/unless-forgotten.ts';
import type { Job, Rejection } from '../../model/job.ts';
import { jobIdOf } from '../../model/job-id.ts';
import type { ListCursor, ObjectHead } from '../../model/objects.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { Inputs, ObjectStore } from '../../ports/objects.ts';
import type { DropEvents, JobEvents } from '../../ports/outbox.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import { readOptions } from '../../requests/options.ts';
import { isFolderMarker, routeOf } from '../../requests/route.ts';
import { droppedAt } from '../../scheduling/ladder.ts';

/** What it takes to record a job. */
export interface RecordDeps extends LookAgainDeps, Pick<IgnoredDeps, 'ignoredDrops'> {
  settings: Settings;
  objects: ObjectStore;
  inputs: Pick<Inputs, 'listKey'>;
  jobs: Pick<JobStore, 'getJob' | 'createJob' | 'recordLatest'> & LookAgainDeps['jobs'];
  events: JobEvents & DropEvents;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/**
 * Records the job of an object, once, however often it is asked to.
 * @returns the job as it is recorded; `undefined` if the object is no input, or gone, or another stack's to run, or its
 * job was forgotten.
 */
export async function recordJob(deps: RecordDeps, location: ObjectLocation): Promise<Job | undefined> {
  try {
    const job = await describeJob(deps, location);
    return job === undefined ? undefined : await createJob(deps, job);
  } catch (error) {
    if (!(error instanceof ObjectUnreadableError)) throw error;
    return recordUnreadable(deps, location, error);
  }
}

/**
 * A file that S3 does not let be looked at, or whose options it does not give, has no job while that may change: the
 * hourly listing, which needs neither, sends it to ingest again, or a delayed message where the listing leaves it
 * alone. After the time for unreadable files it has one, rejected.
 */
async function recordUnreadable(
  deps: RecordDeps,
  location: ObjectLocation,
  error: ObjectUnreadableError,
): Promise<Job | undefined> {
  const { settings, inputs, telemetry } = deps;
  const route = routeOf(settings, location.key);
  const input = await findVersion(inputs, location);
  if (route === undefined || input === undefined) return undefined;
  const jobId = jobIdOf(input);
  // Also claims the prefix, from when on the listing knows what is put there.
  const left = await leaveToOwner(deps, { jobId, input, route }, true);
  if (left !== undefined) return left.job;
  // Its content was dropped again.
  const known = await deps.jobs.getJob(jobId);
  if (known !== undefined) return known;
  const now = deps.ambient.now();
  const hours = settings.inputs.unreadableHours;
  const unreadable = { ...afterUnreadable(undefined, error, now), since: input.lastModified };
  const rejection = rejectionOf(unreadable, hours, now);
  if (rejection === undefined) {
    telemetry.record('inspection.failed', { key: input.key, code: error.code, reason: reasonOf(error) });
    if (!(await isListedLater(deps, input))) await lookAgain(deps, jobId, input);
    return undefined;
  }
  const { message } = rejection;
  return createJob(
    deps,
    await newJob(deps, input, { route, rejection: { code: 'input_unreadable', message } }),
  );
}

/** @param what the route, options and rejection. */
async function newJob(
  deps: RecordDeps,
  input: ObjectHead,
  what: Pick<NewJob, 'route' | 'budgetUsd' | 'options' | 'rejection'>,
): Promise<NewJob> {
  const now = deps.ambient.now();
  return {
    v: 1,
    jobId: jobIdOf(input),
    input,
    source: sourceOf(deps.settings, input),
    ...(await placeOf(deps, input)),
    ...what,
    state: 'ingesting',
    createdAt: now,
    updatedAt: now,
  };
}

/** What a listing reports of an object that S3 does not give. */
async function findVersion(
  inputs: Pick<Inputs, 'listKey'>,
  { key, versionId }: ObjectLocation,
): Promise<ObjectHead | undefined> {
  let after: ListCursor | undefined;
  do {
    const page = await inputs.listKey(key, after);
    const found = page.versions.find((one) =>
      versionId === undefined ? one.isLatest : one.versionId === versionId,
    );
    if (found !== undefined) {
      const { isLatest: _, isDeleteMarker, ...head } = found;
      return isDeleteMarker ? undefined : head;
    }
    after = page.next;
  } while (after !== undefined);
  return undefined;
}

/**
 * Records the job of the version right before a job's own, if it has the same content and options and could own it:
 * events come in any order, and two jobs must not run the same content because the second one was first.
 */
export async function recordPredecessor(deps: RecordDeps, job: Job): Promise<Job | undefined> {
  const { input, predecessor } = job;
  if (predecessor?.versionId === undefined) return undefined;
  if (predecessor.lastModified < input.lastModified - OWNER_MS) return undefined;
  const { bucket, key } = input;
  const location = { bucket, key, versionId: predecessor.versionId };
  const before = await describeJob(deps, location).catch((error: unknown) => {
    if (!(error instanceof ObjectUnreadableError)) throw error;
    return describeListed(deps, job, location);
  });
  if (before === undefined || contentOf(before) !== contentOf(job)) return undefined;
  return createJob(deps, before, false);
}

/**
 * A version that S3 lists and does not let be looked at, with the bytes of a job that was dropped after it. It has a
 * job, as its successor says, so that it does not run by itself once S3 lets it be looked at.
 */
async function describeListed(
  deps: RecordDeps,
  { input, route, budgetUsd, options }: Job,
  location: ObjectLocation,
): Promise<NewJob | undefined> {
  const listed = await findVersion(deps.inputs, location);
  if (listed === undefined || listed.etag !== input.etag || listed.size !== input.size) return undefined;
  return newJob(
    deps,
    listed,
    defined({
      route,
      budgetUsd,
      options,
    }),
  );
}

/** The job that an object is, as far as it is not recorded yet; `undefined` if it is no input, or gone. */
async function describeJob(deps: RecordDeps, location: ObjectLocation): Promise<NewJob | undefined> {
  const route = routeOf(deps.settings, location.key);
  if (route === undefined) {
    await reportIgnored(deps, location);
    return undefined;
  }
  const head = await deps.objects.head(location.bucket, location.key, location.versionId);
  if (head === undefined) {
    // It was there for an instant. Its version was not seen, so there is nothing to name a job by.
    deps.telemetry.record('object.missed', { key: location.key });
    await answerIgnored(deps, location, 'removed', route.name);
    return undefined;
  }
  if (isFolderMarker(head)) {
    deps.telemetry.record('marker.ignored', { key: location.key });
    return undefined;
  }
  const { metadata = {}, ...input } = head;
  const rejection = rejectionOfKey(deps.settings, route, input.key);
  const options = rejection === undefined ? await readOptions(deps, input, metadata, route) : { route };
  return newJob(deps, input, { ...options, ...(rejection === undefined ? {} : { rejection }) });
}

/**
 * Creates the job, unless another stack owns its prefix.
 * @param isReported whether an event says so if the job is another stack's. Default: `true`, for objects that an
 *   event or a listing named.
 * @returns `undefined` if it is, or if the job was forgotten.
 */
async function createJob(deps: RecordDeps, job: NewJob, isReported = true): Promise<Job | undefined> {
  const left = await leaveToOwner(deps, job, isReported);
  if (left !== undefined) return left.job;
  // First where a restored table leaves it alone.
  const written = await writeJobOnce(deps.objects, deps.settings.layout, job);
  const created = await unlessForgotten(deps, () => deps.jobs.createJob(written));
  if (created === undefined) return undefined;
  // Another worker's record is older, and was reported by that worker.
  if (created.createdAt === job.createdAt) {
    const { jobId, input, route } = created;
    deps.telemetry.record('job.recorded', { jobId, key: input.key, route: route.name, bytes: input.size });
  }
  const { deadline } = created.route;
  if (deadline !== undefined && droppedAt(created) + readDuration(deadline)! <= deps.ambient.now()) {
    const { jobId } = created;
    deps.telemetry.record('deadline.missed', {
      jobId,
      deadline,
    });
  }
  return created;
}

/**
 * Asks whether an object is another stack's to run, for each object again, and reports it unless this stack has its
 * job: that was recorded before the other one took the prefix over, and runs to its end. Reported at least once, and
 * by the listing never again.
 * @param isReported whether an event says so.
 * @returns `undefined` if the object is this stack's; else its job, if there is one.
 */
async function leaveToOwner(
  deps: RecordDeps,
  job: Pick<NewJob, 'jobId' | 'input' | 'route'>,
  isReported: boolean,
): Promise<{ job: Job | undefined } | undefined> {
  const { stackId, stackName, settings } = deps;
  const { jobId, input, route } = job;
  const owners = await claimPrefixes(deps);
  const other = findOtherOwner(owners, stackId, prefixesOfRoute(settings, route), input);
  if (other === undefined) return undefined;
  const known = await deps.jobs.getJob(jobId);
  if (known !== undefined || !isReported) return { job: known };
  const reason = describeOtherOwner(other, stackId, stackName);
  await deps.events.completed(refusalOf(stackId, job, reason));
  deps.telemetry.record('input.declined', { jobId, key: input.key, reason: ownText`${reason}` });
  await answerIgnored(deps, input, PREFIX_OWNED, route.name);
  return { job: undefined };
}

/** A key may be so long that the names of its results would be longer than S3 allows. */
function rejectionOfKey(
  settings: Settings,
  route: Route,
  key: string,
): (Rejection & { code: 'key_too_long' }) | undefined {
  if (hasRoomForResults(layoutOf(settings, route), key)) return undefined;
  return {
    code: 'key_too_long',
    message:
      `The key has ${Buffer.byteLength(key)} bytes, so the names of its results would have more than the ${MAX_KEY_BYTES} ` +
      'bytes that S3 allows. Drop the file again under a shorter key.',
  };
}

/** Without versioning the object may change under us, so a copy is read in its place. */
function sourceOf(settings: Settings, head: ObjectHead): Job['source'] {
  return head.versionId === undefined
    ? { bucket: head.bucket, key: workKeys(settings.layout, jobIdOf(head)).pinned }
    : { bucket: head.bucket, key: head.key, versionId: head.versionId };
}
