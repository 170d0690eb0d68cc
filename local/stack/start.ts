/**
 * The deployed stack on one machine: reads what `cdk synth` wrote and builds it from local services.
 *
 * ```
 * S3 --event--> EventBridge --rule--> SQS --mapping--> function (its bundle, in processes of its own)
 *                 |  ^                                    |
 *                 |  +------------- PutEvents ------------+--> S3, DynamoDB, SQS, Secrets Manager
 *                 +--schedule--> function
 * ```
 *
 * All state is in one folder and survives a restart, also after a kill between any two steps:
 *
 * - `s3/`, `dynamodb/`, `sqs/`: objects with the events that are not delivered yet, tables, queues with messages. An
 *   object's event is in S3's journal until it is in the queue's database: it may come twice and is never lost.
 * - `secrets.json`: values that were put; only the user may read it. The key given to `startLocalStack` is not written.
 * - `logs/<function>.log`, `tmp/` (emptied at start), `stack-id`, `lock`.
 *
 * What is not there: IAM conditions, encryption, TLS, lifecycle rules, batching windows, alarms, log retention.
 */

import { resolve as resolvePath } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { SQSClient } from '@aws-sdk/client-sqs';
import { apiKeySecretsPrefix } from '../../src/contract/api-key.ts';
import { startDynamoDb } from '../services/dynamodb/server.ts';
import { type BusEvent, startEvents } from '../services/eventbridge/events.ts';
import type { Authorize } from '../services/iam.ts';
import type { ServiceCall } from '../services/interception.ts';
import { createAccountConcurrency } from '../services/lambda/concurrency.ts';
import { startEventSource } from '../services/lambda/event-sources.ts';
import {
  createLocalFunction,
  type FunctionStats,
  type LocalFunction,
} from '../services/lambda/runtime-api.ts';
import type { Invocation } from '../services/lambda/sandbox.ts';
import { S3Error } from '../services/s3/errors.ts';
import { startS3 } from '../services/s3/server.ts';
import { startSecrets } from '../services/secrets/secrets.ts';
import { type QueueDepth, startSqs } from '../services/sqs/sqs.ts';
import { createCallers, type FunctionCall, OPERATOR } from './callers.ts';
import { nameResources } from './names.ts';
import { startOpenAiRelay } from './openai-relay.ts';
import { ensureBuckets, ensureTables, freeDeadClaims } from './provision.ts';
import { openStateFolder } from './state-folder.ts';
import { loadStack } from './template.ts';
import { planStack, type StackPlan } from './wiring.ts';

/** A call of one of the functions, which {@link LocalStackOptions.onCall} sees. */
export interface ObservedCall extends Omit<ServiceCall, 'sessionToken'> {
  /** Role of the function: `ingest`, `submit`, … */
  functionName: string;
}

