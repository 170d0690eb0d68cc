/**
 * {@link BatchApi} on the official `openai` client.
 *
 * Uploads are framed by hand: the client's own multipart body either keeps the file in memory (as `fetch` clones a body
 * that it might have to send again after a redirect) or goes out without a Content-Length. Time: the client's `timeout`
 * runs until the answer's headers; after that only Node's own limit holds, five minutes without a single byte, so a
 * download may take as long as it moves.
 *
 * What this throws holds status, code and OpenAI's message, if that cannot quote what was sent; never a key.
 */

import { randomUUID } from 'node:crypto';
import type OpenAI from 'openai';
import { APIConnectionError, APIConnectionTimeoutError, APIError, OpenAIError } from 'openai';
import * as z from 'zod';
import type { ApiKeys, ApiKeyValue } from '../../adapters/api-key.ts';
import { release } from '../../adapters/body-chunks.ts';
import { problemsOf } from '../../contract/problems.ts';
import {
  BatchdropError,
  CreateRefusedError,
  IncompleteDownloadError,
  KEY_REPLACED,
  KeyUnusableError,
  NotYetError,
  type RefusalTopic,
  UploadRefusedError,
} from '../../core/base/errors.ts';
import type { BatchLevelError } from '../../core/model/batch.ts';
import type { ByteStream } from '../../core/ports/objects.ts';
import type { BatchApi, RemoteBatch, RemoteFile } from '../../core/ports/provider.ts';
import { topicOf } from './refusals.ts';
import { statusOf } from './statuses.ts';
import { usageOf } from './usage.ts';

/** An upload of 190 MB may take most of the 15 minutes that a Lambda has; the rest is for what follows. */
const UPLOAD_TIMEOUT_MS = 14 * 60_000;

/** Most that `GET /v1/batches` gives at once. Source: openai 7.55.0 `resources/batches.ts`. */
const BATCHES_PER_PAGE = 100;

/** `GET /v1/files` gives up to 10,000. Source: openai 7.55.0 `resources/files.ts`. */
const FILES_PER_PAGE = 1_000;

/** Answers by which OpenAI says that it made nothing. 408 and 409 leave it open, as does everything else. */
const REFUSING_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 404, 413, 422, 429]);

const MAX_MESSAGE_CHARS = 300;

/** A call to OpenAI that failed, free of content and keys. Try the step again. */
export class OpenAIRequestError extends BatchdropError {
  /** HTTP status; absent if there was no answer. */
  readonly status: number | undefined;
  /** OpenAI's error code, or the system's (such as `ECONNRESET`). */
  readonly code: string | undefined;
  /** What OpenAI's words say that it is about. */
  readonly topic: RefusalTopic | undefined;

  constructor(message: string, status?: number, code?: string, topic?: RefusalTopic) {
    super(message);
    this.status = status;
    this.code = code;
    this.topic = topic;
  }
}

/** The body of an upload did not have the length that was declared for it. */
export class UploadLengthError extends BatchdropError {}

/** `""`, `null` and absent all mean: there is none. */
const optionalId = z
  .string()
  .nullish()
  .transform((id) => id || undefined);

/**
 * What is read of a batch object. Source: openai 7.55.0 `resources/batches.ts`; compatible services give ids as empty strings.
 */
const remoteBatchSchema = z.object({
  id: z.string().min(1),
  status: z.string(),
  // Batches of other applications may have been made without a file.
  input_file_id: z
    .string()
    .nullish()
    .transform((id) => id ?? ''),
  output_file_id: optionalId,
  error_file_id: optionalId,
  errors: z
    .object({
      data: z
        .array(
          z.object({
            code: z.string().nullish(),
            message: z.string().nullish(),
            param: z.string().nullish(),
            line: z.number().nullish(),
          }),
        )
        .nullish(),
    })
    .nullish()
    // In another shape, as services have that are like OpenAI; it must not stop the listing of all others either.
    .catch(undefined),
  request_counts: z
    .object({ total: z.number(), completed: z.number(), failed: z.number() })
    .nullish()
    .catch(undefined),
  // Ours is text throughout; what is not, is not ours.
  metadata: z.record(z.string(), z.string()).nullish().catch(undefined),
  created_at: z.number(),
  in_progress_at: z.number().nullish().catch(undefined),
  finalizing_at: z.number().nullish().catch(undefined),
  expires_at: z.number().nullish(),
  usage: z.record(z.string(), z.unknown()).nullish().catch(undefined),
});

