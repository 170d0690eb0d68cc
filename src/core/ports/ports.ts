/**
 * What the domain needs from the world, named by intent. `src/adapters` implements each port on the real service and
 * in memory; one contract suite runs on both.
 */
import type { BatchMessage, JobCompleted, JobMessage, ObjectMessage } from '../../contract/messages.ts';
import type {
  BatchLevelError,
  BatchRecord,
  InputListing,
  Job,
  KeyVersion,
  Ledger,
  ListCursor,
  ObjectHead,
  OpenAIBatchStatus,
  Park,
  ParkProof,
  Reservation,
  SourceObject,
  TokenUsage,
} from '../model/model.ts';

/** A stream of bytes in chunks of any size. A chunk is valid until the next one is asked for, if nothing else is said. */
export type ByteStream = AsyncIterable<Uint8Array>;

/** Inputs and everything that batchdrop writes beside them. */
export interface ObjectStore {
  /** What stands at a key now, or at one version of it; `undefined` if there is nothing (any more). */
  head(bucket: string, key: string, versionId?: string): Promise<ObjectHead | undefined>;
  /**
   * Reads bytes `start` to `end` (exclusive; default: the end of the object).
   * @throws {ObjectGoneError} if the object or version does not exist.
   */
  read(source: SourceObject, start?: number, end?: number): Promise<ByteStream>;
  /** A small object whole, or `undefined`. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Writes a small object. With `ifAbsent`, `false` says that another writer was first and nothing was written. */
  put(
    key: string,
    body: Uint8Array,
    options?: { ifAbsent?: boolean; contentType?: string },
  ): Promise<boolean>;
  /**
   * Opens an object of any size for writing; it becomes visible, whole, when `close` returns.
   * @param options.resume what {@link ObjectWriter.suspend} gave for the same key: the writer goes on from there. One
   * state may be gone on from more than once: what was written after it by a worker that died is forgotten.
   */
  openWrite(key: string, options?: { contentType?: string; resume?: WriterState }): ObjectWriter;
  /** Copies an object as it stood at `input.etag` to a key below `work/`. */
  pin(input: ObjectHead, toKey: string): Promise<void>;
  /** Removes an object; a missing one is fine. */
  remove(key: string): Promise<void>;
}

/** What jobs leave below `work/`. */
export interface WorkFiles {
  /**
   * Removes some of the objects whose keys begin with `prefix`, at least one if there are any. A bucket that keeps versions keeps theirs.
   * @returns whether nothing is left.
   */
  removeBelow(prefix: string): Promise<boolean>;
}

/** What lies in the bucket. */
export interface Inputs {
  /**
   * A page of all versions of all objects below a prefix that can be read, in the order of their keys.
   * @param after what the page before gave as `next`.
   */
  listVersions(prefix: string, after?: ListCursor): Promise<{ versions: ObjectHead[]; next?: ListCursor }>;
  /**
   * A page of what is kept at exactly this key, newest first: objects in the order in which the store got them, also within
   * one second. A delete marker that is not the latest stands after the objects of its second.
   * @param after what the page before gave as `next`.
   */
  listKey(key: string, after?: ListCursor): Promise<{ versions: KeyVersion[]; next?: ListCursor }>;
}

/** The object that says which stack owns which prefix of the bucket. */
export interface OwnersStore {
  /** What stands there now, never an earlier state; `undefined` if nothing does. */
  readOwners(): Promise<{ body: string; etag: string } | undefined>;
  /**
   * Replaces what stands there, in 20 s at most.
   * @param etag of what was read; `undefined` if nothing was there.
   * @returns `false` if something else stands there, or may: nothing was written, read it again.
   */
  writeOwners(body: string, etag: string | undefined): Promise<boolean>;
}

/**
 * Writes one object front to back; memory does not grow with its size. After a failure a writer takes nothing more; one
 * that was resumed leaves what its state names as it was, so that the state can be gone on from once more.
 *
 * Every method but `abort` may throw {@link UploadGoneError} if the writer was resumed.
 */
