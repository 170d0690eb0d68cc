/** The provider: batches, what they are made of, and single calls. */
import type { BatchLevelError, BatchStatus } from '../model/batch.ts';
import type { Begun, ResponseStatus } from '../model/response-status.ts';
import type { TokenUsage } from '../model/usage.ts';
import type { Deadline } from './ambient.ts';
import type { ByteStream } from './objects.ts';

/** A batch at the provider, as read. */
export interface RemoteBatch {
  id: string;
  status: BatchStatus;
  /** What the provider called the status, where its word is another one. */
  rawStatus?: string;
  /** Empty for a batch that was made without a file. */
  inputFileId: string;
  outputFileId?: string | undefined;
  errorFileId?: string | undefined;
  errors?: BatchLevelError[] | undefined;
  progress?: { total: number; completed: number; failed: number } | undefined;
  metadata: Record<string, string>;
  /** Epoch milliseconds. */
  createdAt: number;
  /** When its requests began to be executed, epoch milliseconds; absent where that did not happen or is not said. */
  startedAt?: number | undefined;
  /** Epoch milliseconds; absent where the service does not say. */
  expiresAt?: number | undefined;
  /** Of the whole batch, once it has ended; absent where the service does not say. */
  usage?: TokenUsage | undefined;
}

/** An input file at the provider, as listed. */
export interface RemoteFile {
  id: string;
  filename: string;
  /** Absent where the provider does not report it. */
  bytes?: number | undefined;
  /** Epoch milliseconds. */
  createdAt: number;
}

/** A model of the provider's, as listed. */
export interface RemoteModel {
  id: string;
  /** `YYYY-MM-DD`; absent where no end of it is announced. */
  shutdownDate?: string | undefined;
}

/** An API of the provider's, as it is used with each API key: what belongs to one key is never asked of another one. */
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

/** The requests of a batch, each on a line of its own, as the input file of a batch has them. */
export interface BatchInput {
  /** The exact length of {@link body}. */
  bytes: number;
  body: ByteStream;
}

/** What a batch is made of: a file that was uploaded, or the requests themselves. */
export type BatchSource = { inputFileId: string } | { input: BatchInput };

/**
 * The batch service of a provider, as it is used with one API key. Two of its methods are for providers that take the
 * requests of a batch as a file; one that takes them with the create has neither.
 *
 * A `keyVersion` names the version of the key's secret whose key is to be used first, because only keys of the same
 * project see a file or a batch. Where that key is refused or does not know what is asked for, the current key is
 * tried. Without one, the current key is used.
 */
export interface BatchService {
  /**
   * Uploads an input file with the current key.
   * @returns the file's id, the size that the provider reported, if any, and which key it was.
   * @throws {UploadRefusedError} if the provider said no.
   */
  uploadFile?(file: BatchInput & { filename: string }): Promise<UploadedFile>;
  /**
   * Creates a batch, once: never retried by the client, and with no other key than that of `keyVersion`.
   * @param batch.metadata marks the batch as ours, as far as `ProviderRules.ownership` says that the provider keeps it.
   * @param batch.completionWindow how long the provider may take, such as `24h`, which is the default.
   * @throws {CreateRefusedError} if the provider said no, so that surely no batch exists; anything else leaves it
   *   unknown.
   */
  createBatch(
    batch: BatchSource & {
      endpoint: string;
      metadata: Record<string, string>;
      keyVersion?: string | undefined;
      completionWindow?: string | undefined;
    },
  ): Promise<RemoteBatch>;
  /** Asks for a batch to be cancelled; one that has ended or is not known is fine. What was finished is kept. */
  cancelBatch(id: string, keyVersion?: string): Promise<void>;
  /** `undefined` if a key that is accepted does not know it, and no other one does. */
  getBatch(id: string, keyVersion?: string): Promise<RemoteBatch | undefined>;
  /**
   * One page of the batches of one key's project, newest first in practice. With a `keyVersion`, no other key is tried.
   * @returns which key it was, too. `isCut`: there is more, but the service gives nothing to continue from.
   * @throws {KeyUnusableError} if the key of `keyVersion` is refused or not kept.
   */
  listBatches(
    after?: string,
    keyVersion?: string,
  ): Promise<{
    batches: RemoteBatch[];
    next?: string | undefined;
    isCut?: boolean | undefined;
    keyVersion?: string | undefined;
  }>;
  /**
   * Reads results: lines in the form of OpenAI's output files, which is that of ours.
   * @param id as `outputFileId` or `errorFileId` of a batch names them.
   * @param options.from leaves out so many bytes at the start. Default: 0. They still come over the network if the
   * service gives whole files only.
   * @returns the bytes and, where the provider reports it, the length to expect of all of them.
   * @throws {KeyUnusableError} if no key is accepted.
   */
  readFile(
    id: string,
    options?: { from?: number; keyVersion?: string | undefined },
  ): Promise<{ body: ByteStream; bytes?: number | undefined }>;
  /** One page of the input files of one key's project, uploaded by any client; as {@link listBatches}. */
  listFiles?(
    after?: string,
    keyVersion?: string,
  ): Promise<{ files: RemoteFile[]; next?: string | undefined; keyVersion?: string | undefined }>;
  /**
   * What the provider says of a file: `undefined` if it does not know it; `bytes` is absent where it does not report
   * it.
   */
  fileSize(id: string, keyVersion?: string): Promise<{ bytes?: number | undefined } | undefined>;
  /** Deletes a file of ours; a missing one is fine. */
  deleteFile(id: string, keyVersion?: string): Promise<void>;
  /** The models that the current key may use; `undefined` if it may not ask, or the provider has no such list. */
  listModels?(): Promise<RemoteModel[] | undefined>;
}

