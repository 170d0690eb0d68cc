/**
 * Holds what OpenAI has of ours against the records. Batches differ when the table was restored to an earlier time, which
 * each poll sees by its own number, also kept below `work/`: for two days from then on, a batch that runs, or ran, is taken
 * up by its record, and a job that the table does not know is claimed again from what was written down below `work/`. What
 * cannot be taken up is reported; nothing is ever cancelled. Once an hour, input files that nothing has needed for a day are deleted.
 */
import * as z from 'zod';
import type { Settings } from '../../contract/settings.ts';
import { ApiKeyMissingError, KeyUnusableError } from '../errors.ts';
import { readSettledJob } from '../ingest/job-file.ts';
import { pollKey } from '../keys.ts';
import { type BatchRecord, isTerminal } from '../model.ts';
import { inputFileOf, isOurs, recordKeyOf } from '../ownership.ts';
import type {
  Ambient,
  BatchApi,
  JobStore,
  Log,
  ObjectStore,
  Outbox,
  RemoteBatch,
  RemoteFile,
} from '../ports.ts';
import { SUCCEEDED } from '../step-failure.ts';
import { CLOCK_SKEW_MS, WORKER_LIFETIME_MS } from '../time-limits.ts';
import { readWorkJson } from '../work-json.ts';

export interface ReconcileDeps {
  stackId: string;
  settings: Pick<Settings, 'layout'>;
  objects: Pick<ObjectStore, 'get' | 'put'>;
  jobs: JobStore;
  batches: Pick<BatchApi, 'listBatches' | 'listFiles' | 'deleteFile'>;
  outbox: Pick<Outbox, 'ingest'>;
  ambient: Ambient;
  log: Log;
}

const HOUR_MS = 60 * 60_000;
/** How far back the lists are read: no batch runs for longer than 24 hours, and some time is for whoever restores a table. */
const LOOK_BACK_MS = 48 * HOUR_MS;
/** How old an input file is that may be left over. An older one is in nobody's hands: steps take minutes. */
const ORPHAN_AFTER_MS = 24 * HOUR_MS;

/** What the poll keeps below `work/`, which is not restored with the table. */
const pollFileSchema = z.object({
  v: z.literal(1),
  /** The greatest number of a poll; in the table it is smaller after a restore. */
  poll: z.int(),
  /** When a restore was last seen. */
  restoredAt: z.exactOptional(z.number()),
});

/** @param poll the number of this poll, which grows by one from poll to poll, as the table has it. */
export async function reconcile(deps: ReconcileDeps, poll: number): Promise<void> {
  const now = deps.ambient.now();
  const restoredAt = await seeRestore(deps, poll);
  if (restoredAt !== undefined && now < restoredAt + LOOK_BACK_MS)
    await every(deps, 'adopt', HOUR_MS, () =>
      forEachProject(deps, (keyVersion) => adoptRecent(deps, keyVersion)),
    );
  await every(deps, 'orphans', HOUR_MS, () =>
    forEachProject(deps, (keyVersion) => deleteOrphans(deps, keyVersion)),
  );
}

/** Notes the number of this poll, and whether the table was restored; gives when it was, last. */
async function seeRestore(deps: ReconcileDeps, poll: number): Promise<number | undefined> {
  const key = pollKey(deps.settings.layout);
  const standing = await readWorkJson(deps.objects, key, pollFileSchema);
  const isRestored = standing !== undefined && poll <= standing.poll;
  const restoredAt = isRestored ? deps.ambient.now() : standing?.restoredAt;
  if (isRestored)
    deps.log.warn('the table was restored to an earlier time; what was done since is looked for', {
      poll,
      seen: standing.poll,
    });
  const file: z.infer<typeof pollFileSchema> = {
    v: 1,
    poll,
    ...(restoredAt === undefined ? {} : { restoredAt }),
  };
  await deps.objects.put(key, Buffer.from(JSON.stringify(file)), { contentType: 'application/json' });
  return restoredAt;
}

/** Takes a step once in a while, whoever asks; one that fails is taken again with the next poll. */
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

/** @param step is given a version of the key, the current one by default, and gives which one it was. */
async function forEachProject(
  deps: ReconcileDeps,
  step: (keyVersion: string | undefined) => Promise<string | undefined>,
): Promise<void> {
  const versions = new Set<string>();
  for await (const { keyVersion } of deps.jobs.listAtOpenAI())
    if (keyVersion !== undefined) versions.add(keyVersion);
  /** With a key that is out of order there is nothing to be seen; what needs it is parked, which is told there. */
  const tryStep = async (version: string | undefined): Promise<string | undefined> => {
    try {
      return await step(version);
    } catch (error) {
      if (!(error instanceof KeyUnusableError || error instanceof ApiKeyMissingError)) throw error;
      deps.log.warn('a key cannot be used', { version, reason: error.message });
      return undefined;
    }
  };
  const current = await tryStep(undefined);
  for (const version of versions) if (version !== current) await tryStep(version);
}

/** Takes up what a project has of ours and no record names. */
async function adoptRecent(deps: ReconcileDeps, keyVersion: string | undefined): Promise<string | undefined> {
  const strangers: RemoteBatch[] = [];
  let usedVersion = keyVersion;
  for await (const page of recentPages(deps, keyVersion)) {
    usedVersion = page.keyVersion;
    // Of a failed one nothing ran, and one that is validating may fail yet.
    const ours = page.batches.filter(
      (remote) =>
        isOurs(deps.stackId, remote) && remote.status !== 'failed' && remote.status !== 'validating',
    );
    const records = await Promise.all(ours.map((remote) => recordOf(deps, remote)));
    strangers.push(...ours.filter((remote, index) => records[index]?.openaiBatchId !== remote.id));
  }
  const taken = new Set<string>();
  // Of two for one record, the first that was made counts.
  for (const remote of strangers.sort((one, other) => one.createdAt - other.createdAt))
    await adopt(deps, remote, usedVersion, taken);
  return usedVersion;
}