/** What a test may set otherwise than the template says. */
export interface FunctionOverrides {
  timeoutMs?: number | undefined;
  memoryMb?: number | undefined;
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
   * What the functions call as OpenAI, and the keys that the stack's secrets then hold (in memory only): the stack's own, and
   * those that routes name. @default `apiKey` stands for those that `apiKeys` leaves out
   */
  openai: { baseUrl: string; apiKey: string; apiKeys?: Readonly<Record<string, string>> };
  /** Interval of the schedules; `manual`: only `runSchedule`. Default: what the template says. */
  scheduleEveryMs?: number | 'manual' | undefined;
  /** Fixed ports; default: the system chooses. */
  ports?: Partial<Record<keyof LocalEndpoints, number>> | undefined;
  /** Gets each line that a function writes, and with the source `stack` each problem of the stack itself. */
  onLog?: ((line: string, source: string) => void) | undefined;
  /** Sees every event that reaches EventBridge. */
  onEvent?: ((event: BusEvent) => void) | undefined;
  /**
   * Clock of the functions, of S3 and of the table's time to live, in milliseconds; must run as fast as the machine's, and
   * may leap ahead while no function runs. Queues keep the machine's time. Clients of S3 find out by themselves (the SDK
   * corrects its clock). @default Date.now
   */
  now?: (() => number) | undefined;
  /**
   * How many invocations the account runs at a time; above it they are throttled, as Lambda does. AWS gives 1,000 by default
   * and new accounts as few as 10. @default no limit
   */
  concurrency?: number | undefined;
  /** By role: what differs from the template. */
  functions?: Record<string, FunctionOverrides> | undefined;
  /**
   * Sees every call that a function makes to the services and to OpenAI, before and after its effect. `kill` ends the
   * process that makes the call at that moment (SIGKILL): `before`, the call never happens; `after`, it has happened and
   * nobody was told.
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
         * Seconds until a failed message is visible again, whatever the function asked for. Default: as in AWS, what the
         * function asked for, or the rest of the visibility timeout.
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

/** Where the services listen: `http://127.0.0.1:PORT`. */
export interface LocalEndpoints {
  s3: string;
  dynamodb: string;
  sqs: string;
  events: string;
  secretsManager: string;
}

/** What was built. Keys are logical roles: `ingest`, `submit`, …; dead-letter queues are `ingest-dead-letters`. */
export interface LocalResources {
  /** Name of the bucket; the first if there are several. */
  bucket: string;
  /** Name of the table; the first if there are several. */
  table: string;
  queues: Record<string, { name: string; url: string; arn: string }>;
  functions: Record<string, { name: string; arn: string; taskRoot: string; memoryMb: number }>;
  secrets: Record<string, { name: string; arn: string }>;
}

/** A running stack. */
export interface LocalStack {
  /** ARN; its last part is the same in every run over the same folder. */
  stackId: string;
  region: string;
  endpoints: LocalEndpoints;
  /** Of the person at the machine: may do everything. */
  credentials: { accessKeyId: string; secretAccessKey: string };
  resources: LocalResources;
  /** The outputs of the template, as `cdk deploy` would print them. */
  outputs: Record<string, string>;
  /** Targets of rules that are not in the stack, by their ARN: what is meant for them is not delivered here. */
  undelivered: readonly string[];
  /** What the functions have done since the start, by role. */
  stats: Record<string, FunctionStats>;
  /** Invocations at a time, of all functions together: the limit, those running now, and the most that ever ran. */
  concurrency: { readonly limit: number; readonly running: number; readonly peak: number };
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
   * Resolves when nothing runs and every queue with a consumer is empty, messages in flight counted: a message that failed
   * counts until it has been dealt with or is a dead letter. Messages that are delayed for longer than 20 seconds do not count.
   *
   * @throws when `signal` aborts, saying what was still going on
   */
  idle(signal?: AbortSignal): Promise<void>;
  /** Messages of a queue by state. @param queueName role or physical name */
  queueDepth(queueName: string): QueueDepth;
  /** Kills the processes of one function or of all (SIGKILL); the next invocation gets a fresh one. */
  killFunctions(functionName?: string): Promise<void>;
  /** Ends everything; what runs is killed. */
  stop(): Promise<void>;
}

const REGION = 'us-east-1';
const ACCOUNT_ID = '000000000000';

/** AWS: Lambda begins with five pollers for a queue. */
const DEFAULT_CONCURRENCY = 5;

/** See `deliver.idleDelaySeconds`. */
const IDLE_DELAY_SECONDS = 20;
/** How often {@link LocalStack.idle} looks. */
const IDLE_CHECK_MS = 15;

/**
 * Starts the stack.
 *
 * @throws when the template cannot be built here or would not work in AWS (one error names every mistake), and when
 *   another stack uses the folder
 */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const synthesized = loadStack(options.cdkOut, options.stackName);
  const folder = openStateFolder(resolvePath(options.dir));
  /** Ends what has been started, the latest first. */
  const started: (() => unknown)[] = [folder.release];
  const stop = async () => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    return await build();
  } catch (error) {
    await stop();
    throw error;
  }

  async function build(): Promise<LocalStack> {
    const { stackName } = synthesized;
    const stackId = `arn:aws:cloudformation:${REGION}:${ACCOUNT_ID}:stack/${stackName}/${folder.id}`;
    const say = (text: string) => options.onLog?.(text, 'stack');
    const access = (endpoint: string) => ({ endpoint, region: REGION, credentials: OPERATOR });

    const functions = Promise.withResolvers<ReadonlyMap<string, LocalFunction>>();
    /** The function whose process has the security token, by its role. */
    let callerOf = (_sessionToken: string): { role: string; local: LocalFunction } | undefined => undefined;
    const { onCall } = options;
    const intercept =
      onCall &&
      (({ sessionToken, ...call }: ServiceCall): 'cut' | undefined => {
        const caller = callerOf(sessionToken);
        if (caller === undefined || onCall({ ...call, functionName: caller.role }) !== 'kill')
          return undefined;
        caller.local.killProcess(sessionToken);
        return 'cut';
      });
    const { baseUrl } = options.openai;
    const relay = intercept && (await startOpenAiRelay({ baseUrl, intercept }));
    started.push(() => relay?.close());

    // SQS first: the template's queue URLs hold its port. The callers follow from the template.
    const sqs = await startSqs({
      dir: folder.path('sqs'),
      port: options.ports?.sqs,
      authorize: (...call) => authorize(...call),
      intercept,
    });
    started.push(sqs.close);
    const account = { accountId: ACCOUNT_ID, region: REGION, stackName, stackId };
    const named = nameResources(synthesized.template, account, sqs.queueUrl);
    const plan = planStack(synthesized, named);
    const callers = createCallers(plan, say);
    const authorize: Authorize = callers.authorize;
    for (const { name, attributes } of plan.queues) sqs.ensureQueue(name, attributes);

    const dynamodb = await startDynamoDb({
      dir: folder.path('dynamodb'),
      port: options.ports?.dynamodb,
      ...(options.now === undefined ? {} : { now: options.now }),
      authorize,
      intercept,
    });
    started.push(dynamodb.close);
    await ensureTables(plan.tables, access(dynamodb.endpoint), options.dir);
    // The folder is locked: the process that holds anything in its table is dead, now and once the functions have been stopped.
    const freeClaims = () =>
      freeDeadClaims(plan.tables, access(dynamodb.endpoint), options.now?.() ?? Date.now());
    await freeClaims();
    started.push(freeClaims);

    const secrets = await startSecrets({
      file: folder.path('secrets.json'),
      port: options.ports?.secretsManager,
      authorize,
      intercept,
    });
    started.push(secrets.close);
    const { apiKey, apiKeys } = options.openai;
    for (const secret of plan.secrets) {
      const name = apiKeyNameOf(secret, folder.id);
      const memoryValue = (name === undefined ? undefined : apiKeys?.[name]) ?? apiKey;
      secrets.ensureSecret({ ...secret, memoryValue });
    }

    const twice = options.deliver?.twice ?? false;
    const events = await startEvents({
      port: options.ports?.events,
      rules: plan.rules,
      sendToQueue: sqs.send,
      // S3 may send an event of the last run before the functions are there.
      invokeFunction: async (name, event) => (await functions.promise).get(name)!.invoke(event),
      scheduleEveryMs: options.scheduleEveryMs,
      deliverTwice: twice !== false,
      authorize,
      onEvent: options.onEvent,
      intercept,
    });
    started.push(events.close);

    const s3 = await startS3({
      dir: folder.path('s3'),
      ...(options.ports?.s3 === undefined ? {} : { port: options.ports.s3 }),
      credentials: callers.secrets,
      region: REGION,
      ...(options.now === undefined ? {} : { now: options.now, signatureNow: options.now }),
      onEvent: events.publish,
      intercept,
      onCall({ accessKeyId, ...call }) {
        const reason = authorize(accessKeyId, call);
        if (reason !== undefined) throw new S3Error('AccessDenied', reason);
      },
    });
    started.push(s3.close);
    await ensureBuckets(plan.buckets, access(s3.endpoint));

    const endpoints: LocalEndpoints = {
      s3: s3.endpoint,
      dynamodb: dynamodb.endpoint,
      sqs: sqs.endpoint,
      events: events.endpoint,
      secretsManager: secrets.endpoint,
    };
    const roles = nameRoles(plan);
    const overrides = options.functions ?? {};
    const unknown = Object.keys(overrides).find((role) => roles.functions[role] === undefined);
    if (unknown !== undefined) throw new Error(noFunction(unknown, roles));
    const concurrency = createAccountConcurrency(
      options.concurrency ?? Number.POSITIVE_INFINITY,
      new Map(
        plan.functions.flatMap(({ name, reservedConcurrency }) =>
          reservedConcurrency === undefined ? [] : [[name, Number(reservedConcurrency)] as const],
        ),
      ),
    );
    const all = new Map(
      plan.functions.map((each) => {
        const role = roles.of(each.path);
        const { timeoutMs = each.timeoutMs, memoryMb = each.memoryMb, environment } = overrides[role] ?? {};
        const key = callers.keyOf(each.name);
        const settings = {
          ...each,
          timeoutMs,
          memoryMb,
          now: options.now,
          tempRoot: folder.path('tmp'),
          environment: {
            ...each.environment,
            ...environment,
            ...endpointVariables(endpoints),
            AWS_REGION: REGION,
            AWS_DEFAULT_REGION: REGION,
            AWS_ACCESS_KEY_ID: key.accessKeyId,
            AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
            OPENAI_BASE_URL: baseUrl,
          },
        };
        const { onLog } = options;
        const local = createLocalFunction(settings, {
          maxConcurrency: processesOf(each.name, plan, twice === 'at-once'),
          concurrency: concurrency.shareOf(each.name),
          logFile: folder.path('logs', `${role}.log`),
          onLog: onLog === undefined ? undefined : (line) => onLog(line, role),
          environmentOf: relay && ((sessionToken) => ({ OPENAI_BASE_URL: relay.baseUrlFor(sessionToken) })),
        });
        return [each.name, local] as const;
      }),
    );
    callerOf = (sessionToken) => {
      // A token is the name of its function, a dot, and what tells the processes apart.
      const caller = plan.functions.find(({ name }) => sessionToken.startsWith(`${name}.`));
      return caller && { role: roles.of(caller.path), local: all.get(caller.name)! };
    };
    functions.resolve(all);

    const sqsClient = new SQSClient(access(sqs.endpoint));
    const sources = plan.eventSources.map((source) => {
      const queue = plan.queues.find(({ name }) => name === source.queueName)!;
      const target = plan.functions.find(({ name }) => name === source.functionName)!;
      const deadLetters = queue.deadLetterQueueName;
      return startEventSource({
        sqs: sqsClient,
        target: all.get(target.name)!,
        settings: {
          queueUrl: sqs.queueUrl(queue.name),
          queueArn: queue.arn,
          deadLetterQueueUrl: deadLetters === undefined ? undefined : sqs.queueUrl(deadLetters),
          batchSize: source.batchSize,
          maxConcurrency: source.maxConcurrency ?? DEFAULT_CONCURRENCY,
          reportsItemFailures: source.reportsItemFailures,
          allowsRecursion: target.allowsRecursion,
          delivery: twice === 'at-once' ? 'at-once' : twice ? 'twice' : 'once',
          retryAfterSeconds: options.deliver?.retryAfterSeconds,
          throttledForSeconds: options.deliver?.throttledForSeconds,
        },
        onProblem: say,
      });
    });
    started.push(async () => {
      // The sources wait for their functions to end, so these are killed meanwhile.
      const sourcesStopped = sources.map((source) => source.stop());
      await Promise.all([...all.values()].map((each) => each.stop()));
      await Promise.all(sourcesStopped);
      sqsClient.destroy();
    });

    const functionNamed = (name: string): LocalFunction => {
      const found = all.get(roles.functions[name]?.name ?? name);
      if (found !== undefined) return found;
      throw new Error(noFunction(name, roles));
    };
    const consumed = new Set(plan.eventSources.map(({ queueName }) => queueName));
    /** What is going on, one phrase each; empty when idle. */
    const idleDelayMs = (options.deliver?.idleDelaySeconds ?? IDLE_DELAY_SECONDS) * 1_000;
    const activity = (): string[] => [
      ...[...all.values()].filter(({ active }) => active > 0).map(({ name }) => `${name} runs`),
      ...sources.filter(({ active }) => active > 0).map(() => 'a message is being delivered'),
      ...(events.active > 0 ? ['an event is being delivered'] : []),
      ...[...consumed].flatMap((name) => {
        const { ready, delayed, inFlight } = sqs.depth(name);
        // A step that waits for minutes is at rest: the clock of a test may leap over that, and the sweep finds it then.
        if (ready + sqs.dueWithin(name, idleDelayMs) + inFlight === 0) return [];
        return [`queue ${name} has ${ready} ready, ${delayed} delayed, ${inFlight} in flight`];
      }),
    ];

    return {
      stackId,
      region: REGION,
      endpoints,
      credentials: OPERATOR,
      resources: {
        bucket: plan.buckets[0]?.name ?? '',
        table: plan.tables[0]?.name ?? '',
        queues: mapValues(roles.queues, ({ name, arn }) => ({ name, arn, url: sqs.queueUrl(name) })),
        functions: mapValues(roles.functions, ({ name, arn, taskRoot, memoryMb }) => ({
          name,
          arn,
          taskRoot,
          memoryMb,
        })),
        secrets: mapValues(roles.secrets, ({ name, arn }) => ({ name, arn })),
      },
      outputs: mapValues(synthesized.template.Outputs ?? {}, ({ Value }) => String(named.resolve(Value))),
      undelivered: plan.undelivered,
      stats: mapValues(roles.functions, ({ name }) => all.get(name)!.stats),
      concurrency,
      calls: callers,
      invoke: async (functionName, event) => functionNamed(functionName).invoke(event),
      runSchedule: events.runSchedule,
      async idle(signal) {
        while (activity().length > 0) {
          await wait(IDLE_CHECK_MS, undefined, signal === undefined ? {} : { signal }).catch(
            (error: Error) => {
              throw new Error(`The local stack is not idle: ${activity().join('; ')}.`, { cause: error });
            },
          );
        }
      },
      queueDepth: (queueName) => sqs.depth(roles.queues[queueName]?.name ?? queueName),
      async killFunctions(functionName) {
        const chosen = functionName === undefined ? [...all.values()] : [functionNamed(functionName)];
        await Promise.all(chosen.map((each) => each.kill()));
      },
      stop,
    };
  }
}

