/**
 * Copies OpenAI's result files to below `work/`, byte for byte, before anything is made of them: a crash later on
 * reads S3 again and not OpenAI, and a file that takes longer than an invocation is continued in the next one.
 */

import { crc32 } from 'node:zlib';
import type { Settings } from '../../../contract/settings.ts';
import { defined } from '../../base/defined.ts';
import {
  CorruptWorkFileError,
  IncompleteDownloadError,
  isApiKeyError,
  ObjectSizeError,
  OutOfTimeError,
  UploadGoneError,
} from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { readCheckpoint, writeCheckpoint } from '../../files/checkpoint.ts';
import { workKeys } from '../../files/keys.ts';
import { readInParallel } from '../../files/parallel-read.ts';
import { toFetched, toFetching } from '../../lifecycle/batch-transitions.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { type FetchedFile, isSlice } from '../../model/batch.ts';
import type { Ambient, Deadline } from '../../ports/ambient.ts';
import type { ObjectStore, ObjectWriter, WriterState } from '../../ports/objects.ts';
import type { BatchService } from '../../ports/provider.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

export interface FetchDeps {
  settings: Settings;
  objects: ObjectStore;
  batches: Pick<BatchService, 'readFile'>;
  ambient: Ambient;
  /** Until when there is time to fetch. */
  deadline: Deadline;
  telemetry: Telemetry;
}

/** What came of fetching: every file, or how far one is; in that case another invocation continues. */
type Fetched = { files: FetchedFile[]; isFresh: boolean } | 'to be continued';

/** How often in a row a download may break off that brings less than {@link PROGRESS_BYTES}. */
const MAX_BREAKS = 3;
const PROGRESS_BYTES = 1024 * 1024;
/** Ranges that are read at a time to be sorted, which is slower than any of them: smaller ones hold less memory. */
const SORTED_RANGE_BYTES = 2 * 1024 * 1024;
const CHECKPOINT_KIND = 'fetch';

/** What the next invocation must know of a copy that is under way. */
interface CopyState {
  attempt: string;
  startedAt: number;
  checksum: number;
  /** Bytes of the file as OpenAI reported them, if it did. */
  total: number | null;
  writer: WriterState;
}

/**
 * Fetches those result files of a leased batch that are not below `work/` yet.
 * @param takesWhatIsReadable settles for the part of a file that can be had.
 * @returns the files in the order output, errors; `isFresh` if any of them was fetched now.
 * @throws {IncompleteDownloadError} if a file is not as long as OpenAI says. What has come of it is kept.
 */
export async function fetchResults(
  deps: FetchDeps,
  batch: LeasedBatch,
  takesWhatIsReadable: boolean,
): Promise<Fetched> {
  const { download, remote } = batch.record;
  // The answers to the calls of a slice are there already.
  if (isSlice(batch.record)) return { files: download?.fetched ?? [], isFresh: false };
  const files: FetchedFile[] = [];
  let isFresh = false;
  for (const fileId of [remote?.outputFileId, remote?.errorFileId]) {
    if (fileId === undefined) continue;
    const known = download?.fetched?.find((file) => file.fileId === fileId);
    if (known !== undefined && (takesWhatIsReadable || !known.isPartial)) {
      files.push(known);
      continue;
    }
    const copy = await Copy.open(deps, batch, fileId);
    const end = await copy.run(takesWhatIsReadable);
    if (end === 'out of time') {
      await copy.record();
      return 'to be continued';
    }
    isFresh = true;
    files.push(end);
    await batch.move(toFetched(batch.record, [...files]));
  }
  return { files, isFresh };
}

/**
 * Reads a fetched file.
 * @throws {IncompleteDownloadError} if it is not what was fetched; {@link OutOfTimeError} when no more than
 * `reserveMs` are left.
 */
export async function* readFetched(
  deps: Pick<FetchDeps, 'objects' | 'deadline'>,
  bucket: string,
  file: FetchedFile,
  reserveMs: number,
): AsyncGenerator<Uint8Array> {
  let checksum = 0;
  const source = { bucket, key: file.key };
  const ranges = { rangeBytes: SORTED_RANGE_BYTES };
  const message = `${file.key} is not what was fetched; fetch ${file.fileId} again`;
  try {
    for await (const chunk of readInParallel(deps.objects, source, file.bytes, ranges)) {
      if (deps.deadline.remainingMs() <= reserveMs) {
        throw new OutOfTimeError(
          `result file ${file.fileId}: its ${file.bytes} bytes cannot be sorted in one invocation`,
        );
      }
      checksum = crc32(chunk, checksum);
      yield chunk;
    }
  } catch (error) {
    if (!(error instanceof ObjectSizeError)) throw error;
    throw new IncompleteDownloadError(message, { cause: error });
  }
  if (checksum !== file.crc32) throw new IncompleteDownloadError(message);
}

/** The copy of one file. */
class Copy {
  readonly #deps: FetchDeps;
  readonly #batch: LeasedBatch;
  readonly #fileId: string;
  readonly #attempt: string;
  readonly #startedAt: number;
  readonly #writer: ObjectWriter;
  readonly #bytesBefore: number;
  #bytes: number;
  #checksum: number;
  #total: number | undefined;

  private constructor(deps: FetchDeps, batch: LeasedBatch, fileId: string, resume: CopyState | undefined) {
    this.#deps = deps;
    this.#batch = batch;
    this.#fileId = fileId;
    this.#attempt = resume?.attempt ?? deps.ambient.nonce();
    this.#startedAt = resume?.startedAt ?? deps.ambient.now();
    this.#checksum = resume?.checksum ?? 0;
    this.#total = resume?.total ?? undefined;
    this.#bytesBefore = resume?.writer.bytes ?? 0;
    this.#bytes = this.#bytesBefore;
    this.#writer = deps.objects.openWrite(this.#keys().file, { resume: resume?.writer });
  }