const batchPageSchema = z.object({
  data: z.array(remoteBatchSchema),
  has_more: z.boolean().nullish(),
});

const filePageSchema = z.object({
  data: z.array(z.object({ id: z.string().min(1), filename: z.string(), created_at: z.number() })),
  has_more: z.boolean().nullish(),
});

const fileSchema = z.object({
  id: z.string().min(1),
  // Compatible services leave it out, or say `null`.
  bytes: z
    .number()
    .nullish()
    .transform((bytes) => bytes ?? undefined),
});

export class OpenAIBatches implements BatchApi {
  readonly #client: OpenAI;
  readonly #keys: ApiKeys | undefined;

  /** @param keys default: the client's own key, the only one there is. */
  constructor(client: OpenAI, keys?: ApiKeys) {
    this.#client = client;
    this.#keys = keys;
  }

  #clientWith({ key }: ApiKeyValue): OpenAI {
    return this.#client.withOptions({ apiKey: key });
  }

  /** Calls with the current key, and once more if it turns out to have been replaced. */
  async #call<Result>(call: (client: OpenAI, keyVersion?: string) => Promise<Result>): Promise<Result> {
    if (this.#keys === undefined) return call(this.#client);
    const key = await this.#keys.read();
    try {
      return await call(this.#clientWith(key), key.versionId);
    } catch (error) {
      if (!isUnauthorized(error)) throw error;
      const now = await this.#keys.readAgain();
      if (now.versionId === key.versionId) throw error;
      return call(this.#clientWith(now), now.versionId);
    }
  }

  /** Calls with the key of a version; with the current one, if that key is refused or does not know what is asked for. */
  async #callFirst<Result>(
    keyVersion: string | undefined,
    call: (client: OpenAI) => Promise<Result>,
  ): Promise<Result> {
    if (this.#keys === undefined || keyVersion === undefined) return this.#call(call);
    const own = await this.#keys.readVersion(keyVersion);
    if (own === undefined) return this.#call(call);
    try {
      return await call(this.#clientWith(own));
    } catch (error) {
      if (!isNotFound(error) && !isUnauthorized(error)) throw error;
      const current = await (isUnauthorized(error) ? this.#keys.readAgain() : this.#keys.read());
      if (current.versionId === keyVersion) throw error;
      try {
        return await this.#call(call);
      } catch (second) {
        // That a key which is good does not know of it says more than that another one is not good.
        throw isUnauthorized(second) ? error : second;
      }
    }
  }

  /**
   * Calls with the key of a version and no other.
   * @throws {KeyUnusableError} if it is refused or not kept.
   */
  async #callOnly<Result>(
    keyVersion: string | undefined,
    call: (client: OpenAI, keyVersion?: string) => Promise<Result>,
  ): Promise<Result> {
    if (this.#keys === undefined || keyVersion === undefined) return this.#call(call);
    const own = await this.#keys.readVersion(keyVersion);
    if (own === undefined)
      throw new KeyUnusableError(`version ${keyVersion} of the API key is not kept any more`);
    try {
      return await call(this.#clientWith(own), keyVersion);
    } catch (error) {
      if (isUnauthorized(error))
        throw new KeyUnusableError(`OpenAI refuses version ${keyVersion} of the API key`);
      throw error;
    }
  }

  /** @throws {UploadLengthError} if `body` does not have exactly `bytes` bytes; nothing is uploaded then. */
  async uploadFile(file: { filename: string; bytes: number; body: ByteStream }) {
    const form = frameFile(file);
    const key = await this.#keys?.read();
    const client = key === undefined ? this.#client : this.#clientWith(key);
    try {
      const answer = await client.post<unknown>('/files', {
        body: form.stream,
        headers: { 'content-type': form.contentType, 'content-length': String(form.bytes) },
        maxRetries: 0,
        timeout: UPLOAD_TIMEOUT_MS,
        // Without `error`, fetch keeps every byte that it sent in case it has to follow a redirect.
        fetchOptions: { redirect: 'error' },
      });
      const { id, bytes } = parseAnswer(fileSchema, answer, 'POST /files');
      return {
        id,
        ...(bytes === undefined ? {} : { bytes }),
        ...(key === undefined ? {} : { keyVersion: key.versionId }),
      };
    } catch (error) {
      if (isUnauthorized(error) && (await this.#isReplaced(key))) {
        throw new NotYetError('the API key was replaced; the file goes up again with the new one', 0);
      }
      const failure = form.failure() ?? toRequestError('POST /files', error);
      if (isRefusal(failure)) {
        const { message, status, code, topic } = failure;
        throw new UploadRefusedError(message, status, code, topic);
      }
      throw failure;
    } finally {
      form.release();
    }
  }

  async createBatch(batch: Parameters<BatchApi['createBatch']>[0]) {
    try {
      const answer = await this.#callOnly(batch.keyVersion, (client) =>
        client.batches.create(
          {
            input_file_id: batch.inputFileId,
            endpoint: batch.endpoint as OpenAI.BatchCreateParams['endpoint'],
            completion_window: '24h',
            metadata: batch.metadata,
          },
          // The API has no idempotency key: a client that tries again may create a second batch.
          { maxRetries: 0 },
        ),
      );
      return toRemoteBatch(parseAnswer(remoteBatchSchema, answer, 'POST /batches'));
    } catch (error) {
      if (error instanceof KeyUnusableError) {
        const { versionId } = await this.#keys!.readAgain();
        const code = versionId === batch.keyVersion ? 'invalid_api_key' : KEY_REPLACED;
        throw new CreateRefusedError(error.message, 401, code);
      }
      const failure = toRequestError('POST /batches', error);
      if (isRefusal(failure)) {
        const { message, status, code, topic } = failure;
        throw new CreateRefusedError(message, status, code, topic);
      }
      throw failure;
    }
  }

  async cancelBatch(id: string, keyVersion?: string): Promise<void> {
    try {
      // The client would try a 409 again, which only says that the batch has ended.
      await this.#callFirst(keyVersion, (client) => client.batches.cancel(id, { maxRetries: 0 }));
    } catch (error) {
      if (error instanceof APIError && error.status === 409) return;
      if (!isNotFound(error)) throw toRequestError(`POST /batches/${id}/cancel`, error);
    }
  }

  async getBatch(id: string, keyVersion?: string): Promise<RemoteBatch | undefined> {
    try {
      const answer = await this.#callFirst(keyVersion, (client) => client.batches.retrieve(id));
      return toRemoteBatch(parseAnswer(remoteBatchSchema, answer, `GET /batches/${id}`));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toReadError(`GET /batches/${id}`, error);
    }
  }

  async listBatches(after?: string, keyVersion?: string) {
    try {
      // Not `batches.list()`: its page takes a missing `has_more` for the end, and what is not listed seems not to be.
      const { answer, seenBy } = await this.#callOnly(keyVersion, async (client, version) => ({
        answer: await client.get<unknown>('/batches', {
          query: { limit: BATCHES_PER_PAGE, ...(after === undefined ? {} : { after }) },
        }),
        seenBy: version,
      }));
      const page = parseAnswer(batchPageSchema, answer, 'GET /batches');
      const last = page.data.at(-1)?.id;
      const isStuck = last === undefined || last === after;
      const isLast = page.has_more === false || isStuck;
      return {
        batches: page.data.map(toRemoteBatch),
        ...(isLast ? {} : { next: last }),
        ...(page.has_more === true && isStuck ? { isCut: true } : {}),
        ...(seenBy === undefined ? {} : { keyVersion: seenBy }),
      };
    } catch (error) {
      throw toRequestError('GET /batches', error);
    }
  }

  /** The body throws {@link IncompleteDownloadError} if it breaks off. */
  async readFile(
    id: string,
    { from = 0, keyVersion }: { from?: number; keyVersion?: string | undefined } = {},
  ): Promise<{ body: ByteStream; bytes?: number }> {
    const action = `GET /files/${id}/content`;
    const response =
      (from > 0 && (await this.#openRange(id, keyVersion, from, action))) ||
      (await this.#openFile(id, keyVersion, action));
    const range = contentRangeOf(response);
    let bytes: number | undefined;
    try {
      bytes = range?.total ?? contentLengthOf(response) ?? (await this.fileSize(id, keyVersion))?.bytes;
    } catch (error) {
      await response.body?.cancel();
      throw error;
    }
    return {
      body: readBody(response.body, action, { bytes, start: range?.start ?? 0, from }),
      ...(bytes === undefined ? {} : { bytes }),
    };
  }

  async listFiles(after?: string, keyVersion?: string) {
    try {
      const { answer, seenBy } = await this.#callOnly(keyVersion, async (client, version) => ({
        answer: await client.get<unknown>('/files', {
          query: { purpose: 'batch', limit: FILES_PER_PAGE, ...(after === undefined ? {} : { after }) },
        }),
        seenBy: version,
      }));
      const page = parseAnswer(filePageSchema, answer, 'GET /files');
      const last = page.data.at(-1)?.id;
      const isLast = page.has_more === false || last === undefined || last === after;
      const files = page.data.map(
        ({ id, filename, created_at }): RemoteFile => ({ id, filename, createdAt: created_at * 1000 }),
      );
      return {
        files,
        ...(isLast ? {} : { next: last }),
        ...(seenBy === undefined ? {} : { keyVersion: seenBy }),
      };
    } catch (error) {
      if (isUnauthorized(error)) throw new KeyUnusableError('OpenAI refuses the API key');
      throw toRequestError('GET /files', error);
    }
  }

  async fileSize(id: string, keyVersion?: string): Promise<{ bytes?: number } | undefined> {
    try {
      const answer = await this.#callFirst(keyVersion, (client) => client.files.retrieve(id));
      const { bytes } = parseAnswer(fileSchema, answer, `GET /files/${id}`);
      return bytes === undefined ? {} : { bytes };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toReadError(`GET /files/${id}`, error);
    }
  }

  async deleteFile(id: string, keyVersion?: string): Promise<void> {
    try {
      await this.#callFirst(keyVersion, (client) => client.files.delete(id));
    } catch (error) {
      if (!isNotFound(error)) throw toRequestError(`DELETE /files/${id}`, error);
    }
  }

  /** Whether a key is not the current one any more. */
  async #isReplaced(key: ApiKeyValue | undefined): Promise<boolean> {
    return key !== undefined && (await this.#keys!.readAgain()).versionId !== key.versionId;
  }

  async #openFile(
    id: string,
    keyVersion: string | undefined,
    action: string,
    range?: string,
  ): Promise<Response> {
    // Unpacked bytes would make Content-Length tell nothing.
    const headers = { 'accept-encoding': 'identity', ...(range === undefined ? {} : { range }) };
    try {
      return await this.#callFirst(keyVersion, (client) => client.files.content(id, { headers }));
    } catch (error) {
      throw toReadError(action, error);
    }
  }

  /** The file from a byte on, or the whole file; `undefined` if the service makes something else of a range. */
  async #openRange(
    id: string,
    keyVersion: string | undefined,
    from: number,
    action: string,
  ): Promise<Response | undefined> {
    let response: Response;
    try {
      response = await this.#openFile(id, keyVersion, action, `bytes=${from}-`);
    } catch (error) {
      if (error instanceof OpenAIRequestError && error.status === 416) return undefined;
      throw error;
    }
    if (response.status !== 206) return response;
    const range = contentRangeOf(response);
    if (range?.start === from && range.end === range.total - 1) return response;
    await response.body?.cancel();
    return undefined;
  }
}

