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

import type OpenAI from 'openai';
import { APIError } from 'openai';
import type { ApiKeys } from '../../adapters/api-key.ts';
import { DEFAULT_COMPLETION_WINDOW } from '../../contract/route.ts';
import { defined } from '../../core/base/defined.ts';
import {
  CreateRefusedError,
  KEY_REPLACED,
  KeyUnusableError,
  NotYetError,
  UploadRefusedError,
} from '../../core/base/errors.ts';
import type { ByteStream } from '../../core/ports/objects.ts';
import type {
  BatchApi,
  BatchInput,
  RemoteBatch,
  RemoteFile,
  RemoteModel,
  UploadedFile,
} from '../../core/ports/provider.ts';
import {
  batchPageSchema,
  filePageSchema,
  fileSchema,
  modelPageSchema,
  parseAnswer,
  remoteBatchSchema,
  toRemoteBatch,
} from './api-objects.ts';
import { contentLengthOf, contentRangeOf, readBody } from './download-body.ts';
import { KeyedClient } from './keyed-client.ts';
import {
  isForbidden,
  isNotFound,
  isRefusal,
  isUnauthorized,
  OpenAIRequestError,
  toReadError,
  toRequestError,
} from './request-error.ts';
import { frameFile } from './upload-body.ts';

/** An upload of 190 MB may take most of the 15 minutes that a Lambda has; the rest is for what follows. */
const UPLOAD_TIMEOUT_MS = 14 * 60_000;

/** Most that `GET /v1/batches` gives at once. Source: openai 7.55.0 `resources/batches.ts`. */
const BATCHES_PER_PAGE = 100;

/** `GET /v1/files` gives up to 10,000. Source: openai 7.55.0 `resources/files.ts`. */
const FILES_PER_PAGE = 1_000;

export class OpenAIBatches implements BatchApi {
  readonly #client: KeyedClient;

  /** @param keys default: the client's own key, the only one there is. */
  constructor(client: OpenAI, keys?: ApiKeys) {
    this.#client = new KeyedClient(client, keys);
  }