export interface ObjectWriter {
  /** `bytes` may be used again once this returns. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Writes bytes `start` to `end` (exclusive) of an object that does not change. Long stretches do not pass through this
   * process.
   * @throws {ObjectGoneError} now or from a later call, if the object or version does not exist.
   */
  copy(source: SourceObject, start: number, end: number): Promise<void>;
  /**
   * Ends the work of this process on the object: everything that was written is safe, and `openWrite` goes on from what
   * this gives. The state keeps fewer than 5 MiB of the object's bytes. It can be gone on from for less than seven days,
   * after which the bucket gives up what was not ended.
   */
  suspend(): Promise<WriterState>;
  /** Makes the object visible and says how many bytes it has. */
  close(): Promise<number>;
  /**
   * Leaves nothing behind. Safe to call after a failure of any other method, and without effect after `suspend` and
   * `close`: to give up a suspended write, open it again and abort.
   */
  abort(): Promise<void>;
}

/** A write that waits to be taken up again: plain data, to be kept as it is. */
export interface WriterState {
  /** Bytes that the object has so far. */
  bytes: number;
  /** The last of them, which no part holds yet: fewer than 5 MiB. */
  tail: Uint8Array;
  /** Where the others are; absent while there are none. */
  upload?: { id: string; parts: WriterPart[] };
}

/** A part of an upload, by what must be said of it to complete. */
export interface WriterPart {
  etag: string;
  crc32?: string;
}

/** An update of a batch that holds only if nobody else moved it: see {@link JobStore.updateBatch}. */
export type BatchChanges = Partial<Omit<BatchRecord, 'v' | 'jobId' | 'batchId'>>;

/** What of a job changes. */
export type JobChanges = Partial<
  Pick<
    Job,
    | 'state'
    | 'claim'
    | 'claimedUntil'
    | 'ingest'
    | 'failing'
    | 'planKey'
    | 'rejection'
    | 'cancelledAt'
    | 'waitsFor'
    | 'merge'
    | 'duplicateOf'
    | 'duplicatesRun'
    | 'result'
    | 'receiptKey'
    | 'cost'
    | 'workRemovedAt'
  >
>;

/** Which live batches and jobs need to be looked at. */
export type LiveItem =
  | {
      kind: 'job';
      jobId: string;
      state: Job['state'];
      due: number;
      /** See {@link Job.waitsFor}. */
      waitsFor?: string;
      cancelledAt?: number;
    }
  | { kind: 'batch'; batch: BatchRecord; due: number };

/** A job, as it is recorded at a key without versions. */
export interface LatestJob {
  jobId: string;
  /** Epoch milliseconds, whole seconds. */
  lastModified: number;
}

