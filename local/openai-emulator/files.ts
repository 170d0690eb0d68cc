import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { ApiError, errorObject, invalidValue, missingParameter, rateLimited, refusal } from './api-error.ts';
import type { Timings } from './batch-lifecycle.ts';
import { checkExpiresAfter, checkInteger } from './batch-validation.ts';
import { type Clock, unixSeconds } from './clock.ts';
import type { EffectOf } from './effects.ts';
import type { Faults } from './faults.ts';
import { parseLine } from './json-lines.ts';
import { multipartBoundary, readMultipart } from './multipart.ts';
import type { FileRecord, Store } from './store.ts';

/** Bounds on files. */
export type FileLimits = {
  /** Of any file: default 512 MB (openai 7.55.0, files.ts). */
  fileBytes: number;
  /** Of a file with purpose "batch": default 200,000,000 (platform.openai.com/docs/guides/batch). */
  batchFileBytes: number;
  /** `POST /v1/files` in any minute: default 1,000 (openai 7.55.0, files.ts). */
  fileUploadsPerMinute: number;
};

/** Input files of batches, and their outputs, live thirty days unless the request says otherwise. */
export const DEFAULT_EXPIRY_SECONDS = 2_592_000;

/** Purposes that a client may give (openai 7.55.0, files.ts: FilePurpose). */
const PURPOSES = ['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals'];

const MAX_FIELD_BYTES = 65_536;
/** A first line longer than this is only looked at where it begins. */
const FIRST_LINE_BYTES = 4_194_304;

/** A form as received: its fields, and its file written to disk. */
export type ReceivedForm = {
  fields: Map<string, string>;
  file: { path: string; bytes: number; filename: string; isOversize: boolean } | null;
};

/**
 * Reads a multipart form; the part called `fileField` goes to `dir/incoming`, whatever its size. Bytes past `maxBytes`
 * are read and dropped, so that the client gets its answer rather than a broken connection.
 * @throws ApiError 400 for a malformed form; what the connection throws when it breaks (nothing is left on disk)
 */
export async function receiveForm(
  request: IncomingMessage,
  dir: string,
  name: string,
  fileField: string,
  maxBytes: number,
): Promise<ReceivedForm> {
  const boundary = multipartBoundary(request.headers['content-type']);
  const path = join(dir, 'incoming', name);
  const form: ReceivedForm = { fields: new Map(), file: null };
  let handle: FileHandle | undefined;
  try {
    // Without destroyOnReturn a refusal halfway would break the connection instead of being answered.
    await readMultipart(request.iterator({ destroyOnReturn: false }), boundary, async (head) => {
      if (head.name !== fileField) return fieldSink((value) => form.fields.set(head.name, value));
      if (handle !== undefined) throw refusal(400, `Duplicate form field: '${fileField}'.`);
      const target = await open(path, 'w');
      handle = target;
      const file = { path, bytes: 0, filename: head.filename ?? 'upload', isOversize: false };
      form.file = file;
      return {
        write: async (bytes) => {
          file.bytes += bytes.length;
          if (file.bytes > maxBytes) file.isOversize = true;
          else await target.writeFile(bytes);
        },
        end: () => target.close(),
      };
    });
    return form;
  } catch (error) {
    await handle?.close().catch(() => {});
    await rm(path, { force: true });
    throw error;
  }
}

function fieldSink(done: (value: string) => void) {
  const pieces: Buffer[] = [];
  let size = 0;
  return {
    write: (bytes: Buffer) => {
      size += bytes.length;
      if (size > MAX_FIELD_BYTES) throw refusal(400, 'Form field is too large.');
      pieces.push(Buffer.from(bytes));
    },
    end: () => done(Buffer.concat(pieces).toString('utf8')),
  };
}

/** The Files API over the store. Every method throws ApiError as the API refuses. */
export type Files = {
  /** `POST /v1/files` */
  create(request: IncomingMessage, project: string): Promise<Record<string, unknown>>;
  /** Makes a stored file of one that is whole on disk: checks, moves and remembers it. */
  adopt(source: FileSource): Promise<FileRecord>;
  list(query: URLSearchParams, project: string): Record<string, unknown>;
  /** The live file of this id, if it is the project's. @throws ApiError 404 */
  find(id: string, project: string): FileRecord;
  remove(id: string, project: string): Promise<Record<string, unknown>>;
};