/** An input file that was taken. */
export interface UploadedFile {
  id: string;
  bytes?: number | undefined;
  keyVersion?: string | undefined;
}

/** A {@link BatchService} that takes the requests of a batch as a file, as OpenAI's Files and Batch API does. */
export interface BatchApi extends BatchService {
  uploadFile(file: BatchInput & { filename: string }): Promise<UploadedFile>;
  createBatch(batch: {
    inputFileId: string;
    endpoint: string;
    metadata: Record<string, string>;
    keyVersion?: string | undefined;
    completionWindow?: string | undefined;
  }): Promise<RemoteBatch>;
  listFiles(
    after?: string,
    keyVersion?: string,
  ): Promise<{ files: RemoteFile[]; next?: string | undefined; keyVersion?: string | undefined }>;
}

/** The provider's endpoints that answer at once, as they are called with one API key. */
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
  requestId?: string | undefined;
  /** The body as it came: JSON, as far as it is. */
  body: string;
  /** How long OpenAI asks to wait, in ms. */
  retryAfterMs?: number | undefined;
  /** The account's limits for the model, where the answer reports them. */
  requestsPerMinute?: number | undefined;
  tokensPerMinute?: number | undefined;
}

/** A response that is made in the background, as read. */
export interface BackgroundResponse {
  id: string;
  /** A word that is new to us counts as `in_progress`: nothing final follows from it. */
  status: ResponseStatus;
  /** `false`: the provider used a word for its status that is new to us. */
  isStatusKnown: boolean;
  begun: Begun;
  /** `x-request-id` of the answer that brought it. */
  requestId?: string | undefined;
  /** Version of the key that was used: only keys of the same project see the response. */
  keyVersion?: string | undefined;
  /** As it came: JSON. */
  body: string;
  /** As the provider keeps it. */
  metadata: unknown;
}

/** What came back from a create. */
export interface CreateAnswer extends CallAnswer {
  /** The response that was made; absent where the provider refused. */
  response?: BackgroundResponse | undefined;
}

/**
 * The provider's responses that are made in the background, as they are used with one API key. There is no list of
 * them. A `keyVersion` is used as {@link BatchService} says.
 */
export interface BackgroundApi {
  /**
   * One create, never repeated by the client.
   * @param request.body JSON that asks for the background itself.
   * @throws {CallUnansweredError} if no answer came that says whether a response was made.
   */
  create(request: { endpoint: string; body: string; timeoutMs: number }): Promise<CreateAnswer>;
  /** `undefined` if a key that is accepted does not know it, and no other one does. */
  get(id: string, keyVersion?: string): Promise<BackgroundResponse | undefined>;
  /** Cancels it, if it has not ended. @returns the response as it is then; `undefined` as {@link get}. */
  cancel(id: string, keyVersion?: string): Promise<BackgroundResponse | undefined>;
  /** Deletes it at the provider; a missing one is fine. */
  remove(id: string, keyVersion?: string): Promise<void>;
}
