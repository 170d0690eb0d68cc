/**
 * {@link BatchApi} whose every call ends in time and in bounded memory: retries, waits in between and the whole body of an
 * answer included. The client's own timeout ends with the headers of an answer and counts each of its tries from its own start, so
 * that a service that hangs or trickles could hold up its caller for as long as it likes.
 */
import type OpenAI from 'openai';
import type { ApiKeys } from '../../adapters/api-key.ts';
import { IncompleteDownloadError } from '../../core/base/errors.ts';
import type { Deadline } from '../../core/ports/ambient.ts';
import type { ByteStream } from '../../core/ports/objects.ts';
import type { BatchApi } from '../../core/ports/provider.ts';
import { OpenAIBatches } from './batch-api.ts';
import { boundedAnswer } from './bounded-answer.ts';
import { OpenAIRequestError } from './request-error.ts';

/** The longest that each kind of call may take in all, in ms. */
export interface CallTimes {
  /** Small answers in JSON, and until a file begins. OpenAI gives a page of 100 batches in about a second. */
  readMs: number;
  /** One try of those, until the headers. */
  tryMs: number;
  /** Creating a batch has been seen to take tens of seconds. Less than `createMs` in create-settles.ts. */
  createMs: number;
  /** 190 MB; a Lambda lives for 15 minutes. */
  uploadMs: number;
  /** A download that waits for so long in all while fewer than {@link minBytes} come is given up, and begun again. */
  stallMs: number;
  /** 1 KiB a second. */
  minBytes: number;
}

const TIMES: CallTimes = {
  readMs: 120_000,
  tryMs: 60_000,
  createMs: 150_000,
  uploadMs: 870_000,
  stallMs: 60_000,
  minBytes: 61_440,
};

export class BoxedBatches implements BatchApi {
  readonly #client: OpenAI;
  readonly #keys: ApiKeys | undefined;
  readonly #deadline: Deadline | undefined;
  readonly #times: CallTimes;

  /** @param options.deadline no call takes longer, and none begins after it. Default: none. */
  constructor(
    client: OpenAI,
    keys?: ApiKeys,
    { deadline, times = {} }: { deadline?: Deadline | undefined; times?: Partial<CallTimes> } = {},
  ) {
    this.#client = client;
    this.#keys = keys;
    this.#deadline = deadline;
    this.#times = { ...TIMES, ...times };
  }

  uploadFile(file: Parameters<BatchApi['uploadFile']>[0]) {
    const { uploadMs } = this.#times;
    return this.#within('POST /files', { ms: uploadMs, tryMs: uploadMs }, (api) => api.uploadFile(file));
  }

  createBatch(batch: Parameters<BatchApi['createBatch']>[0]) {
    const { createMs } = this.#times;
    return this.#within('POST /batches', { ms: createMs, tryMs: createMs }, (api) => api.createBatch(batch));
  }

  cancelBatch(id: string, keyVersion?: string) {
    return this.#read(`POST /batches/${id}/cancel`, (api) => api.cancelBatch(id, keyVersion));
  }

  getBatch(id: string, keyVersion?: string) {
    return this.#read(`GET /batches/${id}`, (api) => api.getBatch(id, keyVersion));
  }

  listBatches(after?: string, keyVersion?: string) {
    return this.#read('GET /batches', (api) => api.listBatches(after, keyVersion));
  }

  listFiles(after?: string, keyVersion?: string) {
    return this.#read('GET /files', (api) => api.listFiles(after, keyVersion));
  }

  fileSize(id: string, keyVersion?: string) {
    return this.#read(`GET /files/${id}`, (api) => api.fileSize(id, keyVersion));
  }

  deleteFile(id: string, keyVersion?: string) {
    return this.#read(`DELETE /files/${id}`, (api) => api.deleteFile(id, keyVersion));
  }

  listModels() {
    return this.#read('GET /models', (api) => api.listModels());
  }

  /** The body throws {@link IncompleteDownloadError} if it stalls, too. */
  readFile(id: string, options?: Parameters<BatchApi['readFile']>[1]) {
    const action = `GET /files/${id}/content`;
    return this.#read(action, async (api, stop) => {
      const { body, ...rest } = await api.readFile(id, options);
      return { ...rest, body: movingBody(body, action, this.#times, stop) };
    });
  }

  #read<Result>(action: string, call: (api: OpenAIBatches, stop: AbortController) => Promise<Result>) {
    const { readMs, tryMs } = this.#times;
    return this.#within(action, { ms: readMs, tryMs }, call);
  }

  async #within<Result>(
    action: string,
    limits: { ms: number; tryMs: number },
    call: (api: OpenAIBatches, stop: AbortController) => Promise<Result>,
  ): Promise<Result> {
    const ms = Math.min(limits.ms, this.#deadline?.remainingMs() ?? Number.POSITIVE_INFINITY);
    if (ms <= 0) throw new OpenAIRequestError(`${action} was not sent: no time is left for it in this run`);
    const stop = new AbortController();
    const client = this.#client.withOptions({
      timeout: Math.min(limits.tryMs, ms),
      // The client's own signal ends with the headers; this one holds for the body, too.
      fetch: async (url, init) => {
        const signal = AbortSignal.any([...(init?.signal ? [init.signal] : []), stop.signal]);
        return boundedAnswer(
          url instanceof Request ? url.url : String(url),
          await fetch(url, { ...init, signal }),
        );
      },
    });
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      stop.abort();
      late.reject(
        new OpenAIRequestError(
          `${action} took longer than ${Math.round(ms / 1000)} s in all: unknown whether OpenAI acted on it`,
        ),
      );
    }, ms);
    try {
      return await Promise.race([call(new OpenAIBatches(client, this.#keys), stop), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The same body; what its reader takes for a chunk does not count as waiting. */
async function* movingBody(
  body: ByteStream,
  action: string,
  { stallMs, minBytes }: CallTimes,
  stop: AbortController,
): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  let waitedMs = 0;
  let bytes = 0;
  try {
    for (;;) {
      const askedAt = performance.now();
      const { done, value } = await orStalled(chunks.next(), stallMs - waitedMs, action);
      if (done) return;
      waitedMs += performance.now() - askedAt;
      bytes += value.length;
      if (bytes >= minBytes) {
        waitedMs = 0;
        bytes = 0;
      }
      yield value;
    }
  } finally {
    // Ends the connection, if there still is one: nothing more is read from it.
    stop.abort();
  }
}

/** @throws {IncompleteDownloadError} if nothing has come after `ms`. */
async function orStalled<Result>(next: Promise<Result>, ms: number, action: string): Promise<Result> {
  const stalled = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => stalled.reject(new IncompleteDownloadError(`${action} stalled: less than 1 KiB a second came`)),
    Math.max(0, ms),
  );
  try {
    return await Promise.race([next, stalled.promise]);
  } finally {
    clearTimeout(timer);
  }
}
