/**
 * Holds what OpenAI has of ours against the records. Batches differ when the table was restored to an earlier time,
 * which each poll sees by its own number, also kept below `work/`: for a day longer than the longest completion window
 * of the routes, a batch that runs, or ran, is taken up by its record, and a job that the table does not know is created
 * again from what was written down below `work/`. What cannot be taken up is reported; nothing is ever cancelled. Once
 * an hour, input files that nothing has needed for a day are deleted.
 */

import * as z from 'zod';
import type { OwnText } from '../../../contract/event-fields.ts';
import { apiKeyNamesOf, type Settings } from '../../../contract/settings.ts';
import { HOUR_MS } from '../../../contract/time.ts';
import { isApiKeyError } from '../../base/errors.ts';
import { ownText, reasonOf } from '../../base/own-text.ts';
import { readJobFile } from '../../files/job-file.ts';
import { pollKey } from '../../files/keys.ts';
import { readWorkJson } from '../../files/work-json.ts';
import { toAdopted } from '../../lifecycle/batch-transitions.ts';
import { LeasedBatch } from '../../lifecycle/leased.ts';
import { inputFileOf, isOurs, needsInputFile, recordKeyOf } from '../../lifecycle/ownership.ts';
import { advance, isPast } from '../../lifecycle/pages.ts';
import { CLOCK_SKEW_MS, completionWindowMs } from '../../lifecycle/time-limits.ts';
import { unlessForgotten } from '../../lifecycle/unless-forgotten.ts';
import { apiKeyOf, type BatchRecord, isTerminal, type PagePosition } from '../../model/batch.ts';
import type { Ambient, Deadline } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { BatchService, ByKey, RemoteBatch, RemoteFile } from '../../ports/provider.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

export interface ReconcileDeps {
  stackId: string;
  settings: Pick<Settings, 'layout' | 'routes'>;
  objects: Pick<ObjectStore, 'get' | 'put'>;
  jobs: JobStore;
  batches: ByKey<Pick<BatchService, 'listBatches' | 'listFiles' | 'deleteFile'>>;
  outbox: Pick<Outbox, 'ingest'>;
  ambient: Ambient;
  deadline: Deadline;
  telemetry: Telemetry;
}

/**
 * How far back the lists are read beyond the longest completion window of the routes: time for the person who restores
 * a table.
 */
const RESTORE_TAKES_MS = 24 * HOUR_MS;
/** How old an input file is that may be left over. No worker uses an older one: steps take minutes. */
const ORPHAN_AFTER_MS = 24 * HOUR_MS;
/** What is left of a poll for what comes after the deleting: of large jobs there are thousands of files. */
const KEPT_MS = 2 * 60_000;

/** What the poll keeps below `work/`, which is not restored with the table. */
export const pollFileSchema = z.object({
  v: z.literal(1),
  /** The greatest number of a poll; in the table it is smaller after a restore. */
  poll: z.int(),
  /** When a restore was last seen. */
  restoredAt: z.number().optional(),
});

function lookBackMs({ settings }: ReconcileDeps): number {
  return Math.max(completionWindowMs({}), ...settings.routes.map(completionWindowMs)) + RESTORE_TAKES_MS;
}

/** @param poll the number of this poll, which grows by one from poll to poll, as the table has it. */
export async function reconcile(deps: ReconcileDeps, poll: number): Promise<void> {
  const now = deps.ambient.now();
  const restoredAt = await seeRestore(deps, poll);
  if (restoredAt !== undefined && now < restoredAt + lookBackMs(deps))
    await every(deps, 'adopt', HOUR_MS, () => forEachProject(deps, (project) => adoptRecent(deps, project)));
  await every(deps, 'orphans', HOUR_MS, () =>
    forEachProject(deps, (project) => deleteOrphans(deps, project)),
  );
}

/** Notes the number of this poll, and whether the table was restored; gives when it was, last. */
async function seeRestore(deps: ReconcileDeps, poll: number): Promise<number | undefined> {
  const key = pollKey(deps.settings.layout);
  const current = await readWorkJson(deps.objects, key, pollFileSchema);
  const isRestored = current !== undefined && poll <= current.poll;
  const restoredAt = isRestored ? deps.ambient.now() : current?.restoredAt;
  if (isRestored)
    deps.telemetry.record('table.restored', {
      poll,
      seen: current.poll,
    });
  const file: z.infer<typeof pollFileSchema> = { v: 1, poll, restoredAt };
  await deps.objects.put(key, Buffer.from(JSON.stringify(file)), { contentType: 'application/json' });
  return restoredAt;
}