/** The pages of a project's list, until all that is recent has been on them. */
async function* recentPages(deps: ReconcileDeps, keyVersion: string | undefined) {
  const since = deps.ambient.now() - LOOK_BACK_MS - CLOCK_SKEW_MS;
  let after: string | undefined;
  do {
    const page = await deps.batches.listBatches(after, keyVersion);
    yield page;
    // Newest first is practice, not promise: only a page that is old from end to end says that we are past it.
    if (page.batches.every(({ createdAt }) => createdAt < since)) return;
    after = page.next;
  } while (after !== undefined);
}

async function recordOf(deps: ReconcileDeps, remote: RemoteBatch): Promise<BatchRecord | undefined> {
  const key = recordKeyOf(remote);
  return key && deps.jobs.getBatch(key.jobId, key.batchId);
}

/** Takes up a batch of ours that its record does not name; jobs that were claimed again are noted in `taken`. */
async function adopt(
  deps: ReconcileDeps,
  remote: RemoteBatch,
  keyVersion: string | undefined,
  taken: Set<string>,
): Promise<void> {
  const key = recordKeyOf(remote);
  const report = (problem: string): void =>
    deps.log.warn('a batch of ours at OpenAI is in no record; cancelling it is up to you', {
      ...key,
      openaiBatchId: remote.id,
      status: remote.status,
      problem,
    });
  if (key === undefined) return report('its metadata names no job, batch and attempt');
  const { jobId, batchId, nonce } = key;
  const batch = await deps.jobs.getBatch(jobId, batchId);
  if (batch === undefined) {
    if (taken.has(jobId)) return;
    taken.add(jobId);
    return adoptJob(deps, jobId, report);
  }
  // Whoever resolves the create finds it.
  if (batch.state === 'submitting') return;
  if (batch.state !== 'planned' && batch.state !== 'admitted' && batch.state !== 'uploaded') {
    if (batch.openaiBatchId !== remote.id) report(`the record is ${batch.state} with another batch`);
    return;
  }
  const now = deps.ambient.now();
  const claim = deps.ambient.nonce();
  // A worker that has it is about to see for itself.
  const claimed = await deps.jobs.claimBatch(batch, batch.state, claim, now, now + WORKER_LIFETIME_MS);
  if (claimed === undefined) return;
  const submitted = {
    ...SUCCEEDED,
    state: 'submitted',
    openaiBatchId: remote.id,
    nonce,
    inputFileId: remote.inputFileId,
    keyVersion,
    status: remote.status,
    statusAt: now,
    submittedAt: remote.createdAt,
    expiresAt: remote.expiresAt,
    adoptedAt: now,
    heldReason: undefined,
    claim: undefined,
    claimedUntil: undefined,
  } as const;
  if ((await deps.jobs.updateBatch(claimed, { state: batch.state, claim }, submitted, now)) === undefined)
    return;
  deps.log.warn('the record of a batch was behind: it is at OpenAI', {
    jobId,
    batchId,
    openaiBatchId: remote.id,
  });
}

/** Claims a job again that the table does not know; its plan and what follows from it still stand below `work/`. */
async function adoptJob(
  deps: ReconcileDeps,
  jobId: string,
  report: (problem: string) => void,
): Promise<void> {
  // One that is known brings its batches on by itself: they follow from its plan and from each other.
  if ((await deps.jobs.getJob(jobId)) !== undefined) return;
  const job = await readSettledJob(deps.objects, deps.settings.layout, jobId);
  if (job === undefined) return report('the files of its job are gone');
  await deps.jobs.claimJob({ ...job, updatedAt: deps.ambient.now() });
  await deps.outbox.ingest({ v: 1, jobId });
  deps.log.warn('a job that the table did not know is taken up again', { jobId });
}

/** Deletes input files of ours that no batch and no record needs. */
async function deleteOrphans(
  deps: ReconcileDeps,
  keyVersion: string | undefined,
): Promise<string | undefined> {
  const until = deps.ambient.now() - ORPHAN_AFTER_MS;
  const orphans = new Map<string, RemoteFile>();
  let usedVersion = keyVersion;
  let after: string | undefined;
  do {
    const page = await deps.batches.listFiles(after, keyVersion);
    usedVersion = page.keyVersion;
    for (const file of page.files)
      if (file.createdAt <= until && (await isUnrecorded(deps, file))) orphans.set(file.id, file);
    after = page.next;
  } while (after !== undefined);
  if (orphans.size === 0) return usedVersion;
  // A record may be behind: what a batch is made of stays until it has ended.
  for await (const { batches } of recentPages(deps, keyVersion))
    for (const { status, inputFileId } of batches) if (!isTerminal(status)) orphans.delete(inputFileId);
  for (const { id, filename } of orphans.values()) {
    await deps.batches.deleteFile(id, keyVersion);
    deps.log.info('deleted an input file that nothing needs', { fileId: id, filename });
  }
  return usedVersion;
}

/** Whether a file is one of ours that no record needs. */
async function isUnrecorded(deps: ReconcileDeps, file: RemoteFile): Promise<boolean> {
  const key = inputFileOf(deps.stackId, file.filename);
  if (key === undefined) return false;
  const batch = await deps.jobs.getBatch(key.jobId, key.batchId);
  return batch?.inputFileId !== file.id || batch.state === 'collected';
}
