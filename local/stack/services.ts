/** The services of a stack, started one after the other with the resources that its template has. */
import { apiKeySecretsPrefix } from '../../src/contract/api-key.ts';
import { webhookSecretsPrefix } from '../../src/contract/webhooks.ts';
import { type CloudWatch, startCloudWatch } from '../services/cloudwatch/cloudwatch.ts';
import { notificationOf } from '../services/cloudwatch/notification.ts';
import { QueueSampler } from '../services/cloudwatch/queue-metrics.ts';
import { startDynamoDb } from '../services/dynamodb/server.ts';
import { startEvents } from '../services/eventbridge/events.ts';
import type { Authorize } from '../services/iam/policy.ts';
import type { Intercept } from '../services/interception.ts';
import { startFunctionUrls, type UrlTarget } from '../services/lambda/function-urls.ts';
import type { LocalFunction } from '../services/lambda/runtime-api.ts';
import { S3Error } from '../services/s3/errors.ts';
import { startS3 } from '../services/s3/server.ts';
import { startSecrets } from '../services/secrets/secrets.ts';
import { createTopics } from '../services/sns/topics.ts';
import { type Sqs, startSqs } from '../services/sqs/sqs.ts';
import { ACCOUNT_ID, REGION } from './account.ts';
import { CALL_RECORDS_VARIABLE, openCallRecords } from './call-records.ts';
import { type Callers, createCallers, OPERATOR } from './callers.ts';
import type { LocalEndpoints } from './local-stack.ts';
import { nameStack } from './names.ts';
import type { LocalStackOptions } from './options.ts';
import type { StackPlan, UrlPlan } from './plan.ts';
import { ensureBuckets, ensureTables, freeDeadClaims, type ServiceAccess } from './provision.ts';
import type { StateFolder } from './state-folder.ts';
import type { SynthesizedStack } from './template.ts';
import { routeArn, URL_CALLS } from './urls.ts';
import { planStack } from './wiring.ts';
import { deliveryTo } from './wiring-problems.ts';

/** What the services are started with. */
export interface ServicesInput {
  synthesized: SynthesizedStack;
  options: LocalStackOptions;
  folder: StateFolder;
  stackId: string;
  intercept: Intercept | undefined;
  /** By physical name: S3 may send an event of the last run before the functions are there. */
  functions: Promise<ReadonlyMap<string, LocalFunction>>;
  /** Takes what ends each service, once that has been started. */
  onStarted: (end: () => unknown) => void;
  /** Takes each problem of the stack itself. */
  report: (text: string) => void;
}

/** What each service has in common with the others. */
type ServiceInput = ServicesInput & { plan: StackPlan; authorize: Authorize; callers: Callers };

/** The running services with their resources. */
export type Services = Awaited<ReturnType<typeof startServices>>;

/**
 * Starts the services and makes the resources that are not there yet.
 *
 * @throws when the template cannot be built here or would not work in AWS
 */
export async function startServices(input: ServicesInput) {
  const { synthesized, options, folder, stackId, intercept, report } = input;
  // SQS first: the template's queue URLs hold its port. The callers follow from the template.
  const sqs = await startSqs({
    dir: folder.path('sqs'),
    port: options.ports?.sqs,
    authorize: (...call) => callers.authorize(...call),
    intercept,
  });
  input.onStarted(sqs.close);
  const account = { accountId: ACCOUNT_ID, region: REGION, stackName: synthesized.stackName, stackId };
  // The template's outputs hold the port of this one.
  const targets = Promise.withResolvers<ReadonlyMap<string, UrlTarget>>();
  const urls = await startFunctionUrls({
    port: options.ports?.functionUrls,
    targets: targets.promise,
    access: {
      secretOf: (id) => callers.secretOf(id),
      arnOf: (id) => callers.arnOf(id),
      authorize: (...call) => callers.authorize(...call),
      now: options.now ?? Date.now,
    },
  });
  input.onStarted(urls.close);
  const named = nameStack(synthesized, account, sqs.queueUrl, urls.urlOf);
  const plan = planStack(synthesized, named, options.keyPolicies);
  void input.functions.then((functions) => targets.resolve(targetsOf(plan, functions, callers)));
  const records = openCallRecords(options.callRecords ?? process.env[CALL_RECORDS_VARIABLE]);
  records.held(plan.policies.grants);
  const callers = createCallers({ plan, records, onDenied: report });
  for (const { name, attributes } of plan.queues) sqs.ensureQueue(name, attributes);

  const shared: ServiceInput = { ...input, plan, authorize: callers.authorize, callers };
  const dynamodb = await startTables(shared);
  const secrets = await startSecretValues(shared);
  const events = await startBus(shared, sqs.send);
  const s3 = await startBuckets(shared, callers.secretOf, events.publish);
  const { cloudwatch, topics } = await startAlarms(shared, sqs);
  const endpoints: LocalEndpoints = {
    s3: s3.endpoint,
    dynamodb: dynamodb.endpoint,
    sqs: sqs.endpoint,
    events: events.endpoint,
    secretsManager: secrets.endpoint,
    cloudwatch: cloudwatch.endpoint,
    functionUrls: urls.endpoint,
  };
  return { named, plan, callers, sqs, events, cloudwatch, topics, endpoints };
}

