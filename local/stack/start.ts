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
 * - `logs/<function>.log`, `logs/notifications.jsonl` (messages to SNS topics), `tmp/` (emptied at start), `stack-id`, `lock`.
 *
 * What is not there: encryption (rights on keys are looked at all the same), TLS, lifecycle rules, batching windows, log retention.
 */

import { resolve as resolvePath } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Intercept } from '../services/interception.ts';
import type { LocalFunction } from '../services/lambda/runtime-api.ts';
import { ACCOUNT_ID, REGION } from './account.ts';
import { OPERATOR } from './callers.ts';
import { createFunctions, type Functions, startEventSources } from './functions.ts';
import type { LocalResources, LocalStack } from './local-stack.ts';
import { startOpenAiRelay } from './openai-relay.ts';
import type { LocalStackOptions } from './options.ts';
import type { StackPlan } from './plan.ts';
import { nameRoles, noFunction, type Roles } from './roles.ts';
import { type Services, startServices } from './services.ts';
import { openStateFolder, type StateFolder } from './state-folder.ts';
import { loadStack, type SynthesizedStack } from './template.ts';

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
  const onStarted = (end: () => unknown) => started.push(end);
  try {
    return { ...(await build({ options, synthesized, folder, onStarted })), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface BuildInput {
  options: LocalStackOptions;
  synthesized: SynthesizedStack;
  folder: StateFolder;
  onStarted: (end: () => unknown) => void;
}

async function build(input: BuildInput): Promise<Omit<LocalStack, 'stop'>> {
  const { options, synthesized, folder, onStarted } = input;
  const stackId = `arn:aws:cloudformation:${REGION}:${ACCOUNT_ID}:stack/${synthesized.stackName}/${folder.id}`;
  const report = (text: string) => options.onLog?.(text, 'stack');
  const created = Promise.withResolvers<ReadonlyMap<string, LocalFunction>>();
  let ownerOf: ProcessOwner = () => undefined;
  const intercept = interceptFor(options.onCall, (sessionToken) => ownerOf(sessionToken));
  const relay = intercept && (await startOpenAiRelay({ baseUrl: options.openai.baseUrl, intercept }));
  onStarted(() => relay?.close());

  const services = await startServices({ ...input, stackId, intercept, functions: created.promise, report });
  const roles = nameRoles(services.plan);
  const functions = createFunctions({ options, folder, roles, services, relay });
  ownerOf = ownersOf(services.plan, roles, functions.byName);
  created.resolve(functions.byName);
  const sources = startEventSources({ options, services, functions: functions.byName, report });
  onStarted(sources.stop);

  const idleDelayMs = (options.deliver?.idleDelaySeconds ?? IDLE_DELAY_SECONDS) * 1_000;
  const { template } = synthesized;
  return {
    stackId,
    outputs: mapValues(template.Outputs ?? {}, ({ Value }) => String(services.named.resolve(Value))),
    ...describe(services, roles, functions),
    ...operate(services, roles, functions.byName),
    idle: (signal) => waitUntilIdle(() => activityOf(services, functions, sources, idleDelayMs), signal),
  };
}

/** The function whose process has the security token, by its role. */
type ProcessOwner = (sessionToken: string) => { role: string; local: LocalFunction } | undefined;

function ownersOf(plan: StackPlan, roles: Roles, functions: Functions['byName']): ProcessOwner {
  return (sessionToken) => {
    // A token is the name of its function, a dot, and a suffix that distinguishes the processes.
    const owner = plan.functions.find(({ name }) => sessionToken.startsWith(`${name}.`));
    return owner && { role: roles.of(owner.path), local: functions.get(owner.name)! };
  };
}

/** Shows each call of a function to the observer, and kills the process where the observer says so. */
function interceptFor(onCall: LocalStackOptions['onCall'], ownerOf: ProcessOwner): Intercept | undefined {
  if (onCall === undefined) return undefined;
  return ({ sessionToken, ...call }) => {
    const owner = ownerOf(sessionToken);
    if (owner === undefined || onCall({ ...call, functionName: owner.role }) !== 'kill') return undefined;
    owner.local.killProcess(sessionToken);
    return 'cut';
  };
}

/** What the stack is made of. */
function describe(
  { plan, callers, sqs, endpoints, cloudwatch, topics }: Services,
  roles: Roles,
  functions: Functions,
) {
  const resources: LocalResources = {
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
  };
  return {
    region: REGION,
    endpoints,
    credentials: OPERATOR,
    credentialsWith: callers.keyWith,
    credentialsOfOther: callers.keyOfOther,
    credentialsOf: (name: string) => callers.keyOf(roles.functions[name]?.name ?? name),
    resources,
    undelivered: plan.undelivered,
    stats: mapValues(roles.functions, ({ name }) => functions.byName.get(name)!.stats),
    concurrency: functions.concurrency,
    calls: callers,
    alarms: cloudwatch.alarms,
    readLog: cloudwatch.readLog,
    notifications: topics.notifications,
  };
}

/** What a person may do with the stack. */
function operate(
  { events, sqs }: Services,
  roles: Roles,
  functions: Functions['byName'],
): Pick<LocalStack, 'invoke' | 'runSchedule' | 'queueDepth' | 'killFunctions'> {
  const functionNamed = (name: string): LocalFunction => {
    const found = functions.get(roles.functions[name]?.name ?? name);
    if (found !== undefined) return found;
    throw new Error(noFunction(name, roles));
  };
  return {
    invoke: async (functionName, event) => functionNamed(functionName).invoke(event),
    runSchedule: events.runSchedule,
    queueDepth: (queueName) => sqs.depth(roles.queues[queueName]?.name ?? queueName),
    async killFunctions(functionName) {
      const chosen = functionName === undefined ? [...functions.values()] : [functionNamed(functionName)];
      await Promise.all(chosen.map((each) => each.kill()));
    },
  };
}

/** What is running, one phrase each; empty when idle. */
function activityOf(
  { plan, sqs, events }: Services,
  functions: Functions,
  sources: { readonly active: number },
  idleDelayMs: number,
): string[] {
  const consumed = new Set(plan.eventSources.map(({ queueName }) => queueName));
  return [
    ...[...functions.byName.values()].filter(({ active }) => active > 0).map(({ name }) => `${name} runs`),
    ...(sources.active > 0 ? ['a message is being delivered'] : []),
    ...(events.active > 0 ? ['an event is being delivered'] : []),
    ...[...consumed].flatMap((name) => {
      const { ready, delayed, inFlight } = sqs.depth(name);
      // A step that waits for minutes is at rest: the clock of a test may leap over that, and the sweep finds it then.
      if (ready + sqs.dueWithin(name, idleDelayMs) + inFlight === 0) return [];
      return [`queue ${name} has ${ready} ready, ${delayed} delayed, ${inFlight} in flight`];
    }),
  ];
}

async function waitUntilIdle(activity: () => string[], signal: AbortSignal | undefined): Promise<void> {
  while (activity().length > 0) {
    await wait(IDLE_CHECK_MS, undefined, signal && { signal }).catch((error: Error) => {
      throw new Error(`The local stack is not idle: ${activity().join('; ')}.`, { cause: error });
    });
  }
}

function mapValues<From, To>(
  record: Readonly<Record<string, From>>,
  map: (value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
