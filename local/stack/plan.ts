/** What a local stack is to build, read out of its template. */
import type { AlarmPlan } from '../services/cloudwatch/alarm-rule.ts';
import type { DashboardPlan } from '../services/cloudwatch/operations.ts';
import type { EventRule } from '../services/eventbridge/events.ts';
import type { TopicPlan } from '../services/sns/topics.ts';
import type { StackPolicies } from './policies.ts';

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
  /** Name of the log group that the template gives it. */
  logGroup?: string | undefined;
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

/** A URL, of a function or of an HTTP API in front of it. */
export interface UrlPlan {
  /** The resource that the URL is of. */
  name: string;
  functionName: string;
  functionArn: string;
  /** Of an HTTP API: its one route, such as `POST /`. */
  routeKey?: string | undefined;
  /** Only callers with rights of their own may call it. */
  isSigned: boolean;
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
  dashboards: DashboardPlan[];
  topics: TopicPlan[];
  /** What every call is held against. */
  policies: StackPolicies;
}