  /** @throws {UploadLengthError} if `body` does not have exactly `bytes` bytes; nothing is uploaded then. */
  async uploadFile(file: BatchInput & { filename: string }): Promise<UploadedFile> {
    const form = frameFile(file);
    const { client, keyVersion } = await this.#client.current();
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
      return { id, bytes, keyVersion };
    } catch (error) {
      if (isUnauthorized(error) && (await this.#client.isReplaced(keyVersion))) {
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
      const answer = await this.#client.callOnly(batch.keyVersion, (client) =>
        client.batches.create(
          {
            input_file_id: batch.inputFileId,
            endpoint: batch.endpoint as OpenAI.BatchCreateParams['endpoint'],
            // The client's type is OpenAI's own; compatible services take other windows.
            completion_window: (batch.completionWindow ?? DEFAULT_COMPLETION_WINDOW) as '24h',
            metadata: batch.metadata,
          },
          // The API has no idempotency key: a client that tries again may create a second batch.
          { maxRetries: 0 },
        ),
      );
      return toRemoteBatch(parseAnswer(remoteBatchSchema, answer, 'POST /batches'));
    } catch (error) {
      if (error instanceof KeyUnusableError) {
        const isReplaced = await this.#client.isReplaced(batch.keyVersion);
        const code = isReplaced ? KEY_REPLACED : 'invalid_api_key';
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
      await this.#client.callFirst(keyVersion, (client) => client.batches.cancel(id, { maxRetries: 0 }));
    } catch (error) {
      if (error instanceof APIError && error.status === 409) return;
      if (!isNotFound(error)) throw toRequestError(`POST /batches/${id}/cancel`, error);
    }
  }

  async getBatch(id: string, keyVersion?: string): Promise<RemoteBatch | undefined> {
    try {
      const answer = await this.#client.callFirst(keyVersion, (client) => client.batches.retrieve(id));
      return toRemoteBatch(parseAnswer(remoteBatchSchema, answer, `GET /batches/${id}`));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toReadError(`GET /batches/${id}`, error);
    }
  }

  async listBatches(after?: string, keyVersion?: string) {
    try {
      // Not `batches.list()`: its page takes a missing `has_more` for the end, and what is not listed seems not to be.
      const { answer, seenBy } = await this.#client.callOnly(keyVersion, async (client, version) => ({
        answer: await client.get<unknown>('/batches', {
          query: { limit: BATCHES_PER_PAGE, after },
        }),
        seenBy: version,
      }));
      const page = parseAnswer(batchPageSchema, answer, 'GET /batches');
      const last = page.data.at(-1)?.id;
      const isStuck = last === undefined || last === after;
      const isLast = page.has_more === false || isStuck;
      return {
        batches: page.data.map(toRemoteBatch),
        next: isLast ? undefined : last,
        isCut: page.has_more === true && isStuck,
        keyVersion: seenBy,
      };
    } catch (error) {
      throw toRequestError('GET /batches', error);
    }
  }

  /** The body throws {@link IncompleteDownloadError} if it breaks off. */
  async readFile(
    id: string,
    { from = 0, keyVersion }: { from?: number; keyVersion?: string | undefined } = {},
  ): Promise<{ body: ByteStream; bytes?: number | undefined }> {
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
      bytes,
    };
  }

  async listFiles(after?: string, keyVersion?: string) {
    try {
      const { answer, seenBy } = await this.#client.callOnly(keyVersion, async (client, version) => ({
        answer: await client.get<unknown>('/files', {
          query: { purpose: 'batch', limit: FILES_PER_PAGE, after },
        }),
        seenBy: version,
      }));
      const page = parseAnswer(filePageSchema, answer, 'GET /files');
      const last = page.data.at(-1)?.id;
      const isLast = page.has_more === false || last === undefined || last === after;
      const files = page.data.map(
        ({ id, filename, bytes, created_at }): RemoteFile =>
          defined({ id, filename, bytes, createdAt: created_at * 1000 }),
      );
      return {
        files,
        next: isLast ? undefined : last,
        keyVersion: seenBy,
      };
    } catch (error) {
      if (isUnauthorized(error)) throw new KeyUnusableError('OpenAI refuses the API key');
      throw toRequestError('GET /files', error);
    }
  }

  async fileSize(id: string, keyVersion?: string): Promise<{ bytes?: number | undefined } | undefined> {
    try {
      const answer = await this.#client.callFirst(keyVersion, (client) => client.files.retrieve(id));
      const { bytes } = parseAnswer(fileSchema, answer, `GET /files/${id}`);
      return { bytes };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toReadError(`GET /files/${id}`, error);
    }
  }

  async deleteFile(id: string, keyVersion?: string): Promise<void> {
    try {
      await this.#client.callFirst(keyVersion, (client) => client.files.delete(id));
    } catch (error) {
      if (!isNotFound(error)) throw toRequestError(`DELETE /files/${id}`, error);
    }
  }

  async listModels(): Promise<RemoteModel[] | undefined> {
    try {
      const { client } = await this.#client.current();
      const answer = await client.get<unknown>('/models');
      return parseAnswer(modelPageSchema, answer, 'GET /models').data.map(({ id, shutdown_date }) => ({
        id,
        shutdownDate: shutdown_date ?? undefined,
      }));
    } catch (error) {
      if (isForbidden(error) || isNotFound(error)) return undefined;
      throw toRequestError('GET /models', error);
    }
  }

  async #openFile(
    id: string,
    keyVersion: string | undefined,
    action: string,
    range?: string,
  ): Promise<Response> {
    // Of unpacked bytes, Content-Length says nothing.
    const headers = { 'accept-encoding': 'identity', range };
    try {
      return await this.#client.callFirst(keyVersion, (client) => client.files.content(id, { headers }));
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
