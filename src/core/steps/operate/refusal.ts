import type { OperateRefusal, RefusalCode } from '../../../contract/operate.ts';
import type { Job } from '../../model/job.ts';

/** HTTP status of each refusal. */
const STATUS_OF: Readonly<Record<RefusalCode, number>> = {
  not_understood: 400,
  no_caller: 403,
  no_such_job: 404,
  no_such_route: 404,
  job_is_live: 409,
  job_is_forgotten: 410,
  nothing_to_retry: 409,
  results_replaced: 409,
  other_bucket: 409,
  needs_acknowledgement: 409,
  busy: 409,
  failed: 500,
};

/** An act is not carried out; nothing was changed. */
export class RefusedAct extends Error {
  readonly code: RefusalCode;
  readonly #more: Pick<OperateRefusal, 'mayHaveBeenPaid' | 'knows'>;

  /** @param message for a person: what was read, and what to do. */
  constructor(
    code: RefusalCode,
    message: string,
    more: Pick<OperateRefusal, 'mayHaveBeenPaid' | 'knows'> = {},
  ) {
    super(message);
    this.code = code;
    this.#more = more;
  }

  /** HTTP status of the answer. */
  get status(): number {
    return STATUS_OF[this.code];
  }

  /** The answer. */
  get answer(): OperateRefusal {
    return { v: 1, ok: false, code: this.code, message: this.message, ...this.#more };
  }
}

/** For a job that the table does not have. */
export function noSuchJob(jobId: string): RefusedAct {
  return new RefusedAct(
    'no_such_job',
    `There is no job ${jobId} in this stack; receipts and logs name jobs by "jobId".`,
  );
}

/** For a job that another worker, or another act, has at this moment. */
export function busy(jobId: string): RefusedAct {
  return new RefusedAct(
    'busy',
    `Another worker has job ${jobId} at this moment; repeat this in three minutes, with the job id.`,
  );
}

/**
 * A stack that was moved to another bucket keeps the records of before, and has no rights on the objects of before.
 * @throws {RefusedAct} if the job is of another bucket than the stack.
 */
export function requireOwnBucket({ bucket }: { bucket: string }, { jobId, input }: Job): void {
  if (input.bucket === bucket) return;
  throw new RefusedAct(
    'other_bucket',
    `Job ${jobId} is of the bucket ${input.bucket}, and this stack has ${bucket} now: nothing was changed. What it has left is ` +
      `in s3://${input.bucket}, below the same prefixes: use AWS's own tools there, or deploy the stack with that bucket again.`,
  );
}
