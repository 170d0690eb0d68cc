/**
 * Errors, sorted by what the caller does next. A bad request line is not an error but an outcome; a bad input file is a
 * {@link Rejection}. What is thrown is either one of these, which is caught by name, or a fault that the queue
 * tries again.
 */

/** Base of every error that batchdrop throws on purpose. */
export class BatchdropError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The input object or its version does not exist any more: the job is rejected, not tried again. */
export class ObjectGoneError extends BatchdropError {}

/** S3 has the object and does not give it; the message says why and what to do. A person may change that. */
export class ObjectUnreadableError extends BatchdropError {
  readonly key: string;
  /** S3's error code, such as `InvalidObjectState`; `403` of an answer without one. */
  readonly code: string;

  constructor(message: string, key: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.key = key;
    this.code = code;
  }
}

/** Whether an object cannot be read, now or ever: for reads that only improve a message. */
export function isUnavailable(error: unknown): error is ObjectGoneError | ObjectUnreadableError {
  return error instanceof ObjectGoneError || error instanceof ObjectUnreadableError;
}

/** An object gives more or fewer bytes than it is known to have. */
export class ObjectSizeError extends BatchdropError {}

/**
 * A suspended write cannot be resumed: its upload was given up, or ended already, or another worker wrote to it.
 * The object has to be written from its beginning.
 */
export class UploadGoneError extends BatchdropError {}

/** What a refusal is about, where OpenAI's code does not say so. */
export type RefusalTopic =
  /** The input file of a create is not known, or not processed, yet. */
  | 'file_not_ready'
  /** The account has no room for another file. */
  | 'storage_full';

/** OpenAI answered no, so that nothing was made: safe to try again, later. */
export class RefusedError extends BatchdropError {
  /** HTTP status of the answer. */
  readonly status: number;
  /** OpenAI's error code, if it gave one. */
  readonly code: string | undefined;
  readonly topic: RefusalTopic | undefined;

  constructor(message: string, status: number, code: string | undefined, topic?: RefusalTopic) {
    super(message);
    this.status = status;
    this.code = code;
    this.topic = topic;
  }
}

/** A call to OpenAI got no answer. */
export class CallUnansweredError extends BatchdropError {
  /** Whether OpenAI may have got the request, executed it, and charged it. */
  readonly mayBeCharged: boolean;

  constructor(message: string, mayBeCharged: boolean, options?: ErrorOptions) {
    super(message, options);
    this.mayBeCharged = mayBeCharged;
  }
}

/** OpenAI did not take a file. */
export class UploadRefusedError extends RefusedError {}

/** OpenAI has another number of bytes of an uploaded file than were sent. Upload it again. */
export class UploadIncompleteError extends BatchdropError {}

/** OpenAI did not create a batch. */
export class CreateRefusedError extends RefusedError {}

/**
 * The secret holds no key that could be used, so nothing was sent. Needs a person; the message says which command to
 * run.
 */
export class ApiKeyMissingError extends BatchdropError {}

/**
 * The deployment has no secret for a key that a job was created with. Nothing was sent, with this key or another one.
 */
export class ApiKeyUnknownError extends ApiKeyMissingError {}

/**
 * A version of the API key cannot be used any more: it was revoked, or is not kept. What it saw may be there all the
 * same, so that nothing follows from not seeing it.
 */
export class KeyUnusableError extends BatchdropError {}

/** Whether it says that a key cannot be used, whatever is to be done with it. */
export function isApiKeyError(error: unknown): error is ApiKeyMissingError | KeyUnusableError {
  return error instanceof ApiKeyMissingError || error instanceof KeyUnusableError;
}

/** Our code for a create that was refused with a key which has been replaced since its file was uploaded. */
export const KEY_REPLACED = 'api_key_replaced';

/** What was fetched is not what OpenAI has (cut short, or not whole lines): fetch it again. */
export class IncompleteDownloadError extends BatchdropError {}

/** A job was forgotten, or is being forgotten: nothing of it may be recorded (again). */
export class JobForgottenError extends BatchdropError {
  readonly jobId: string;

  constructor(jobId: string) {
    super(`job ${jobId} was forgotten, or is being forgotten: nothing of it is recorded`);
    this.jobId = jobId;
  }
}

/** A stored file of ours is damaged or missing. Needs a person. */
export class CorruptWorkFileError extends BatchdropError {}

/**
 * Not now: the batch waits for `delayMs`, in its record. Thrown within a step only: see step-failure.ts.
 */
export class NotYetError extends BatchdropError {
  readonly delayMs: number;

  constructor(message: string, delayMs: number) {
    super(message);
    this.delayMs = delayMs;
  }
}

/** The work does not fit into one invocation, and cannot be divided. */
export class OutOfTimeError extends BatchdropError {}