async function startTables({ options, folder, plan, authorize, intercept, onStarted }: ServiceInput) {
  const dynamodb = await startDynamoDb({
    dir: folder.path('dynamodb'),
    port: options.ports?.dynamodb,
    now: options.now,
    authorize,
    intercept,
  });
  onStarted(dynamodb.close);
  await ensureTables(plan.tables, accessTo(dynamodb.endpoint), options.dir);
  // The folder is locked: the process that holds anything in its table is dead, now and once the functions have been
  // stopped.
  const freeClaims = () =>
    freeDeadClaims(plan.tables, accessTo(dynamodb.endpoint), options.now?.() ?? Date.now());
  await freeClaims();
  onStarted(freeClaims);
  return dynamodb;
}

async function startSecretValues({ options, folder, plan, authorize, intercept, onStarted }: ServiceInput) {
  const secrets = await startSecrets({
    file: folder.path('secrets.json'),
    port: options.ports?.secretsManager,
    authorize,
    intercept,
  });
  onStarted(secrets.close);
  const { apiKey, apiKeys, webhookSecrets } = options.openai;
  for (const secret of plan.secrets) {
    const signedFor = nameAfter(webhookSecretsPrefix(folder.id), secret);
    const name = nameAfter(apiKeySecretsPrefix(folder.id), secret);
    const memoryValue =
      signedFor === undefined
        ? ((name === undefined ? undefined : apiKeys?.[name]) ?? apiKey)
        : webhookSecrets?.[signedFor];
    secrets.ensureSecret({ ...secret, memoryValue });
  }
  return secrets;
}

async function startBus(
  { options, functions, plan, authorize, callers, intercept, onStarted }: ServiceInput,
  sendToQueue: (queueName: string, body: string) => void,
) {
  const events = await startEvents({
    port: options.ports?.events,
    rules: plan.rules,
    sendToQueue,
    mayDeliver: (rule, target) =>
      callers.authorizeService('events.amazonaws.com', rule.arn, deliveryTo(target, plan)!) === undefined,
    invokeFunction: async (name, event) => (await functions).get(name)!.invoke(event),
    scheduleEveryMs: options.scheduleEveryMs,
    deliverTwice: (options.deliver?.twice ?? false) !== false,
    authorize,
    onEvent: options.onEvent,
    intercept,
  });
  onStarted(events.close);
  return events;
}

async function startBuckets(
  { options, folder, plan, authorize, intercept, onStarted }: ServiceInput,
  credentials: Parameters<typeof startS3>[0]['credentials'],
  onEvent: Parameters<typeof startS3>[0]['onEvent'],
) {
  const s3 = await startS3({
    dir: folder.path('s3'),
    port: options.ports?.s3,
    credentials,
    region: REGION,
    now: options.now,
    signatureNow: options.now,
    onEvent,
    intercept,
    onCall({ accessKeyId, ...call }) {
      const reason = authorize(accessKeyId, call);
      if (reason !== undefined) throw new S3Error('AccessDenied', reason);
    },
  });
  onStarted(s3.close);
  await ensureBuckets(plan.buckets, accessTo(s3.endpoint));
  return s3;
}

/** CloudWatch with the template's alarms, and the topics that these tell. */
async function startAlarms({ options, folder, plan, authorize, onStarted }: ServiceInput, sqs: Sqs) {
  const now = options.now ?? Date.now;
  const { onAlarm, onNotification } = options;
  const file = folder.path('logs', 'notifications.jsonl');
  const topics = createTopics({ topics: plan.topics, file, now, sendToQueue: sqs.send, onNotification });
  const queues = new QueueSampler();
  const polled = new Set(plan.eventSources.map(({ queueName }) => queueName));
  const cloudwatch: CloudWatch = await startCloudWatch({
    port: options.ports?.cloudwatch,
    authorize,
    alarms: plan.alarms,
    dashboards: plan.dashboards,
    now,
    sample: (at) =>
      plan.queues.flatMap(({ name }) =>
        queues.sample(
          { queueName: name, ...sqs.depth(name), oldest: sqs.oldest(name), isPolled: polled.has(name) },
          at,
        ),
      ),
    onChange(change) {
      onAlarm?.(change);
      const { subject, message } = notificationOf(change, ACCOUNT_ID);
      for (const topicArn of change.alarm.actions[change.to]) topics.publish(topicArn, subject, message);
    },
  });
  onStarted(cloudwatch.close);
  return { cloudwatch, topics };
}

/** How the person at the machine reaches a service. */
export function accessTo(endpoint: string): ServiceAccess {
  return { endpoint, region: REGION, credentials: OPERATOR };
}

/** Which API key a secret is for, as its name says. */
function nameAfter(prefix: string, { name }: { name: string }): string | undefined {
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
}

function targetsOf(
  plan: StackPlan,
  functions: ReadonlyMap<string, LocalFunction>,
  callers: Callers,
): Map<string, UrlTarget> {
  return new Map(
    plan.urls.map((url) => [
      url.name,
      {
        function: functions.get(url.functionName)!,
        routeKey: url.routeKey,
        signedFor: url.isSigned ? url.functionArn : undefined,
        refusal: url.isSigned ? undefined : () => refusalOf(url, callers),
      },
    ]),
  );
}

/** Why the policy of a function does not let an unsigned request through its URL, or an API, reach it. */
function refusalOf({ name, routeKey, functionArn }: UrlPlan, callers: Callers): string | undefined {
  if (routeKey !== undefined) {
    const call = { action: 'lambda:InvokeFunction', resource: functionArn };
    return callers.authorizeService('apigateway.amazonaws.com', routeArn(name, routeKey), call);
  }
  return URL_CALLS.map((call) => callers.authorizeAnybody({ ...call, resource: functionArn })).find(
    (reason) => reason !== undefined,
  );
}