/** Jobs and batches. Every write is conditional on what the caller read. */
export interface JobStore {
  /** Records the job unless it exists; gives the one that stands. */
  claimJob(job: Job): Promise<Job>;
  getJob(jobId: string): Promise<Job | undefined>;
  /**
   * Takes the job for one worker until `until`, as {@link claimBatch} takes a batch; `undefined` if it is in another
   * state or somebody has it.
   */
  takeJob(
    jobId: string,
    state: Job['state'],
    claim: string,
    now: number,
    until: number,
  ): Promise<Job | undefined>;
  /**
   * Writes changes if the job is still in `expected.state` and, where `expected.claim` is given, still taken by it. A
   * change to `undefined` removes the attribute. `false`: the expectation did not hold, nothing was written.
   */
  moveJob(
    jobId: string,
    expected: { state: Job['state']; claim?: string },
    changes: { [Key in keyof JobChanges]: JobChanges[Key] | undefined },
    now: number,
  ): Promise<boolean>;
  /**
   * Records the job that is the latest at a key of a bucket without versioning, unless a later one is recorded.
   * @param key bucket and key.
   * @returns the job that was the latest before it; `undefined` if there was none, if a later one is, or if two objects were
   * put within one second, so that nobody can tell. The same job gets the same answer again.
   */
  recordLatest(key: string, job: LatestJob): Promise<LatestJob | undefined>;
  /** Notes that a job is about to wait for its owner; once is enough. */
  addDuplicate(ownerId: string, jobId: string): Promise<void>;
  /** All jobs that were noted for an owner, whatever has become of them; in the order of their ids. */
  listDuplicates(ownerId: string): Promise<string[]>;
  /** Records a new batch. `false`: it exists already, nothing was written. */
  addBatch(batch: BatchRecord): Promise<boolean>;
  getBatch(jobId: string, batchId: string): Promise<BatchRecord | undefined>;
  /** Every batch of a job, consistent, ordered by batch id as text. */
  listBatches(jobId: string): Promise<BatchRecord[]>;
  /**
   * Writes changes if the batch is still in `expected.state` and, where `expected.claim` is given, still claimed by
   * it. A change to `undefined` removes the attribute. `undefined`: the expectation did not hold, nothing was written.
   */
  updateBatch(
    batch: Pick<BatchRecord, 'jobId' | 'batchId'>,
    expected: { state: BatchRecord['state']; claim?: string; openaiBatchId?: string },
    changes: { [Key in keyof BatchChanges]: BatchChanges[Key] | undefined },
    now: number,
  ): Promise<BatchRecord | undefined>;
  /** Takes the batch for one worker until `until`; `undefined` if it is in another state or somebody has it. */
  claimBatch(
    batch: Pick<BatchRecord, 'jobId' | 'batchId'>,
    state: BatchRecord['state'],
    claim: string,
    now: number,
    until: number,
  ): Promise<BatchRecord | undefined>;
  /** Planned batches, those of the oldest job first. A hint: the base record decides. */
  listWaiting(): AsyncIterable<BatchRecord>;
  /** Batches that wait at OpenAI. A hint: the base record decides. */
  listAtOpenAI(): AsyncIterable<BatchRecord>;
  /** Jobs and batches that are ours to move and have not moved by `now`. A hint: the base record decides. */
  listOverdue(now: number): AsyncIterable<LiveItem>;
  /**
   * Jobs that ended by `endedBy` and whose files below `work/` are not removed yet, those that ended first come first. A hint: the
   * base record decides.
   */
  listEnded(endedBy: number): AsyncIterable<Job>;
  /** Looks at an overdue item again not before `due`. */
  postpone(item: LiveItem, due: number): Promise<void>;
  /** Makes a claim on a batch hold until `until`, whatever state it is in. `false`: another worker has it, or nobody. */
  renewBatch(
    batch: Pick<BatchRecord, 'jobId' | 'batchId'>,
    claim: string,
    now: number,
    until: number,
  ): Promise<boolean>;
  /** The same for a job. */
  renewJob(jobId: string, claim: string, now: number, until: number): Promise<boolean>;
  /** Takes a named lease; the token grows with each holder. `undefined`: somebody holds it. */
  acquireLease(name: string, now: number, until: number): Promise<number | undefined>;
  /** Makes a named lease hold until `until`. `false`: it was given back, or another one has it. */
  renewLease(name: string, token: number, until: number): Promise<boolean>;
  /** Gives the lease back if the token still holds it. */
  releaseLease(name: string, token: number): Promise<void>;
  /** When a named lease was last taken, epoch ms, also if it has been given back since. `undefined`: never. */
  leaseTakenAt(name: string): Promise<number | undefined>;
  /**
   * Who may write the plain names of an input key. `granted`: this holder, until `until`; `superseded`: a version with a
   * greater `order`, or another owner, has published; `busy`: another holder is publishing.
   */
  acquirePublication(
    publication: Publication,
    now: number,
    until: number,
  ): Promise<'granted' | 'superseded' | 'busy'>;
  /** Makes a publication hold until `until`. `false`: another holder took over, or it has ended. */
  renewPublication(publication: Publication, until: number): Promise<boolean>;
  /** Gives a publication back that did not come about; nothing is superseded by it. One that is not held is fine. */
  abandonPublication(publication: Publication): Promise<void>;
  /**
   * Ends a publication that this holder still has: from now on, versions with a smaller `order` are superseded.
   * `false`: its time had run out and another holder took over, so what was written may be somebody else's by now.
   */
  releasePublication(publication: Publication): Promise<boolean>;
}