/** The variables that the AWS SDK reads, one for each service. */
function endpointVariables(endpoints: LocalEndpoints): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_S3: endpoints.s3,
    AWS_ENDPOINT_URL_DYNAMODB: endpoints.dynamodb,
    AWS_ENDPOINT_URL_SQS: endpoints.sqs,
    AWS_ENDPOINT_URL_EVENTBRIDGE: endpoints.events,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoints.secretsManager,
  };
}

/** How many processes a function has: its reserved concurrency, or what the event sources may use together. */
function processesOf(functionName: string, plan: StackPlan, isEachDoubled: boolean): number {
  const { reservedConcurrency } = plan.functions.find(({ name }) => name === functionName)!;
  const sources = plan.eventSources.filter((source) => source.functionName === functionName);
  const wanted = sources.reduce((sum, { maxConcurrency = DEFAULT_CONCURRENCY }) => sum + maxConcurrency, 0);
  return reservedConcurrency ?? Math.max(wanted, DEFAULT_CONCURRENCY) * (isEachDoubled ? 2 : 1);
}

/** Last parts of a construct path that only say what kind of thing it is. */
const KINDS = new Set(['Function', 'Queue', 'Secret', 'Bucket', 'Table']);

/** Names resources by what they are for: `Pipeline/IngestQueue/DeadLetters` is `ingest-dead-letters`. */
function nameRoles(plan: StackPlan) {
  const of = (path: string): string => {
    const parts = path.split('/');
    if (parts.length > 1 && KINDS.has(parts.at(-1)!)) parts.pop();
    // The construct around the whole pipeline.
    if (parts.length > 1) parts.shift();
    return parts
      .map((part) => part.replace(/(?<=.)Queue$/, '').replace(/(?<=[a-z0-9])(?=[A-Z])/g, '-'))
      .join('-')
      .toLowerCase();
  };
  const byRole = <Plan extends { path: string }>(plans: readonly Plan[]): Record<string, Plan> => {
    const named: Record<string, Plan> = {};
    for (const each of plans) {
      const role = of(each.path);
      // Two of one role: the full path tells them apart.
      named[Object.hasOwn(named, role) ? each.path : role] = each;
    }
    return named;
  };
  return {
    of,
    functions: byRole(plan.functions),
    queues: byRole(plan.queues),
    secrets: byRole(plan.secrets),
  };
}

/** Which API key a secret is for, as its name says. */
function apiKeyNameOf({ name }: { name: string }, stackUuid: string): string | undefined {
  const prefix = apiKeySecretsPrefix(stackUuid);
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
}

function noFunction(name: string, { functions }: ReturnType<typeof nameRoles>): string {
  return `There is no function "${name}" in the stack (there are: ${Object.keys(functions).join(', ')}).`;
}

function mapValues<From, To>(
  record: Readonly<Record<string, From>>,
  map: (value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
