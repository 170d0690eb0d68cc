/** OpenAI: batches, files and single calls. */
import type { BatchLevelError, OpenAIBatchStatus } from '../model/batch.ts';
import type { TokenUsage } from '../model/usage.ts';
import type { Deadline } from './ambient.ts';
import type { ByteStream } from './objects.ts';

/** An OpenAI batch, as read. */
export interface RemoteBatch {
  id: string;
  status: OpenAIBatchStatus;
  inputFileId: string;
  outputFileId?: string;
  errorFileId?: string;
  errors?: BatchLevelError[];
  progress?: { total: number; completed: number; failed: number };
  metadata: Record<string, string>;
  /** Epoch milliseconds. */
  createdAt: number;
  /** When its requests began to be executed, epoch milliseconds; absent where that did not happen or is not said. */
  startedAt?: number;
  /** Epoch milliseconds; absent where the service does not say. */
  expiresAt?: number;
  /** Of the whole batch, once it has ended; absent where the service does not say. */
  usage?: TokenUsage;
}

/** An input file at OpenAI, as listed. */
export interface RemoteFile {
  id: string;
  filename: string;
  /** Epoch milliseconds. */
  createdAt: number;
}

/** An API of OpenAI's, as it is used with each API key: what belongs to one key is never asked of another one. */
export interface ByKey<Api> {
  /**
   * The API with one key.
   * @param name of the key: see `apiKeyOf`. With one that this deployment has no secret for, every call throws
   * {@link ApiKeyUnknownError} and sends nothing.
   * @param deadline every call ends by then, retries included, and none begins later. Default: each kind of call has a
   * longest time of its own.
   */
  withKey(name: string, deadline?: Deadline): Api;
}

/**
 * OpenAI's Files and Batch API, or one compatible with it, as it is used with one API key.
 *
 * A `keyVersion` names the version of the key's secret whose key is to be used first, because only keys of the same project see
 * a file or a batch. Where that key is refused or does not know what is asked for, the current key is tried. Without one,
 * the current key is used.
 */
export interface BatchApi {
  /**
   * Uploads an input file with the current key. `bytes` must be the exact length of `body`.
   * @returns the file's id, the size that OpenAI counted where it tells, and which key it was.
   * @throws {UploadRefusedError} if OpenAI said no.
   */
  uploadFile(file: {
    filename: string;
    bytes: number;
    body: ByteStream;
  }): Promise<{ id: string; bytes?: number; keyVersion?: string }>;
  /**
   * Creates a batch, once: never retried by the client, and with no other key than that of `keyVersion`.
   * @throws {CreateRefusedError} if OpenAI said no, so that surely no batch exists; anything else leaves it unknown.
   */
  createBatch(batch: {
    inputFileId: string;
    endpoint: string;
    metadata: Record<string, string>;
    keyVersion?: string;
  }): Promise<RemoteBatch>;
  /** Asks OpenAI to cancel a batch; one that has ended or is not known is fine. What was finished is kept. */
  cancelBatch(id: string, keyVersion?: string): Promise<void>;
  /**
   * `undefined` if a key that is accepted does not know it, and no other one does.
   * @throws {KeyUnusableError} if no key is accepted.
   */
  getBatch(id: string, keyVersion?: string): Promise<RemoteBatch | undefined>;
  /**
   * One page of the batches of one key's project, newest first in practice. With a `keyVersion`, no other key is tried.
   * @returns which key it was, too. `isCut`: there is more, but the service gives nothing to continue from.
   * @throws {KeyUnusableError} if the key of `keyVersion` is refused or not kept.
   */
  listBatches(
    after?: string,
    keyVersion?: string,
  ): Promise<{ batches: RemoteBatch[]; next?: string; isCut?: boolean; keyVersion?: string }>;
  /**
   * Reads a result file.
   * @param options.from leaves out so many bytes at the start. Default: 0. They still come over the network if the
   * service gives whole files only.
   * @returns its bytes and, where OpenAI tells, the length to expect of the whole file.
   * @throws {KeyUnusableError} if no key is accepted.
   */
  readFile(
    id: string,
    options?: { from?: number; keyVersion?: string | undefined },
  ): Promise<{ body: ByteStream; bytes?: number }>;
  /** One page of the input files of one key's project, whoever uploaded them; as {@link listBatches}. */
  listFiles(
    after?: string,
    keyVersion?: string,
  ): Promise<{ files: RemoteFile[]; next?: string; keyVersion?: string }>;
  /**
   * What OpenAI says of a file: `undefined` if it does not know it; `bytes` is absent where it does not tell.
   * @throws {KeyUnusableError} if no key is accepted.
   */
  fileSize(id: string, keyVersion?: string): Promise<{ bytes?: number } | undefined>;
  /** Deletes a file of ours; a missing one is fine. */
  deleteFile(id: string, keyVersion?: string): Promise<void>;
}

/** OpenAI's endpoints that answer at once, or one compatible with them, as they are called with one API key. */
export interface CallApi {
  /**
   * One call, never repeated by the client.
   * @param request.endpoint such as `/v1/responses`.
   * @param request.body JSON.
   * @throws {CallUnansweredError} if no answer came, in `timeoutMs` or at all.
   */
  call(request: { endpoint: string; body: string; timeoutMs: number }): Promise<CallAnswer>;
}

/** What came back from a call, whatever the status. */
export interface CallAnswer {
  status: number;
  /** `x-request-id`. */
  requestId?: string;
  /** The body as it came: JSON, as far as it is. */
  body: string;
  /** How long OpenAI asks to wait, in ms. */
  retryAfterMs?: number;
  /** The account's limits for the model, where the answer tells. */
  requestsPerMinute?: number;
  tokensPerMinute?: number;
}