/** How much of a ledger is wanted. */
export interface Demand {
  ledger: string;
  amount: number;
  /** Granted if everything reserved and used, with `amount`, is not above this. */
  limit: number;
  /** Granted beyond the limit, too, if nothing else is reserved. */
  mayGoAlone?: boolean;
  /** Granted beyond the limit, too, to see whether OpenAI takes it. */
  probe?: Probe;
}

/** How a batch may be sent beyond what is proven. */
export interface Probe {
  jobId: string;
  bytes: number;
  /** So many may be unjudged at a time, with this one. */
  count: number;
  /** So many bytes of its job may be unjudged at a time, with this one. */
  jobBytes: number;
  /** Everything reserved and used, with this one, must not be above this. */
  most: number;
}

/**
 * Who may have how much of what is limited. Reservations and ledgers change together or not at all, so that their sums
 * always agree.
 */
export interface QuotaStore {
  /** `undefined` if nothing was ever written on it. */
  getLedger(name: string): Promise<Ledger | undefined>;
  /**
   * `planned -> admitted`: in one step, the batch moves on and all that it demands is reserved.
   * `full`: a ledger has no room; `moved`: the batch is not waiting any more, or in another tier than the one that was
   * judged. Nothing was written then.
   */
  admit(
    batch: Pick<BatchRecord, 'jobId' | 'batchId' | 'tier'>,
    reservationId: string,
    demands: readonly Demand[],
    now: number,
  ): Promise<'admitted' | 'full' | 'moved'>;
  /**
   * Gives back the enqueued tokens that a reservation holds; money stays held. `false`: it holds none (any more).
   */
  giveBackTokens(reservationId: string, now: number): Promise<boolean>;
  /**
   * Gives back all that a reservation still holds and books `used` on every ledger of it that is not one of tokens.
   * `false`: it was settled before, or never made; nothing was written.
   * @param used millionths of a USD. Default: 0.
   */
  settle(reservationId: string, now: number, used?: number): Promise<boolean>;
  /** Changes what is known of a ledger's limit, by a rule that may be asked again; `undefined` leaves it. */
  changeLedger(
    name: string,
    rule: (standing: Ledger | undefined) => LedgerLessons | undefined,
    now: number,
  ): Promise<void>;
  /**
   * The scopes that batches waited for when all that waits was last looked at, see `backlogScopesOf`. A hint, so that what
   * comes next does not have to look at all of it again.
   */
  getBacklog(): Promise<string[]>;
  /** Changes that, by a rule that may be asked again; `undefined` leaves it. */
  changeBacklog(rule: (standing: readonly string[]) => string[] | undefined): Promise<void>;
  /** Reservations that are not settled, oldest first. A hint: the base record decides. */
  listReservations(): AsyncIterable<Reservation>;
  /**
   * One of `perHour` turns that any 60 minutes have.
   * @returns 0 if it was granted and is counted, else the milliseconds until one may be free.
   */
  takeTurn(name: string, perHour: number, now: number): Promise<number>;
  /** How many turns are free at `now`. */
  turnsLeft(name: string, perHour: number, now: number): Promise<number>;
}

/** What a ledger learns from OpenAI's answers. */
export type LedgerLessons = {
  [Lesson in
    | 'limit'
    | 'limitLearnedAt'
    | 'ceiling'
    | 'refusals'
    | 'lastRefusal'
    | 'pausedUntil'
    | 'unjudged'
    | 'probes'
    | 'refusedAt'
    | 'sharedAt'
    | 'pace']?: Ledger[Lesson] | undefined;
};

