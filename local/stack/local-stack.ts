/** A running local stack, as its users see it. */
import type { WatchedAlarm } from '../services/cloudwatch/alarm-rule.ts';
import type { FunctionStats } from '../services/lambda/runtime-api.ts';
import type { Invocation } from '../services/lambda/sandbox.ts';
import type { Notification } from '../services/sns/topics.ts';
import type { QueueDepth } from '../services/sqs/sqs.ts';
import type { FunctionCall, OtherPrincipal } from './callers.ts';

/** Where the services listen: `http://127.0.0.1:PORT`. */
export interface LocalEndpoints {
  /** Of S3. */
  s3: string;
  /** Of DynamoDB. */
  dynamodb: string;
  /** Of SQS. */
  sqs: string;
  /** Of EventBridge. */
  events: string;
  /** Of Secrets Manager. */
  secretsManager: string;
  /** Of CloudWatch: metrics and alarms. */
  cloudwatch: string;
  /** Of the URLs that anybody may call; whole in `outputs`. */
  functionUrls: string;
}

/** What was built. Keys are logical roles: `ingest`, `submit`, …; dead-letter queues are `ingest-dead-letters`. */
export interface LocalResources {
  /** Name of the bucket; the first if there are several. */
  bucket: string;
  /** Name of the table; the first if there are several. */
  table: string;
  /** The queues, dead-letter queues included. */
  queues: Record<string, { name: string; url: string; arn: string }>;
  /** The functions; `taskRoot` is the folder of the bundle that runs. */
  functions: Record<string, { name: string; arn: string; taskRoot: string; memoryMb: number }>;
  /** The secrets. Their values are not here. */
  secrets: Record<string, { name: string; arn: string }>;
}

/** A running stack. */
export interface LocalStack {
  /** ARN; its last part is the same in every run over the same folder. */
  stackId: string;
  /** The region that every service takes itself to be in. */
  region: string;
  /** Where the services listen. */
  endpoints: LocalEndpoints;
  /** Of the person at the machine: may do everything. */
  credentials: { accessKeyId: string; secretAccessKey: string };
  /**
   * Credentials of another person: whose only rights are these managed policies of the template.
   *
   * @param policyArns as outputs of the template name them
   */
  credentialsWith(policyArns: readonly string[]): { accessKeyId: string; secretAccessKey: string };
  /** Credentials of a function: what its role may do. @param functionName role or physical name */
  credentialsOf(functionName: string): { accessKeyId: string; secretAccessKey: string };
  /** Credentials of a role or a user of another account. @throws for an ARN of this account */
  credentialsOfOther(other: OtherPrincipal): { accessKeyId: string; secretAccessKey: string };
  /** Names and ARNs of what was built. */
  resources: LocalResources;
  /** The outputs of the template, as `cdk deploy` would print them. */
  outputs: Record<string, string>;
  /** Targets of rules that are not in the stack, by their ARN: what is meant for them is not delivered here. */
  undelivered: readonly string[];
  /** What the functions have done since the start, by role. */
  stats: Record<string, FunctionStats>;
  /** Invocations at a time, of all functions together: the limit, those running now, and the most that ever ran. */
  concurrency: { readonly limit: number; readonly running: number; readonly peak: number };
  /** The template's alarms with their states, evaluated up to now by the stack's clock. */
  alarms(): readonly WatchedAlarm[];
  /** Takes a line as if a function had logged it: its embedded metrics count. */
  readLog(line: string): void;
  /** Messages to SNS topics since the start, the first first; `logs/notifications.jsonl` has those of every run. */
  readonly notifications: readonly Notification[];
  /** Calls that functions made and their roles allow, and those that were refused: missing grants in `lib/`. */
  calls: { readonly allowed: readonly FunctionCall[]; readonly denied: readonly FunctionCall[] };
  /**
   * Runs a function and gives how that ended; a failing function does not reject.
   *
   * @param functionName role or physical name
   * @throws when there is no such function
   */
  invoke(functionName: string, event: unknown): Promise<Invocation>;
  /**
   * Runs the schedules now and waits for their functions.
   *
   * @param ruleName physical name of one rule; all without it
   * @throws when there is none
   */
  runSchedule(ruleName?: string): Promise<Invocation[]>;
  /**
   * Resolves when nothing runs and every queue with a consumer is empty, messages in flight counted: a message that
   * failed counts until it has been dealt with or is a dead letter. Messages that are delayed for longer than 20
   * seconds do not count.
   *
   * @throws when `signal` aborts, saying what was still running
   */
  idle(signal?: AbortSignal): Promise<void>;
  /** Messages of a queue by state. @param queueName role or physical name */
  queueDepth(queueName: string): QueueDepth;
  /** Kills the processes of one function or of all (SIGKILL); the next invocation gets a fresh one. */
  killFunctions(functionName?: string): Promise<void>;
  /** Ends everything; what runs is killed. */
  stop(): Promise<void>;
}