/** A file that is whole on disk. */
type FileSource = {
  path: string;
  bytes: number;
  filename: string;
  purpose: string;
  project: string;
  expiresAfterSeconds: number | null;
};

/** What files are kept by; limits, timings and faults are read at each call. */
type FileDeps = {
  store: Store;
  clock: Clock;
  limits: FileLimits;
  timings: Pick<Timings, 'fileReadyMs'>;
  faults: Faults;
};

/** The Files API over the store. */
export function createFiles({ store, clock, limits, timings, faults }: FileDeps): Files {
  const isLive = ({ expiresAtMs, output }: FileRecord) => {
    const now = clock.now();
    if ((expiresAtMs ?? now + 1) <= now || (output?.vanishesAtMs ?? now + 1) <= now) return false;
    return !(output?.late?.as === 'not_found' && now < output.late.untilMs);
  };
  let uploadedAtMs: number[] = [];
  /** @throws ApiError 429; its wording is not known */
  const checkUploadRate = () => {
    const now = clock.now();
    uploadedAtMs = uploadedAtMs.filter((atMs) => atMs > now - 60_000);
    if (uploadedAtMs.length >= limits.fileUploadsPerMinute) {
      throw rateLimited(`Rate limit reached for file uploads: Limit ${limits.fileUploadsPerMinute} / min.`);
    }
    uploadedAtMs.push(now);
  };
  const shown = (file: FileRecord) => fileObject(file, clock.now());
  const files: Files = {
    create: async (request, project) => {
      checkUploadRate();
      const name = store.ids.part();
      const form = await receiveForm(request, store.dir, name, 'file', limits.fileBytes);
      try {
        const purpose = form.fields.get('purpose');
        if (purpose === undefined) throw missingParameter('purpose');
        if (!PURPOSES.includes(purpose)) throw invalidValue('purpose', purpose, PURPOSES);
        if (form.file === null) throw missingParameter('file');
        if (form.file.isOversize) throw tooLarge();
        const expires = checkExpiresAfter('expires_after', expiryFields(form.fields));
        return shown(
          await files.adopt({
            ...form.file,
            purpose,
            project,
            expiresAfterSeconds: expires?.seconds ?? null,
          }),
        );
      } catch (error) {
        await rm(join(store.dir, 'incoming', name), { force: true });
        throw error;
      }
    },
    adopt: (source) => adoptFile(source, { store, clock, limits, timings }),
    list: (query, project) => {
      const limit = checkInteger('limit', Number(query.get('limit') ?? 10_000), 1, 10_000);
      const order = query.get('order') ?? 'desc';
      if (order !== 'asc' && order !== 'desc') throw invalidValue('order', order, ['asc', 'desc']);
      const purpose = query.get('purpose');
      const all = [...store.files.values()].filter(
        (file) => isLive(file) && file.project === project && (purpose === null || file.purpose === purpose),
      );
      const [fault] = faults.fire('page', { route: 'GET /v1/files' }, 1);
      return pageOf(
        order === 'desc' ? all.reverse() : all,
        { after: query.get('after'), limit, fault },
        shown,
      );
    },
    find: (id, project) => {
      const file = store.files.get(id);
      if (file === undefined || file.project !== project || !isLive(file)) {
        throw refusal(404, `No such File object: ${id}`, { param: 'id' });
      }
      return file;
    },
    remove: async (id, project) => {
      files.find(id, project);
      store.save(clock.now(), { type: 'file_deleted', id });
      await rm(store.filePath(id), { force: true });
      return { id, object: 'file', deleted: true };
    },
  };
  return files;
}

/** See {@link Files.adopt}. */
async function adoptFile(
  { path, bytes, filename, purpose, project, expiresAfterSeconds }: FileSource,
  { store, clock, limits, timings }: Omit<FileDeps, 'faults'>,
): Promise<FileRecord> {
  if (bytes > (purpose === 'batch' ? limits.batchFileBytes : limits.fileBytes)) throw tooLarge();
  if (purpose === 'batch' && !(await beginsAsJsonl(path, filename, bytes))) throw notJsonl();
  const now = clock.now();
  const seconds = expiresAfterSeconds ?? (purpose === 'batch' ? DEFAULT_EXPIRY_SECONDS : null);
  const record: FileRecord = {
    id: store.ids.file(),
    bytes,
    createdAtMs: now,
    expiresAtMs: seconds === null ? null : now + seconds * 1000,
    readyAtMs: now + timings.fileReadyMs,
    filename,
    purpose,
    project,
  };
  await rename(path, store.filePath(record.id));
  store.save(now, { type: 'file', record });
  return record;
}

