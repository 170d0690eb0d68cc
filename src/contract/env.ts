/**
 * The environment of each function: the only place where a name of an environment variable is spelled. `lib/` must
 * provide exactly these (the compiler and a test compare), `lambdas/` parse them at cold start.
 */
import * as z from 'zod';

const text = z.string().min(1);

const telemetry = {
  /** Powertools: the `service` of every log line. */
  POWERTOOLS_SERVICE_NAME: text,
  /** Name of the CloudFormation stack: by it people know the owner of a prefix, and metrics are distinguished. */
  STACK_NAME: text,
};

const common = {
  /** Unique id of this deployment (the UUID of its CloudFormation stack); marks what is ours at OpenAI. */
  STACK_ID: text,
  TABLE_NAME: text,
  BUCKET_NAME: text,
  /** Path of the file with the settings: see `settings-file.ts`. */
  SETTINGS_FILE: text,
  ...telemetry,
};

const queues = {
  INGEST_QUEUE_URL: text,
  SUBMIT_QUEUE_URL: text,
  CALL_QUEUE_URL: text,
  COLLECT_QUEUE_URL: text,
  FINALIZE_QUEUE_URL: text,
};

/**
 * Of the functions that work off a queue: they sweep when the poll is late, see `src/core/steps/poll/late-sweep.ts`.
 */
const consumer = {
  ...queues,
  /** How often the poll is to run. */
  POLL_INTERVAL_MINUTES: z.coerce.number().int().positive(),
};

const openai = {
  /** Another OpenAI-compatible service; read by the `openai` client itself. Default: OpenAI. */
  OPENAI_BASE_URL: z.url().optional(),
};

const heap = {
  /** Limits of the heap; read by Node itself. */
  NODE_OPTIONS: text,
};

export const ingestEnv = z.object({ ...common, ...consumer, EVENT_BUS_NAME: text });
export const submitEnv = z.object({
  ...common,
  ...openai,
  ...heap,
  ...consumer,
  /**
   * After how many seconds a create without an answer did not come about, if no list shows its batch; twice. Only for a
   * service that answers from memory and dies with its stack, as the local emulator. Default: the times of OpenAI.
   */
  CREATE_SETTLES_SECONDS: z.coerce.number().positive().optional(),
});
export const callEnv = z.object({ ...common, ...openai, ...consumer });
export const pollEnv = z.object({
  ...common,
  ...openai,
  /** How long the files of a job stay below `work/` after it has ended. */
  WORK_KEPT_DAYS: z.coerce.number().int().positive(),
  ...queues,
});
export const collectEnv = z.object({
  ...common,
  ...openai,
  ...heap,
  ...consumer,
});
export const finalizeEnv = z.object({
  ...common,
  ...openai,
  ...heap,
  ...consumer,
  EVENT_BUS_NAME: text,
});

export const observeEnv = z.object({
  ...common,
  ...openai,
  ...consumer,
  OBSERVE_QUEUE_URL: text,
});
/** What operators call. It has no API key. */
export const operateEnv = z.object({ ...common, ...queues });
/** The only function that anybody may call: it is given what it needs, and nothing else. */
export const webhookEnv = z.object({
  STACK_ID: text,
  OBSERVE_QUEUE_URL: text,
  /** Names of the API keys whose projects send webhooks, separated by commas. */
  WEBHOOK_API_KEYS: text,
  ...telemetry,
});

/** What of it log lines need; outside a function there is none of it. */
export const telemetryEnv = z.object({ STACK_NAME: text.optional() });

/** The variables that `lib/` must set for a schema: the same keys, each a string. */
export type EnvVars<Schema extends z.ZodObject> = { [Key in keyof z.input<Schema>]: string };