/**
 * Frames a file as `multipart/form-data` (RFC 7578), `purpose` first.
 * `failure()` is what broke the body, if it was the body; `release()` lets go of it, read or not.
 */
function frameFile(file: { filename: string; bytes: number; body: ByteStream }) {
  const boundary = `batchdrop-${randomUUID()}`;
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${escapeFilename(file.filename)}"\r\n` +
      'Content-Type: application/jsonl\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const source = file.body[Symbol.asyncIterator]();
  let isStarted = false;
  let failure: { error: unknown } | undefined;

  async function* frames(): AsyncGenerator<Uint8Array> {
    isStarted = true;
    try {
      yield head;
      let sent = 0;
      for await (const chunk of { [Symbol.asyncIterator]: () => source }) {
        sent += chunk.length;
        if (sent > file.bytes) throw lengthError(file.bytes, `at least ${sent}`);
        yield chunk;
      }
      if (sent < file.bytes) throw lengthError(file.bytes, String(sent));
      yield tail;
    } catch (error) {
      failure = { error };
      throw error;
    }
  }

  const stream = frames();
  return {
    stream,
    bytes: head.length + file.bytes + tail.length,
    contentType: `multipart/form-data; boundary=${boundary}`,
    failure: () => failure?.error,
    release: () => {
      // Not awaited: a body that hangs must not hold up the error that is on its way.
      const released = isStarted ? stream.return(undefined) : source.return?.();
      released?.catch(() => {});
    },
  };
}

