/**
 * What an operator may ask of a stack, and what it answers: the requests to the URL of the function `operate`. A
 * request names the version of this contract; one of another version is refused, so that nobody writes records that
 * they do not understand.
 */
import * as z from 'zod';

/** The version of requests and answers. */
export const OPERATE_VERSION = 1;

/** The longest reason that is kept with an act. Ours. */
const MAX_REASON_CHARS = 200;

const v = z.literal(OPERATE_VERSION);
/** Why, for those who read it later. */
const reason = z.exactOptional(z.string().trim().min(1).max(MAX_REASON_CHARS));
const jobId = z.string().regex(/^[\w-]{1,64}$/, 'a job id has letters, digits, "-" and "_" only');
const routeName = z.exactOptional(z.string().min(1).max(100));
/** Said by a person who has read that requests may be paid for a second time. */
const acknowledge = z.exactOptional(z.literal('may_pay_twice'));

const requestSchemas = {
  /** Ends a job: what is finished is kept and paid for, the rest is not sent. */
  cancel: z.strictObject({
    v,
    action: z.literal('cancel'),
    jobId,
    /** What becomes of the jobs of the same content that wait for it. */
    duplicates: z.enum(['cancel', 'run']).default('cancel'),
    reason,
  }),
  /** Releases the batches of a job that are held, and gives up lost ones, where that is acknowledged. */
  resume: z.strictObject({ v, action: z.literal('resume'), jobId, acknowledge, reason }),
  /** Lifts a suspended scope: what waits for it is tried at once. */
  lift: z.strictObject({ v, action: z.literal('lift'), scope: z.string().min(1).max(300), reason }),
  /** Nothing new is sent of a route, or of the stack; what is live is collected. */
  pause: z.strictObject({ v, action: z.literal('pause'), route: routeName, reason }),
  /** Ends a pause. */
  unpause: z.strictObject({ v, action: z.literal('unpause'), route: routeName, reason }),
  /** Drops what did not succeed of a job that has ended as a new input. */
  retry: z.strictObject({
    v,
    action: z.literal('retry'),
    jobId,
    /** Which retry of the job it is: the same number again makes no second one, another number has to be acknowledged. */
    number: z.int().min(1).max(99).default(1),
    acknowledge,
    reason,
  }),
  /** Removes everything that a job that has ended has left, for good. */
  forget: z.strictObject({ v, action: z.literal('forget'), jobId, reason }),
};

/** One request. */
export const operateRequestSchema = z.discriminatedUnion('action', [
  requestSchemas.cancel,
  requestSchemas.resume,
  requestSchemas.lift,
  requestSchemas.pause,
  requestSchemas.unpause,
  requestSchemas.retry,
  requestSchemas.forget,
]);
export type OperateRequest = z.output<typeof operateRequestSchema>;
/** The same as it is sent: what has a default may be left out. */
export type OperateInput = z.input<typeof operateRequestSchema>;
export type OperateAction = OperateRequest['action'];

/** Every action that this version knows. */
export const OPERATE_ACTIONS = Object.keys(requestSchemas) as OperateAction[];

const done = { v, ok: z.literal(true) };
const time = z.iso.datetime();

const namedJob = z.object({ jobId: z.string(), key: z.string() });

/** What a pause says of itself. */
const pauseViewSchema = z.object({
  /** Absent: the whole stack. */
  route: z.string().optional(),
  by: z.string(),
  at: time,
  reason: z.string().optional(),
});

const answerSchemas = {
  cancel: z.object({
    ...done,
    action: z.literal('cancel'),
    /** `ended`: there was nothing left to cancel. */
    state: z.enum(['cancelling', 'ended']),
    /** Jobs of the same content that waited for it. */
    duplicates: z.array(z.string()),
  }),
  resume: z.object({
    ...done,
    action: z.literal('resume'),
    /** Batches that are sent again as soon as there is room. */
    released: z.array(z.string()),
    /** Lost batches that were given up: their requests run again, and may have been paid for. */
    givenUp: z.array(z.string()),
    /** Lost batches that are held until somebody acknowledges that. */
    lost: z.array(z.string()),
    /** Batches that wait for something that no release helps. */
    waiting: z.array(z.object({ batchId: z.string(), reason: z.string() })),
  }),
  lift: z.object({
    ...done,
    action: z.literal('lift'),
    state: z.enum(['lifted', 'not_suspended']),
  }),
  pause: z.object({
    ...done,
    action: z.literal('pause'),
    /** `paused_before`: `pause` says by whom; nothing was changed. */
    state: z.enum(['paused', 'paused_before']),
    pause: pauseViewSchema,
  }),
  unpause: z.object({ ...done, action: z.literal('unpause'), state: z.enum(['unpaused', 'not_paused']) }),
  retry: z.object({
    ...done,
    action: z.literal('retry'),
    /** `dropped_before`: by an earlier request with the same number. */
    state: z.enum(['dropped', 'dropped_before']),
    /** Key of the new input, which names the job; its results are named after it. */
    key: z.string(),
    number: z.int(),
  }),
  forget: z.object({
    ...done,
    action: z.literal('forget'),
    /** `forgotten_before`: there was nothing left of it. */
    state: z.enum(['forgotten', 'forgotten_before']),
    forgottenAt: time,
    /** What is not removed with it; empty if it was forgotten before. */
    remains: z.object({
      /** Jobs of what was dropped again of it: they hold the same requests. */
      retries: z.array(namedJob),
      /** Jobs that its results answered: their receipts name its files. */
      duplicates: z.array(namedJob),
      /** Keys of options beside its input that may be another file's. */
      options: z.array(z.string()),
      /** Files at OpenAI that could not be deleted when it ended, the first hundred. */
      openaiFiles: z.array(z.object({ id: z.string(), apiKey: z.string() })),
    }),
  }),
};

/** Why nothing was done. */
export const REFUSAL_CODES = [
  'not_understood',
  'no_caller',
  'no_such_job',
  'no_such_route',
  'job_is_live',
  'job_is_forgotten',
  'nothing_to_retry',
  'results_replaced',
  'other_bucket',
  'needs_acknowledgement',
  'busy',
  'failed',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** What is answered in place of an answer. */
export const operateRefusalSchema = z.object({
  v,
  ok: z.literal(false),
  code: z.enum(REFUSAL_CODES),
  /** For a person: what was read, and what to do. */
  message: z.string(),
  /** Of `needs_acknowledgement`: requests that may have been paid for, by cause. */
  mayHaveBeenPaid: z.record(z.string(), z.int()).optional(),
  /** Of `not_understood`: what this stack understands. */
  knows: z.object({ v: z.array(z.int()), actions: z.array(z.string()) }).optional(),
});
export type OperateRefusal = z.infer<typeof operateRefusalSchema>;

/** One answer. */
export const operateAnswerSchema = z.union([
  z.discriminatedUnion('action', [
    answerSchemas.cancel,
    answerSchemas.resume,
    answerSchemas.lift,
    answerSchemas.pause,
    answerSchemas.unpause,
    answerSchemas.retry,
    answerSchemas.forget,
  ]),
  operateRefusalSchema,
]);
export type OperateAnswer = z.infer<typeof operateAnswerSchema>;
/** The answer to a request that was carried out. */
export type Done<Action extends OperateAction> = z.infer<(typeof answerSchemas)[Action]>;
