import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { invalidType, missingParameter, refusal } from './api-error.ts';
import { checkExpiresAfter, checkInteger } from './batch-validation.ts';
import { type Clock, unixSeconds } from './clock.ts';
import { type Files, fileObject, receiveForm } from './files.ts';
import type { Store, UploadRecord } from './store.ts';

/** An upload ends by itself an hour after it began (openai 7.55.0, uploads.ts). */
const UPLOAD_LIFE_MS = 3_600_000;
/** 8 GB in all, 64 MB a part (openai 7.55.0, uploads.ts). */
const MAX_UPLOAD_BYTES = 8_589_934_592;
const MAX_PART_BYTES = 67_108_864;

/** The Uploads API over the store. Every method throws ApiError as the API refuses. */
export type Uploads = {
  create(body: Record<string, unknown>, project: string): Record<string, unknown>;
  addPart(id: string, project: string, request: IncomingMessage): Promise<Record<string, unknown>>;
  complete(id: string, project: string, body: Record<string, unknown>): Promise<Record<string, unknown>>;
  cancel(id: string, project: string): Promise<Record<string, unknown>>;
};

/** @param files makes the file of a completed upload */
export function createUploads(store: Store, clock: Clock, files: Files): Uploads {
  const partPath = (id: string) => join(store.dir, 'uploads', id);
  const find = (id: string, project: string): UploadRecord => {
    const upload = store.uploads.get(id);
    if (upload?.project !== project) throw refusal(404, `No such Upload object: ${id}`, { param: 'id' });
    return upload;
  };
  const findPending = (id: string, project: string): UploadRecord => {
    const upload = find(id, project);
    const status = statusOf(upload, clock.now());
    if (status !== 'pending') throw refusal(400, `Upload ${id} is already ${status}.`);
    return upload;
  };
  const forget = (upload: UploadRecord) =>
    Promise.all(upload.parts.map((part) => rm(partPath(part.id), { force: true })));
  return {
    create: (body, project) => {
      const { text, bytes } = fieldsOf(body);
      const record: UploadRecord = {
        id: store.ids.upload(),
        bytes,
        createdAtMs: clock.now(),
        filename: text('filename'),
        purpose: text('purpose'),
        mimeType: text('mime_type'),
        project,
        expiresAfterSeconds: checkExpiresAfter('expires_after', body.expires_after)?.seconds ?? null,
        status: 'pending',
        parts: [],
        file: null,
      };
      store.save(clock.now(), { type: 'upload', record });
      return uploadObject(record, clock.now());
    },
    addPart: async (id, project, request) => {
      findPending(id, project);
      const partId = store.ids.part();
      const form = await receiveForm(request, store.dir, partId, 'data', MAX_PART_BYTES);
      if (form.file === null) throw missingParameter('data');
      if (form.file.isOversize) {
        await rm(form.file.path, { force: true });
        throw refusal(400, 'File is too large.');
      }
      // Parts arrive in parallel: the record is read again after the bytes are on disk.
      const upload = findPending(id, project);
      await rename(form.file.path, partPath(partId));
      const parts = [...upload.parts, { id: partId, bytes: form.file.bytes }];
      store.save(clock.now(), { type: 'upload', record: { ...upload, parts } });
      return { id: partId, object: 'upload.part', created_at: unixSeconds(clock.now()), upload_id: id };
    },
    complete: async (id, project, body) => {
      const upload = findPending(id, project);
      const parts = chosenParts(upload, body.part_ids);
      const path = join(store.dir, 'incoming', id);
      const { bytes, filename, purpose, expiresAfterSeconds } = upload;
      const md5 = await joinFiles(
        parts.map((part) => partPath(part.id)),
        path,
      );
      try {
        if (typeof body.md5 === 'string' && body.md5 !== md5) {
          throw refusal(400, 'The md5 checksum does not match the uploaded bytes.', { param: 'md5' });
        }
        const file = await files.adopt({ path, bytes, filename, purpose, project, expiresAfterSeconds });
        const record: UploadRecord = { ...upload, status: 'completed', file };
        store.save(clock.now(), { type: 'upload', record });
        await forget(upload);
        return uploadObject(record, clock.now());
      } catch (error) {
        await rm(path, { force: true });
        throw error;
      }
    },
    cancel: async (id, project) => {
      const upload = findPending(id, project);
      const record: UploadRecord = { ...upload, status: 'cancelled' };
      store.save(clock.now(), { type: 'upload', record });
      await forget(upload);
      return uploadObject(record, clock.now());
    },
  };
}

/** The fields of a new upload. @throws ApiError 400 */
function fieldsOf(body: Record<string, unknown>): { text: (name: string) => string; bytes: number } {
  const { bytes } = body;
  if (bytes === undefined || bytes === null) throw missingParameter('bytes');
  if (typeof bytes !== 'number') throw invalidType('bytes', 'an integer', bytes);
  return {
    bytes: checkInteger('bytes', bytes, 1, MAX_UPLOAD_BYTES),
    text: (name) => {
      const value = body[name];
      if (value === undefined || value === null) throw missingParameter(name);
      if (typeof value !== 'string') throw invalidType(name, 'a string', value);
      return value;
    },
  };
}

/** The parts that make the whole. @throws ApiError 400 */
function chosenParts(upload: UploadRecord, partIds: unknown): UploadRecord['parts'] {
  if (partIds === undefined) throw missingParameter('part_ids');
  if (!Array.isArray(partIds)) throw invalidType('part_ids', 'an array of strings', partIds);
  const parts = partIds.map((partId) => {
    const part = upload.parts.find((candidate) => candidate.id === partId);
    if (part === undefined) throw refusal(400, `No such Part object: ${partId}`, { param: 'part_ids' });
    return part;
  });
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (bytes === upload.bytes) return parts;
  throw refusal(400, `Upload has ${bytes} bytes in its parts, but ${upload.bytes} bytes were declared.`);
}

function statusOf(upload: UploadRecord, nowMs: number): UploadRecord['status'] | 'expired' {
  return upload.status === 'pending' && nowMs >= upload.createdAtMs + UPLOAD_LIFE_MS
    ? 'expired'
    : upload.status;
}

function uploadObject(upload: UploadRecord, nowMs: number): Record<string, unknown> {
  return {
    id: upload.id,
    object: 'upload',
    bytes: upload.bytes,
    created_at: unixSeconds(upload.createdAtMs),
    filename: upload.filename,
    purpose: upload.purpose,
    status: statusOf(upload, nowMs),
    expires_at: unixSeconds(upload.createdAtMs + UPLOAD_LIFE_MS),
    file: upload.file === null ? null : fileObject(upload.file, nowMs),
  };
}

/** Writes the files one after another into `target`; gives the MD5 of the whole in hexadecimal. */
async function joinFiles(paths: readonly string[], target: string): Promise<string> {
  const md5 = createHash('md5');
  const handle = await open(target, 'w');
  try {
    for (const path of paths) {
      for await (const block of createReadStream(path)) {
        md5.update(block as Buffer);
        await handle.writeFile(block as Buffer);
      }
    }
  } finally {
    await handle.close();
  }
  return md5.digest('hex');
}