function lengthError(declared: number, seen: string): UploadLengthError {
  return new UploadLengthError(
    `the body of POST /files has ${seen} bytes where ${declared} were declared; nothing was uploaded`,
  );
}

/** Source: WHATWG HTML, "multipart/form-data encoding algorithm". */
function escapeFilename(filename: string): string {
  return filename.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22');
}

function contentLengthOf(response: Response): number | undefined {
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  const length = response.headers.get('content-length') ?? '';
  return encoding === 'identity' && /^\d+$/.test(length) ? Number(length) : undefined;
}

/** What part of a file a 206 brings. Source: RFC 9110, section 14.4. */
function contentRangeOf(response: Response): { start: number; end: number; total: number } | undefined {
  if (response.status !== 206) return undefined;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match === null
    ? undefined
    : { start: Number(match[1]), end: Number(match[2]), total: Number(match[3]) };
}

/** The bytes from `from` on of a file whose body begins at `start`, which is not later. */
async function* readBody(
  body: ReadableStream<Uint8Array> | null,
  action: string,
  { bytes, start, from }: { bytes: number | undefined; start: number; from: number },
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  let read = start;
  try {
    for await (const chunk of body) {
      const skipped = Math.min(Math.max(0, from - read), chunk.length);
      read += chunk.length;
      if (skipped < chunk.length) yield chunk.subarray(skipped);
      release(chunk);
    }
  } catch (error) {
    throw new IncompleteDownloadError(
      `${action} broke off after ${read} of ${bytes ?? 'an unknown number of'} bytes (${systemCodeOf(error) ?? 'no code'})`,
    );
  }
}

