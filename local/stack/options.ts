/** What a local stack is started with. */
import type { StateChange } from '../services/cloudwatch/alarm-rule.ts';
import type { BusEvent } from '../services/eventbridge/events.ts';
import type { ServiceCall } from '../services/interception.ts';
import type { Notification } from '../services/sns/topics.ts';
import type { LocalEndpoints } from './local-stack.ts';
import type { KeyPolicies } from './policies.ts';

/** A call of one of the functions, which {@link LocalStackOptions.onCall} sees. */
export interface ObservedCall extends Omit<ServiceCall, 'sessionToken'> {
  /** Role of the function: `ingest`, `submit`, … */
  functionName: string;
}

/** What a test or a debugger may set otherwise than the template says. */
export interface FunctionOverrides {
  /** Folder of a bundle that is run in place of the synthesized one. */
  taskRoot?: string | undefined;
  /** After this an invocation is ended. @default the template's timeout */
  timeoutMs?: number | undefined;
  /** Memory of its processes. @default the template's */
  memoryMb?: number | undefined;
  /** Variables beside those of the template, or in their place. */
  environment?: Record<string, string> | undefined;
}

/** What {@link startLocalStack} needs. */
export interface LocalStackOptions {
  /** Folder of all state, made if missing. One stack at a time. */
  dir: string;
  /** Folder that `cdk synth` wrote, see `ensureSynth`. */
  cdkOut: string;
  /** Which stack of the assembly; needed when it holds several. */
  stackName?: string | undefined;
  /**
   * What the functions call as OpenAI, and the keys that the stack's secrets then hold (in memory only): the stack's
   * own, and those that routes name. @default `apiKey` is used for those that `apiKeys` leaves out; signing secrets
   * of webhooks, by API key, are not set
   */
  openai: {
    baseUrl: string;
    apiKey: string;
    apiKeys?: Readonly<Record<string, string>> | undefined;
    webhookSecrets?: Readonly<Record<string, string>> | undefined;
  };
  /** Interval of the schedules; `manual`: only `runSchedule`. Default: what the template says. */
  scheduleEveryMs?: number | 'manual' | undefined;
  /** Fixed ports; default: the system chooses. */
  ports?: Partial<Record<keyof LocalEndpoints, number | undefined>> | undefined;
  /** Gets each line that a function writes, and with the source `stack` each problem of the stack itself. */
  onLog?: ((line: string, source: string) => void) | undefined;
  /**
   * Policies of KMS keys that are in no stack of the assembly, by ARN. @default what AWS gives a new key: the policies of the
   * account decide, and no service may use it by itself
   */
  keyPolicies?: KeyPolicies | undefined;
  /** Folder for what calls came to, see `call-records.ts`. @default BATCHDROP_CALL_RECORDS of the environment, if set */
  callRecords?: string | undefined;
  /** Sees every event that reaches EventBridge. */
  onEvent?: ((event: BusEvent) => void) | undefined;
  /** Called when an alarm of the template changes its state. */
  onAlarm?: ((change: StateChange) => void) | undefined;
  /** Called for each message to an SNS topic. */
  onNotification?: ((notification: Notification) => void) | undefined;
  /**
   * Clock of the functions, of S3, of the table's time to live and of CloudWatch, in milliseconds; must run as fast as the
   * machine's, and may leap ahead while no function runs. Queues keep the machine's time. Clients of S3 find out by
   * themselves (the SDK corrects its clock). @default Date.now
   */
  now?: (() => number) | undefined;
  /**
   * How many invocations the account runs at a time; above it they are throttled, as Lambda does. AWS gives 1,000 by
   * default and new accounts as few as 10. @default no limit
   */
  concurrency?: number | undefined;
  /** By role: what differs from the template. */
  functions?: Record<string, FunctionOverrides> | undefined;
  /**
   * Sees every call that a function makes to the services and to OpenAI, before and after its effect. `kill` ends the
   * process that makes the call at that moment (SIGKILL): `before`, the call never happens; `after`, it has happened
   * and the caller got no answer.
   */
  onCall?: ((call: ObservedCall) => 'kill' | undefined) | undefined;
  /** How messages and events are delivered. */
  deliver?:
    | {
        /**
         * `true`: every queue message and every event is delivered twice, one after the other; `at-once`: both
         * deliveries of a message run at the same time. Default: once.
         */
        twice?: boolean | 'at-once' | undefined;
        /**
         * Seconds until a failed message is visible again, whatever the function asked for. Default: as in AWS, what
         * the function asked for, or the rest of the visibility timeout.
         */
        retryAfterSeconds?: number | undefined;
        /**
         * Seconds until a message whose delivery was throttled is visible again. Default: as in AWS, the rest of the
         * visibility timeout.
         */
        throttledForSeconds?: number | undefined;
        /** {@link LocalStack.idle} waits for messages that are delayed by no more than this. Default: 20 seconds. */
        idleDelaySeconds?: number | undefined;
      }
    | undefined;
}
