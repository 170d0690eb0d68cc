/** The functions of a stack, and the event sources that bring them messages. */
import { SQSClient } from '@aws-sdk/client-sqs';
import type { Run } from '../services/cloudwatch/lambda-metrics.ts';
import { createAccountConcurrency } from '../services/lambda/concurrency.ts';
import { startEventSource } from '../services/lambda/event-sources.ts';
import { createLocalFunction, type LocalFunction } from '../services/lambda/runtime-api.ts';
import type { Invocation } from '../services/lambda/sandbox.ts';
import { ACCOUNT_ID, REGION } from './account.ts';
import type { LocalEndpoints } from './local-stack.ts';
import type { OpenAiRelay } from './openai-relay.ts';
import type { LocalStackOptions } from './options.ts';
import type { EventSourcePlan, FunctionPlan, StackPlan } from './plan.ts';
import { noFunction, type Roles } from './roles.ts';
import { accessTo, type Services } from './services.ts';
import type { StateFolder } from './state-folder.ts';

/** AWS: Lambda begins with five pollers for a queue. */
const DEFAULT_CONCURRENCY = 5;

/** What the functions are made with. */
export interface FunctionsInput {
  options: LocalStackOptions;
  folder: StateFolder;
  roles: Roles;
  services: Pick<Services, 'plan' | 'callers' | 'endpoints' | 'cloudwatch'>;
  /** What the functions call in place of OpenAI, if their calls are observed. */
  relay: OpenAiRelay | undefined;
}

/** The functions of a stack by physical name, and the concurrency that they share. */
export type Functions = ReturnType<typeof createFunctions>;

/**
 * Makes the functions; no process is started yet.
 *
 * @throws when the options name a function that is not there
 */
export function createFunctions(input: FunctionsInput) {
  const { options, roles, services } = input;
  const { plan } = services;
  const unknown = Object.keys(options.functions ?? {}).find((role) => roles.functions[role] === undefined);
  if (unknown !== undefined) throw new Error(noFunction(unknown, roles));
  const concurrency = createAccountConcurrency(
    options.concurrency ?? Number.POSITIVE_INFINITY,
    new Map(
      plan.functions.flatMap(({ name, reservedConcurrency }) =>
        reservedConcurrency === undefined ? [] : [[name, Number(reservedConcurrency)] as const],
      ),
    ),
  );
  const byName: ReadonlyMap<string, LocalFunction> = new Map(
    plan.functions.map((each) => {
      const role = roles.of(each.path);
      const { onLog } = options;
      const mayLog = onceAsked(each, services.callers);
      const local = createLocalFunction(settingsOf(each, role, input), {
        maxConcurrency: processesOf(each, plan, options.deliver?.twice === 'at-once'),
        concurrency: concurrency.shareOf(each.name),
        logFile: input.folder.path('logs', `${role}.log`),
        onLog: (line) => {
          mayLog();
          services.cloudwatch.readLog(line);
          onLog?.(line, role);
        },
        onRun: (invocation) => services.cloudwatch.countRun(runOf(each.name, invocation, options)),
        environmentOf: observedEnvironment(input.relay),
      });
      return [each.name, local] as const;
    }),
  );
  return { byName, concurrency };
}

/** Lambda writes log lines by the role of the function: asks at the first line whether that may. */
function onceAsked({ name, logGroup }: FunctionPlan, callers: Services['callers']): () => void {
  let isAsked = logGroup === undefined;
  return () => {
    if (isAsked) return;
    isAsked = true;
    const resource = `arn:aws:logs:${REGION}:${ACCOUNT_ID}:log-group:${logGroup}:log-stream:local`;
    for (const action of ['logs:CreateLogStream', 'logs:PutLogEvents'])
      callers.authorize(callers.keyOf(name).accessKeyId, {
        action,
        resource,
        context: { 'aws:SecureTransport': 'true' },
      });
  };
}

/** A run as CloudWatch counts it: Lambda's metrics have the time at which the run began. */
function runOf(functionName: string, invocation: Invocation, { now = Date.now }: LocalStackOptions): Run {
  const { durationMs } = invocation;
  const failed = !invocation.ok && invocation.isThrottled === true ? 'throttled' : 'failed';
  return { functionName, at: now() - durationMs, end: invocation.ok ? 'succeeded' : failed, durationMs };
}

