/**
 * What OpenAI has of a stack that no job of its table knows, found with one API key: input files by their names, batches
 * by their metadata, results by their batches. Background responses cannot be listed, so they are not found. A batch can
 * be neither deleted nor, here, cancelled: it may be taken up after a restore of the table.
 */
import { DAY_MS } from '../../src/contract/time.ts';
import { inputFileOf, isOurs, needsInputFile, recordKeyOf } from '../../src/core/lifecycle/ownership.ts';
import { advance } from '../../src/core/lifecycle/pages.ts';
import { isTerminal, type PagePosition } from '../../src/core/model/batch.ts';
import type { BatchApi, RemoteBatch, RemoteFile } from '../../src/core/ports/provider.ts';
import type { JobStore } from '../../src/core/ports/records.ts';
import { CannotRunError } from '../view/exit.ts';

/** A file that can be deleted. */
export interface OrphanFile {
  id: string;
  /** `results`: answers or errors of a batch that has ended, which may have been paid for. */
  kind: 'input' | 'results';
  /** Whose it was, as its marks say. */
  jobId: string;
  batchId: string;
  bytes?: number | undefined;
}

/** What was found. */
export interface Orphans {
  files: OrphanFile[];
  /** Ids of batches that have not ended and that no job knows. */
  running: string[];
  /** Files that are too young to be called left over: a step or a restore may still need them. */
  young: number;
}

/** Where is looked. */
export interface OrphanDeps {
  stackId: string;
  jobs: Pick<JobStore, 'getJob' | 'getBatch'>;
  api: Pick<BatchApi, 'listBatches' | 'listFiles' | 'fileSize' | 'deleteFile'>;
  /** Epoch milliseconds. */
  now: number;
}

/** Looks; changes nothing. @throws {CannotRunError} if OpenAI's lists are not whole: what is not listed is not known. */
export async function findOrphans(deps: OrphanDeps): Promise<Orphans> {
  const batches = await allOf('batches', async (after) => {
    const { batches: items, next, isCut } = await deps.api.listBatches(after);
    return { items, next, isCut };
  });
  const found: Orphans = { files: [], running: [], young: 0 };
  for (const batch of batches.filter((each) => isOurs(deps.stackId, each)))
    await addBatch(deps, batch, found);
  const inUse = new Set(
    batches.filter(({ status }) => !isTerminal(status)).map(({ inputFileId }) => inputFileId),
  );
  const files = await allOf('files', async (after) => {
    const { files: items, next } = await deps.api.listFiles(after);
    return { items, next };
  });
  for (const file of files) if (!inUse.has(file.id)) await addInputFile(deps, file, found);
  return found;
}

/**
 * Deletes files; each is looked up again right before. Safe to break off and to repeat.
 * @returns what was deleted.
 */
export async function deleteOrphans(deps: OrphanDeps, files: readonly OrphanFile[]): Promise<OrphanFile[]> {
  const deleted: OrphanFile[] = [];
  for (const file of files) {
    if (await isKnown(deps, file)) continue;
    await deps.api.deleteFile(file.id);
    deleted.push(file);
  }
  return deleted;
}

/** Whether the table knows a file after all. */
async function isKnown({ jobs }: OrphanDeps, { id, kind, jobId, batchId }: OrphanFile): Promise<boolean> {
  return kind === 'results'
    ? (await jobs.getJob(jobId)) !== undefined
    : needsInputFile(await jobs.getBatch(jobId, batchId), id);
}

async function addBatch(deps: OrphanDeps, batch: RemoteBatch, found: Orphans): Promise<void> {
  const key = recordKeyOf(batch);
  if (key !== undefined && (await deps.jobs.getJob(key.jobId)) !== undefined) return;
  if (!isTerminal(batch.status)) {
    found.running.push(batch.id);
    return;
  }
  if (key === undefined) return;
  const ids = [batch.outputFileId, batch.errorFileId].filter((id) => id !== undefined && id !== '');
  // Results are no older than the end of the window, after which the poll takes up no batch either.
  if ((batch.expiresAt ?? batch.createdAt + DAY_MS) > deps.now - DAY_MS) {
    found.young += ids.length;
    return;
  }
  const { jobId, batchId } = key;
  for (const id of ids as string[]) {
    const file = await deps.api.fileSize(id);
    if (file !== undefined) found.files.push({ id, kind: 'results', jobId, batchId, bytes: file.bytes });
  }
}

async function addInputFile(deps: OrphanDeps, file: RemoteFile, found: Orphans): Promise<void> {
  const key = inputFileOf(deps.stackId, file.filename);
  if (key === undefined) return;
  const orphan: OrphanFile = { id: file.id, kind: 'input', ...key, bytes: file.bytes };
  if (await isKnown(deps, orphan)) return;
  if (file.createdAt > deps.now - DAY_MS) found.young += 1;
  else found.files.push(orphan);
}

/** All pages of a list. */
async function allOf<Item>(
  what: string,
  read: (
    after: string | undefined,
  ) => Promise<{ items: Item[]; next?: string | undefined; isCut?: boolean | undefined }>,
): Promise<Item[]> {
  const all: Item[] = [];
  let position: PagePosition | undefined;
  for (;;) {
    const { items, next, isCut } = await read(position?.after);
    all.push(...items);
    const following = next === undefined ? undefined : advance(position, next);
    if (isCut || (next !== undefined && following === undefined))
      throw new CannotRunError(`OpenAI's list of ${what} is not whole: what is left over is not known`);
    if (following === undefined) return all;
    position = following;
  }
}