/** Runs a step once per interval, for all workers together; one that fails is run again with the next poll. */
async function every(
  deps: ReconcileDeps,
  name: string,
  ms: number,
  step: () => Promise<void>,
): Promise<void> {
  const now = deps.ambient.now();
  const token = await deps.jobs.acquireLease(name, now, now + ms);
  if (token === undefined) return;
  try {
    await step();
  } catch (error) {
    await deps.jobs.releaseLease(name, token);
    throw error;
  }
}

/** What one version of a key sees; without a version, the current one. */
interface Project {
  apiKey: string;
  keyVersion?: string;
}

/**
 * Every key of the settings and of the batches at OpenAI, in each version that these were made with.
 * @param step gives which version it was.
 */
async function forEachProject(
  deps: ReconcileDeps,
  step: (project: Project) => Promise<string | undefined>,
): Promise<void> {
  const versionsOf = new Map(apiKeyNamesOf(deps.settings).map((name) => [name, new Set<string>()]));
  for await (const batch of deps.jobs.listAtOpenAI()) {
    const versions = versionsOf.get(apiKeyOf(batch)) ?? new Set();
    versionsOf.set(apiKeyOf(batch), versions);
    if (batch.attempt?.keyVersion !== undefined) versions.add(batch.attempt?.keyVersion);
  }
  const failures: unknown[] = [];
  /** With a key that OpenAI refuses nothing can be read; what needs it is suspended, and that is logged there. */
  const tryStep = async (project: Project): Promise<string | undefined> => {
    try {
      return await step(project);
    } catch (error) {
      if (isApiKeyError(error)) deps.telemetry.record('key.refused', { ...project, reason: reasonOf(error) });
      // What one key is refused must not keep the others from being looked at.
      else failures.push(error);
      return undefined;
    }
  };
  for (const [apiKey, versions] of versionsOf) {
    const current = await tryStep({ apiKey });
    for (const keyVersion of versions) if (keyVersion !== current) await tryStep({ apiKey, keyVersion });
  }
  if (failures.length > 0) throw failures[0];
}

/** Takes up what a project has of ours and no record names. */
async function adoptRecent(deps: ReconcileDeps, project: Project): Promise<string | undefined> {
  const strangers: RemoteBatch[] = [];
  let usedVersion = project.keyVersion;
  for await (const page of recentPages(deps, project)) {
    usedVersion = page.keyVersion;
    // Of a failed one nothing ran, and one that is validating may fail yet.
    const ours = page.batches.filter(
      (remote) =>
        isOurs(deps.stackId, remote) && remote.status !== 'failed' && remote.status !== 'validating',
    );
    const records = await Promise.all(ours.map((remote) => recordOf(deps, remote)));
    strangers.push(...ours.filter((remote, index) => records[index]?.remote?.openaiBatchId !== remote.id));
  }
  const taken = new Set<string>();
  // Of two for one record, the first that was made counts.
  for (const remote of strangers.sort((one, other) => one.createdAt - other.createdAt))
    await adopt(deps, remote, project.apiKey, usedVersion, taken);
  return usedVersion;
}

/** The pages of a project's list, until all that is recent has been on them. */
async function* recentPages(deps: ReconcileDeps, { apiKey, keyVersion }: Project) {
  const api = deps.batches.withKey(apiKey);
  const since = deps.ambient.now() - lookBackMs(deps) - CLOCK_SKEW_MS;
  let position: PagePosition | undefined;
  do {
    const page = await api.listBatches(position?.after, keyVersion);
    yield page;
    // Newest first is practice, not promise: only a page that is old from end to end says that we are past it.
    if (isPast(page.batches, since)) return;
    position = continueList(deps, position, page.next);
  } while (position !== undefined);
}

/** The next position in a list; `undefined` at its end, or where it leads in a circle, which is logged. */
function continueList(
  { telemetry }: Pick<ReconcileDeps, 'telemetry'>,
  position: PagePosition | undefined,
  next: string | undefined,
): PagePosition | undefined {
  if (next === undefined) return undefined;
  const following = advance(position, next);
  if (following === undefined) telemetry.record('list.repeated', { cursor: next });
  return following;
}

async function recordOf(deps: ReconcileDeps, remote: RemoteBatch): Promise<BatchRecord | undefined> {
  const key = recordKeyOf(remote);
  return key && deps.jobs.getBatch(key.jobId, key.batchId);
}