function toRemoteBatch(batch: z.output<typeof remoteBatchSchema>): RemoteBatch {
  const errors = batch.errors?.data?.map(
    ({ code, message, param, line }): BatchLevelError => ({
      code: code ?? 'unknown',
      message: message ?? '',
      ...(param ? { param } : {}),
      ...(typeof line === 'number' ? { line } : {}),
    }),
  );
  const startedAt = batch.in_progress_at || batch.finalizing_at;
  return {
    id: batch.id,
    ...statusOf(batch.status),
    inputFileId: batch.input_file_id,
    ...(batch.output_file_id === undefined ? {} : { outputFileId: batch.output_file_id }),
    ...(batch.error_file_id === undefined ? {} : { errorFileId: batch.error_file_id }),
    ...(errors === undefined || errors.length === 0 ? {} : { errors }),
    ...(batch.usage ? { usage: usageOf({ usage: batch.usage }) } : {}),
    ...(batch.request_counts ? { progress: batch.request_counts } : {}),
    metadata: batch.metadata ?? {},
    createdAt: batch.created_at * 1000,
    ...(startedAt ? { startedAt: startedAt * 1000 } : {}),
    ...(batch.expires_at ? { expiresAt: batch.expires_at * 1000 } : {}),
  };
}

/** Zod's messages name the place and what was expected there, not what was found. */
function parseAnswer<Schema extends z.ZodType>(
  schema: Schema,
  answer: unknown,
  action: string,
): z.output<Schema> {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;

  throw new OpenAIRequestError(
    `${action} was answered with something that is not understood: ${problemsOf(result.error).join('; ')}`,
  );
}