/** A function as the template has it, with what the options change, and where its services are. */
function settingsOf(plan: FunctionPlan, role: string, { options, folder, services }: FunctionsInput) {
  const {
    taskRoot = plan.taskRoot,
    timeoutMs = plan.timeoutMs,
    memoryMb = plan.memoryMb,
    environment,
  } = options.functions?.[role] ?? {};
  const key = services.callers.keyOf(plan.name);
  return {
    ...plan,
    taskRoot,
    timeoutMs,
    memoryMb,
    now: options.now,
    tempRoot: folder.path('tmp'),
    environment: {
      ...plan.environment,
      ...environment,
      ...endpointVariables(services.endpoints),
      AWS_REGION: REGION,
      AWS_DEFAULT_REGION: REGION,
      AWS_ACCESS_KEY_ID: key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
      OPENAI_BASE_URL: options.openai.baseUrl,
    },
  };
}

/** Each process calls the relay by a URL of its own, which says which process it is. */
function observedEnvironment(relay: OpenAiRelay | undefined) {
  return relay && ((sessionToken: string) => ({ OPENAI_BASE_URL: relay.baseUrlFor(sessionToken) }));
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
function processesOf(
  { name, reservedConcurrency }: FunctionPlan,
  plan: StackPlan,
  isEachDoubled: boolean,
): number {
  const sources = plan.eventSources.filter((source) => source.functionName === name);
  const wanted = sources.reduce((sum, { maxConcurrency = DEFAULT_CONCURRENCY }) => sum + maxConcurrency, 0);
  return reservedConcurrency ?? Math.max(wanted, DEFAULT_CONCURRENCY) * (isEachDoubled ? 2 : 1);
}

/** What the event sources are started with. */
interface EventSourcesInput {
  options: LocalStackOptions;
  services: Pick<Services, 'plan' | 'sqs' | 'callers'>;
  functions: ReadonlyMap<string, LocalFunction>;
  report: (text: string) => void;
}

/** Starts the event sources. */
export function startEventSources({ options, services, functions, report }: EventSourcesInput) {
  const access = accessTo(services.sqs.endpoint);
  const ownSqs = new SQSClient(access);
  const clients = [ownSqs];
  const sources = services.plan.eventSources.map((source) => {
    const sqs = new SQSClient({ ...access, credentials: services.callers.keyOf(source.functionName) });
    clients.push(sqs);
    return startEventSource({
      sqs,
      ownSqs,
      target: functions.get(source.functionName)!,
      settings: sourceSettings(source, services, options.deliver ?? {}),
      onProblem: report,
    });
  });
  return {
    /** Deliveries under way. */
    get active(): number {
      return sources.reduce((sum, source) => sum + source.active, 0);
    },
    /** Receives no more, and ends the functions with what they do: a source waits for its function. */
    async stop(): Promise<void> {
      const sourcesStopped = sources.map((source) => source.stop());
      await Promise.all([...functions.values()].map((each) => each.stop()));
      await Promise.all(sourcesStopped);
      for (const client of clients) client.destroy();
    },
  };
}

function sourceSettings(
  source: EventSourcePlan,
  { plan, sqs }: Pick<Services, 'plan' | 'sqs'>,
  deliver: NonNullable<LocalStackOptions['deliver']>,
) {
  const queue = plan.queues.find(({ name }) => name === source.queueName)!;
  const target = plan.functions.find(({ name }) => name === source.functionName)!;
  const deadLetters = queue.deadLetterQueueName;
  const { twice = false } = deliver;
  return {
    queueUrl: sqs.queueUrl(queue.name),
    queueArn: queue.arn,
    deadLetterQueueUrl: deadLetters === undefined ? undefined : sqs.queueUrl(deadLetters),
    batchSize: source.batchSize,
    maxConcurrency: source.maxConcurrency ?? DEFAULT_CONCURRENCY,
    reportsItemFailures: source.reportsItemFailures,
    allowsRecursion: target.allowsRecursion,
    delivery: twice === 'at-once' ? 'at-once' : twice ? 'twice' : 'once',
    retryAfterSeconds: deliver.retryAfterSeconds,
    throttledForSeconds: deliver.throttledForSeconds,
  } as const;
}