/** Takes up a batch of ours that its record does not name; jobs that were created again are noted in `taken`. */
async function adopt(
  deps: ReconcileDeps,
  remote: RemoteBatch,
  apiKey: string,
  keyVersion: string | undefined,
  taken: Set<string>,
): Promise<void> {
  const key = recordKeyOf(remote);
  const report = (reason: OwnText): void =>
    deps.telemetry.record('batch.orphaned', {
      ...key,
      openaiBatchId: remote.id,
      status: remote.status,
      reason,
    });
  if (key === undefined) return report(ownText`its metadata names no job, batch and attempt`);
  const { jobId, batchId, nonce } = key;
  const batch = await deps.jobs.getBatch(jobId, batchId);
  if (batch === undefined) {
    if (taken.has(jobId)) return;
    taken.add(jobId);
    return adoptJob(deps, jobId, report);
  }
  // Another key of the same project sees it, too; versions are those of its own.
  if (apiKeyOf(batch) !== apiKey) return;
  // The worker that resolves the create finds it.
  if (batch.state === 'submitting') return;
  if (batch.state !== 'planned' && batch.state !== 'admitted' && batch.state !== 'uploaded') {
    if (batch.remote?.openaiBatchId !== remote.id)
      report(ownText`the record is ${batch.state} with another batch`);
    return;
  }
  // A worker that has it is about to see for itself.
  const leased = await LeasedBatch.lease(deps, batch, batch.state);
  if (leased === undefined) return;
  const adopted = toAdopted(leased.record, remote, { nonce, keyVersion }, deps.ambient.now());
  if (!(await leased.tryMove(adopted))) return;
  deps.telemetry.record('batch.adopted', {
    jobId,
    batchId,
    openaiBatchId: remote.id,
  });
}

/** Creates a job again that the table does not know; its plan and what follows from it are still below `work/`. */
async function adoptJob(
  deps: ReconcileDeps,
  jobId: string,
  report: (reason: OwnText) => void,
): Promise<void> {
  // One that is known brings its batches on by itself: they follow from its plan and from each other.
  if ((await deps.jobs.getJob(jobId)) !== undefined) return;
  const job = await readJobFile(deps.objects, deps.settings.layout, jobId);
  if (job === undefined) return report(ownText`the files of its job are gone`);
  const again = { ...job, updatedAt: deps.ambient.now() };
  if ((await unlessForgotten(deps, () => deps.jobs.createJob(again))) === undefined) return;
  await deps.outbox.ingest({ v: 1, jobId });
  deps.telemetry.record('job.adopted', { jobId });
}

/** Deletes input files of ours that no batch and no record needs. */
async function deleteOrphans(deps: ReconcileDeps, project: Project): Promise<string | undefined> {
  const { apiKey, keyVersion } = project;
  const api = deps.batches.withKey(apiKey);
  if (api.listFiles === undefined) return keyVersion;
  const until = deps.ambient.now() - ORPHAN_AFTER_MS;
  const orphans = new Map<string, RemoteFile>();
  let usedVersion = keyVersion;
  let position: PagePosition | undefined;
  do {
    const page = await api.listFiles(position?.after, keyVersion);
    usedVersion = page.keyVersion;
    for (const file of page.files)
      if (file.createdAt <= until && (await isUnrecorded(deps, file))) orphans.set(file.id, file);
    position = continueList(deps, position, page.next);
  } while (position !== undefined);
  if (orphans.size === 0) return usedVersion;
  // A record may be behind: what a batch is made of stays until it has ended.
  for await (const { batches } of recentPages(deps, project))
    for (const { status, inputFileId } of batches) if (!isTerminal(status)) orphans.delete(inputFileId);
  for (const { id, filename } of orphans.values()) {
    if (deps.deadline.remainingMs() < KEPT_MS) {
      deps.telemetry.record('cleanup.deferred', { found: orphans.size });
      break;
    }
    await api.deleteFile(id, keyVersion);
    deps.telemetry.record('file.deleted', { fileId: id, filename });
  }
  return usedVersion;
}

/** Whether a file is one of ours that no record needs. */
async function isUnrecorded(deps: ReconcileDeps, file: RemoteFile): Promise<boolean> {
  const key = inputFileOf(deps.stackId, file.filename);
  if (key === undefined) return false;
  const batch = await deps.jobs.getBatch(key.jobId, key.batchId);
  return !needsInputFile(batch, file.id);
}