/** How far the listing of inputs is. */
export interface ListingStore {
  /** `undefined` if there was none yet. */
  getListing(): Promise<InputListing | undefined>;
  /**
   * Writes what follows generation `next.generation - 1`.
   * @returns `false` if that is not what stands: somebody else wrote, and nothing was written.
   */
  putListing(next: InputListing): Promise<boolean>;
}

/** Scopes whose batches wait for a person. */
export interface ParkStore {
  /** The park of a scope; `undefined` if it is not parked. */
  getPark(scope: string): Promise<Park | undefined>;
  /** The parks of everything that is sent with an API key: of the key itself, and of its models. */
  getParks(apiKey: string): Promise<Park[]>;
  /** Parks a scope; one that is parked stays as it is, except for the reason. */
  park(scope: string, reason: string, provenBy: ParkProof, now: number): Promise<void>;
  /** Takes the right to send one batch of a parked scope. `false`: it is not time yet, or somebody else has taken it. */
  takeProbe(scope: string, now: number): Promise<boolean>;
  /** Lifts a park that `proof` refutes. `false`: there was none, or it takes more to refute it. */
  unpark(scope: string, proof: ParkProof, now: number): Promise<boolean>;
}

/** One worker's turn at the plain names of an input key. */
export interface Publication {
  /** The bucket and the names' common part. */
  name: string;
  /** Whose names they are: another input whose names come out the same never gets them. */
  owner: string;
  /** Sorts the versions of an input by age; compared as text. */
  order: string;
  /** A fresh id of this worker. */
  holder: string;
}

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
  /** What OpenAI says of a file: `undefined` if it does not know it; `bytes` is absent where it does not tell. */
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

/** When a message is delivered. */
export interface Delivery {
  /** Not before so many milliseconds have passed; a queue holds a message back for 15 minutes at most. @default 0 */
  delayMs?: number;
}

/** Hands work to the next function; delivered at least once, in any order. */
export interface Outbox {
  /** Takes a job up again whose ingest did not end, or looks at an object that has no job. */
  ingest(message: JobMessage | ObjectMessage, delivery?: Delivery): Promise<void>;
  submit(message: BatchMessage, delivery?: Delivery): Promise<void>;
  /** Calls the requests of a slice, one by one. */
  call(message: BatchMessage, delivery?: Delivery): Promise<void>;
  collect(message: BatchMessage, delivery?: Delivery): Promise<void>;
  finalize(message: JobMessage, delivery?: Delivery): Promise<void>;
}

/** Tells the outside that a job has ended. */
export interface JobEvents {
  completed(detail: JobCompleted): Promise<void>;
}

/** Local storage for a moment: a batch's result lines, while they are brought into input order. */
export interface Scratch {
  /** Opens an empty file. */
  open(): Promise<ScratchFile>;
}

/** Bytes that are appended, then read at random. */
export interface ScratchFile {
  /** How many bytes may be appended in all. */
  readonly roomBytes: number;
  /** `bytes` may be used again once this returns. */
  append(bytes: Uint8Array): Promise<void>;
  /** Fills `into` with what stands from `offset` on. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Removes the file. */
  dispose(): Promise<void>;
}

/** The only source of time and chance. */
export interface Ambient {
  /** Epoch milliseconds. */
  now(): number;
  /** A fresh id that nobody else has: 128 random bits, hex. */
  nonce(): string;
}

/**
 * Lets `ms` pass, or less if `signal` is aborted. As a step's `heartbeat` it is what renewing a lease waits by, which goes
 * on beside the step's work; as its `pause`, the work itself waits.
 */
export type Pause = (ms: number, signal?: AbortSignal) => Promise<void>;

/** How long the worker that a step runs in still lives. */
export interface Deadline {
  /** Milliseconds until it is ended, whatever it does. */
  remainingMs(): number;
}

/** What a step may report; never content. */
export interface Log {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
}