  /** Continues where the batch's record says, or begins. */
  static async open(deps: FetchDeps, batch: LeasedBatch, fileId: string): Promise<Copy> {
    const fetching = batch.record.download?.fetching;
    if (fetching?.fileId !== fileId) return new Copy(deps, batch, fileId, undefined);
    try {
      const state = await readCheckpoint(deps.objects, fetching.checkpointKey, CHECKPOINT_KIND);
      return new Copy(deps, batch, fileId, state as CopyState);
    } catch (error) {
      if (!(error instanceof CorruptWorkFileError)) throw error;
      const { jobId, batchId } = batch.record;
      deps.telemetry.record('download.restarted', { jobId, batchId, fileId, reason: reasonOf(error) });
      return new Copy(deps, batch, fileId, undefined);
    }
  }

  /** Copies to the end of the file, or until time runs short. After a failure, what has come is recorded. */
  async run(takesWhatIsReadable: boolean): Promise<FetchedFile | 'out of time'> {
    let isPartial = false;
    try {
      if ((await this.#copy()) === 'out of time') return 'out of time';
    } catch (error) {
      if (error instanceof UploadGoneError) return this.#giveUp(error);
      // Without the key it is unknown what can be read.
      if (!takesWhatIsReadable || isApiKeyError(error)) {
        if (error instanceof ChangedFileError) return this.#giveUp(error);
        // The error that led here is the one to report.
        await this.record().catch(() => {});
        throw error;
      }
      isPartial = true;
    }
    let bytes: number;
    try {
      bytes = await this.#writer.close();
    } catch (error) {
      // Closed already by a worker that died before it recorded that, or gone.
      if (error instanceof UploadGoneError) return this.#giveUp(error);
      throw error;
    }
    return defined({
      fileId: this.#fileId,
      key: this.#keys().file,
      bytes,
      crc32: this.#checksum,
      fetchedAt: this.#startedAt,
      isPartial: isPartial || undefined,
    });
  }

  /** Records how far the copy is. */
  async record(): Promise<void> {
    if (this.#bytes <= this.#bytesBefore) {
      // What an earlier invocation left stays good.
      if (this.#bytesBefore === 0) await this.#writer.abort();
      throw new IncompleteDownloadError(
        `result file ${this.#fileId} brought nothing after byte ${this.#bytesBefore} in a whole invocation`,
      );
    }
    const { objects } = this.#deps;
    const writer = await this.#writer.suspend();
    const state: CopyState = {
      attempt: this.#attempt,
      startedAt: this.#startedAt,
      checksum: this.#checksum,
      total: this.#total ?? null,
      writer,
    };
    const checkpointKey = this.#keys().checkpoint(this.#bytes);
    await writeCheckpoint(objects, checkpointKey, CHECKPOINT_KIND, state);
    const fetching = { fileId: this.#fileId, bytes: this.#bytes, checkpointKey };
    await this.#batch.move(toFetching(this.#batch.record, fetching));
  }

  async #copy(): Promise<'whole' | 'out of time'> {
    for (let breaks = 0; ; ) {
      const before = this.#bytes;
      try {
        return await this.#read();
      } catch (error) {
        if (!(error instanceof IncompleteDownloadError) || error instanceof ChangedFileError) throw error;
        breaks = this.#bytes - before < PROGRESS_BYTES ? breaks + 1 : 0;
        if (breaks === MAX_BREAKS) throw error;
      }
    }
  }

  /** One download, from where the copy is. */
  async #read(): Promise<'whole' | 'out of time'> {
    if (this.#bytes > 0 && this.#bytes === this.#total) return 'whole';
    const { batches, deadline } = this.#deps;
    const { body, bytes } = await batches.readFile(this.#fileId, {
      from: this.#bytes,
      keyVersion: this.#batch.record.attempt?.keyVersion,
    });
    if (this.#total !== undefined && bytes !== undefined && bytes !== this.#total) {
      throw new ChangedFileError(
        `result file ${this.#fileId} had ${this.#total} bytes and has ${bytes} now; fetch it again`,
      );
    }
    this.#total ??= bytes;
    for await (const chunk of body) {
      await this.#writer.write(chunk);
      this.#checksum = crc32(chunk, this.#checksum);
      this.#bytes += chunk.length;
      if (deadline.remainingMs() <= 0) return 'out of time';
    }
    if (this.#total !== undefined && this.#bytes !== this.#total) {
      const message = `result file ${this.#fileId}: read ${this.#bytes} bytes, the provider has ${this.#total}; fetch it again`;
      throw this.#bytes > this.#total ? new ChangedFileError(message) : new IncompleteDownloadError(message);
    }
    return 'whole';
  }

  /** Nothing of the copy can be used: the next one begins at the first byte. */
  async #giveUp(error: Error): Promise<never> {
    await this.#writer.abort();
    await this.#batch.tryMove(toFetching(this.#batch.record, undefined));
    throw error;
  }

  #keys() {
    const { jobId, batchId } = this.#batch.record;
    return workKeys(this.#deps.settings.layout, jobId).fetched(batchId, this.#attempt);
  }
}

/** The file is not what it was when its copy began, or longer than OpenAI says. */
class ChangedFileError extends IncompleteDownloadError {}