function isRefusal(error: unknown): error is OpenAIRequestError & { status: number } {
  return error instanceof OpenAIRequestError && REFUSING_STATUSES.has(error.status ?? 0);
}

function isNotFound(error: unknown): boolean {
  return error instanceof APIError && error.status === 404;
}

function isUnauthorized(error: unknown): boolean {
  return error instanceof APIError && error.status === 401;
}

function toRequestError(action: string, error: unknown): Error {
  if (error instanceof BatchdropError) return error;
  // A function that fetches the API key failed: the client wraps what it threw.
  if (error instanceof OpenAIError && error.cause instanceof BatchdropError) return error.cause;
  if (error instanceof APIConnectionTimeoutError) {
    return new OpenAIRequestError(`${action} timed out: unknown whether OpenAI acted on it`);
  }
  if (error instanceof APIConnectionError) {
    const code = systemCodeOf(error);
    return new OpenAIRequestError(
      `${action} got no answer (${code ?? 'no code'}): unknown whether OpenAI acted on it`,
      undefined,
      code,
    );
  }
  if (error instanceof APIError) {
    const code = error.code ?? undefined;
    return new OpenAIRequestError(
      [
        `${action} was answered ${error.status}`,
        ...(code === undefined ? [] : [` ${code}`]),
        `: ${publicMessageOf(error)}`,
        ...(error.requestID ? [` (request ${error.requestID})`] : []),
      ].join(''),
      error.status,
      code,
      topicOf(action, error.message),
    );
  }
  return new OpenAIRequestError(`${action} failed: ${error instanceof Error ? error.name : 'unknown error'}`);
}

/**
 * The error of a call that asks for one batch or file.
 * @returns {@link KeyUnusableError} if no key is accepted: what was paid for waits for one, for as long as it takes.
 */
function toReadError(action: string, error: unknown): Error {
  const failure = toRequestError(action, error);
  return isUnauthorized(error) ? new KeyUnusableError(failure.message) : failure;
}

/** OpenAI's message if it can stand in a log: it may quote what was sent, and a 401 quotes the key in part. */
function publicMessageOf(error: APIError): string {
  const said = (error.error as { message?: unknown } | undefined)?.message;
  if (typeof said !== 'string') return 'no message';
  if (/[{}"]/.test(said)) return 'message withheld, it may quote the request';
  return said.replaceAll(/\bsk-\S+/g, 'sk-…').slice(0, MAX_MESSAGE_CHARS);
}

/** The code of the error, or of what caused it: `fetch` hides it one or two levels down. */
function systemCodeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as { code?: unknown };
    if (typeof code === 'string') return code;
  }
  return undefined;
}