/** Which page of a list is asked for, and what goes wrong with it. */
type PageAsked = { after: string | null; limit: number; fault: EffectOf<'page'> | undefined };

/** One page of a list, in the form of every list of the API. @throws ApiError 400 when `after` is not in the list */
export function pageOf<Item extends { id: string }>(
  items: readonly Item[],
  { after, limit, fault }: PageAsked,
  toObject: (item: Item) => Record<string, unknown>,
): Record<string, unknown> {
  const next = after === null ? 0 : items.findIndex((item) => item.id === after) + 1;
  if (after !== null && next === 0) {
    throw refusal(400, `Invalid value for 'after': no object found with id '${after}'.`, {
      param: 'after',
      code: 'invalid_value',
    });
  }
  const start = firstOfPage(next, items.length, fault);
  const page = fault?.kind === 'page.empty' ? [] : items.slice(start, start + limit);
  const goesOn = fault?.kind === 'page.empty' || fault?.kind === 'page.cycle';
  return {
    object: 'list',
    data: page.map(toObject),
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
    has_more: goesOn || start + limit < items.length,
  };
}

/** The index of a page's first item, given that of the right one. */
function firstOfPage(next: number, count: number, fault: EffectOf<'page'> | undefined): number {
  if (fault?.kind === 'page.repeat') return Math.max(0, next - fault.items);
  if (fault?.kind === 'page.skip') return next + fault.items;
  return fault?.kind === 'page.cycle' && next >= count ? 0 : next;
}

/** How much of a file can be fetched: nothing, or its first lines, of one whose content is late. */
export function readableBytes({ bytes, output }: FileRecord, nowMs: number): number {
  return output?.late && nowMs < output.late.untilMs ? output.late.bytes : bytes;
}

/** The File object as the API shows it. */
export function fileObject(file: FileRecord, nowMs: number): Record<string, unknown> {
  return {
    id: file.id,
    bytes: file.output?.late?.as === 'empty_and_sized' ? file.bytes : readableBytes(file, nowMs),
    created_at: unixSeconds(file.createdAtMs),
    filename: file.filename,
    object: 'file',
    purpose: file.purpose,
    status: nowMs < file.readyAtMs ? 'uploaded' : 'processed',
    expires_at: file.expiresAtMs === null ? null : unixSeconds(file.expiresAtMs),
    status_details: null,
  };
}

function expiryFields(fields: Map<string, string>): Record<string, unknown> | undefined {
  const anchor = fields.get('expires_after[anchor]');
  const seconds = fields.get('expires_after[seconds]');
  if (anchor === undefined && seconds === undefined) return undefined;
  return { anchor, seconds: seconds === undefined ? undefined : Number(seconds) };
}

/** Whether a file's name and first line are those of a batch input; later lines are judged by the batch. */
async function beginsAsJsonl(path: string, filename: string, bytes: number): Promise<boolean> {
  if (!filename.endsWith('.jsonl') || bytes === 0) return false;
  const handle = await open(path, 'r');
  try {
    const head = Buffer.alloc(Math.min(bytes, FIRST_LINE_BYTES));
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    let start = head.subarray(0, bytesRead);
    // A byte order mark passes here and fails as line 1 of the batch (as seen in practice).
    if (start.indexOf('\ufeff') === 0) start = start.subarray(3);
    const end = start.indexOf(0x0a);
    if (end === -1 && bytes > FIRST_LINE_BYTES) return start[0] === 0x7b;
    return parseLine(end === -1 ? start : start.subarray(0, end)) !== undefined;
  } finally {
    await handle.close();
  }
}

const tooLarge = () => refusal(400, 'File is too large.');

const NOT_JSONL = 'Invalid file format for Batch API. Must be .jsonl';
const notJsonl = () =>
  new ApiError(400, { error: errorObject(NOT_JSONL), detail: { message: NOT_JSONL, code: null } });
