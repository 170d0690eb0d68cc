/** What a local stack is to build, read out of its template. */
import type { AlarmPlan } from '../services/cloudwatch/alarm-rule.ts';
import type { EventRule } from '../services/eventbridge/events.ts';
import type { PolicyStatement } from '../services/iam.ts';
import type { TopicPlan } from '../services/sns/topics.ts';

export interface BucketPlan {
  path: string;
  name: string;
  isVersioned: boolean;
  sendsEvents: boolean;
}

export interface TablePlan {
  path: string;
  name: string;
  /** Input of CreateTable. */
  definition: { TableName: string } & Record<string, unknown>;
  ttlAttribute?: string | undefined;
}

export interface QueuePlan {
  path: string;
  name: string;
  arn: string;
  attributes: Record<string, string>;
  deadLetterQueueName?: string | undefined;
}

export interface FunctionPlan {
  path: string;
  name: string;
  arn: string;
  roleArn: string;
  handler: string;
  taskRoot: string;
  timeoutMs: number;
  memoryMb: number;
  environment: Record<string, string>;
  reservedConcurrency?: number | undefined;
  allowsRecursion: boolean;
}

export interface EventSourcePlan {
  queueName: string;
  functionName: string;
  batchSize: number;
  maxConcurrency?: number | undefined;
  reportsItemFailures: boolean;
}

/** A URL that anybody may call. */
export interface UrlPlan {
  /** The resource that the URL is of. */
  name: string;
  functionName: string;
  /** Of an HTTP API: its one route, such as `POST /`. */
  routeKey?: string | undefined;
  /** ARN of the function, if only callers with rights of their own may call it. */
  signedFor?: string | undefined;
}

export interface SecretPlan {
  path: string;
  name: string;
  arn: string;
  initialValue?: string | undefined;
}

/** Everything that is built. */
export interface StackPlan {
  buckets: BucketPlan[];
  tables: TablePlan[];
  queues: QueuePlan[];
  functions: FunctionPlan[];
  eventSources: EventSourcePlan[];
  rules: EventRule[];
  /** Targets of rules that are not in the stack, named by their ARN: what is meant for them goes nowhere here. */
  undelivered: string[];
  secrets: SecretPlan[];
  urls: UrlPlan[];
  alarms: AlarmPlan[];
  topics: TopicPlan[];
  /** Identity policies by ARN of the role, or of a managed policy by its own. */
  statementsOf(arn: string): readonly PolicyStatement[];
}
