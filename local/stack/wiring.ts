/**
 * Reads out of the named template what the local stack has to build, and refuses what AWS would refuse or would
 * silently not deliver: a mistake in `lib/` fails at the start of the local stack.
 */
import { SECOND_MS } from '../../src/contract/time.ts';
import type { EventPattern } from '../services/eventbridge/event-pattern.ts';
import { DEFAULT_MAX_RETRIES, type EventRule, type EventTarget } from '../services/eventbridge/events.ts';
import { planAlarms, planDashboards, planTopics } from './alarms.ts';
import { layerFolders, mountLayers } from './layers.ts';
import type { NamedResource, NamedTemplate } from './names.ts';
import type { BucketPlan, EventSourcePlan, FunctionPlan, QueuePlan, StackPlan, TablePlan } from './plan.ts';
import { type KeyPolicies, readPolicies } from './policies.ts';
import type { SynthesizedStack } from './template.ts';
import { planUrls } from './urls.ts';
import {
  findAlarmTopicProblems,
  findEventSourceProblems,
  findHandlerProblems,
  findLogGroupProblems,
  findQueueProblems,
  findSubscriptionProblems,
  findTargetProblems,
} from './wiring-problems.ts';

/** Built here. */
const BUILT = [
  'AWS::S3::Bucket',
  'AWS::DynamoDB::Table',
  'AWS::DynamoDB::GlobalTable',
  'AWS::SQS::Queue',
  'AWS::Lambda::Function',
  'AWS::Lambda::LayerVersion',
  'AWS::Lambda::EventSourceMapping',
  'AWS::Events::Rule',
  'AWS::SecretsManager::Secret',
  'AWS::Lambda::Url',
  'AWS::ApiGatewayV2::Api',
  'AWS::CloudWatch::Alarm',
  'AWS::CloudWatch::Dashboard',
  'AWS::SNS::Topic',
];
/** Read for what they say about the resources above. */
const READ = [
  'AWS::IAM::Role',
  'AWS::IAM::Policy',
  'AWS::IAM::ManagedPolicy',
  'AWS::S3::BucketPolicy',
  'AWS::SNS::TopicPolicy',
  'AWS::SQS::QueuePolicy',
  'AWS::SecretsManager::ResourcePolicy',
  'AWS::Lambda::Permission',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::Events::EventBus',
  'AWS::ApiGatewayV2::Integration',
  'AWS::ApiGatewayV2::Route',
  'AWS::SNS::Subscription',
  'AWS::KMS::Key',
  'AWS::Logs::LogGroup',
];
/** Nothing on one machine depends on them. */
const IGNORED = ['AWS::ApiGatewayV2::Stage', 'AWS::CDK::Metadata', 'AWS::KMS::Alias'];

/** AWS: defaults of a function. */
const DEFAULT_TIMEOUT_SECONDS = 3;
const DEFAULT_MEMORY_MB = 128;
/** AWS: default batch size of a mapping; also the most that one receive gives. */
const DEFAULT_BATCH_SIZE = 10;

/**
 * Makes the plan.
 *
 * @param keyPolicies see {@link readPolicies}
 * @throws one error that names every mistake found
 */
export function planStack(
  stack: SynthesizedStack,
  named: NamedTemplate,
  keyPolicies?: KeyPolicies,
): StackPlan {
  const problems: string[] = [];
  for (const [logicalId, { Type }] of Object.entries(stack.template.Resources)) {
    if ([...BUILT, ...READ, ...IGNORED].includes(Type)) continue;
    problems.push(
      `${logicalId} is a ${Type}, which the local stack does not know: add it in local/stack/wiring.ts`,
    );
  }
  const queues = named.resourcesOf('AWS::SQS::Queue').map((resource) => planQueue(resource, named));
  const functions = named
    .resourcesOf('AWS::Lambda::Function')
    .map((resource) => planFunction(resource, named, stack));
  problems.push(...functions.flatMap(findHandlerProblems));
  const undelivered: string[] = [];
  const rules = named.resourcesOf('AWS::Events::Rule').map((resource) => {
    const { Targets = [] } = stack.template.Resources[resource.logicalId]!.Properties as {
      Targets?: { Arn: unknown }[];
    };
    const elsewhere = Targets.flatMap(({ Arn }) => (typeof Arn === 'string' ? [Arn] : [])).filter(
      (arn) => !queues.some((queue) => queue.arn === arn),
    );
    undelivered.push(...elsewhere);
    return planRule(resource, elsewhere, named, problems);
  });
  const policies = readPolicies(named, keyPolicies);
  const plan: StackPlan = {
    // Its own come first.
    buckets: [named, ...named.dependencies].flatMap((each) =>
      each.resourcesOf('AWS::S3::Bucket').map(planBucket),
    ),
    tables: named.resourcesOf('AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable').map(planTable),
    queues,
    functions,
    eventSources: named
      .resourcesOf('AWS::Lambda::EventSourceMapping')
      .flatMap((resource) => planEventSource(resource, queues, functions, problems)),
    rules,
    undelivered,
    secrets: named
      .resourcesOf('AWS::SecretsManager::Secret')
      .map(({ logicalId, path, name, properties }) => ({
        path,
        name,
        arn: named.arnOf(logicalId),
        initialValue: (properties as { SecretString?: string }).SecretString,
      })),
    urls: planUrls(named, functions, policies, problems),
    alarms: planAlarms(named, problems),
    dashboards: planDashboards(named),
    topics: planTopics(named),
    policies,
  };
  problems.push(
    ...findEventSourceProblems(plan),
    ...findTargetProblems(plan),
    ...findSubscriptionProblems(plan),
    ...findQueueProblems(plan),
    ...findLogGroupProblems(named, policies),
    ...findAlarmTopicProblems(plan),
  );
  if (problems.length > 0) {
    throw new Error(`The synthesized stack "${stack.stackName}" would not work:\n- ${problems.join('\n- ')}`);
  }
  return plan;
}

function planBucket({ path, name, properties }: NamedResource): BucketPlan {
  const { VersioningConfiguration, NotificationConfiguration } = properties as {
    VersioningConfiguration?: { Status: string };
    NotificationConfiguration?: { EventBridgeConfiguration?: { EventBridgeEnabled?: boolean } };
  };
  const eventBridge = NotificationConfiguration?.EventBridgeConfiguration;
  return {
    path,
    name,
    isVersioned: VersioningConfiguration?.Status === 'Enabled',
    sendsEvents: eventBridge !== undefined && isTrue(eventBridge.EventBridgeEnabled ?? true),
  };
}

function planTable({ path, name, properties }: NamedResource): TablePlan {
  const {
    AttributeDefinitions,
    KeySchema,
    GlobalSecondaryIndexes,
    LocalSecondaryIndexes,
    TimeToLiveSpecification,
  } = properties as Record<string, unknown>;
  const ttl = TimeToLiveSpecification as { AttributeName: string; Enabled: boolean } | undefined;
  return {
    path,
    name,
    definition: {
      TableName: name,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions,
      KeySchema,
      GlobalSecondaryIndexes,
      LocalSecondaryIndexes,
    },
    ttlAttribute: ttl !== undefined && isTrue(ttl.Enabled) ? ttl.AttributeName : undefined,
  };
}

/** Attributes that fauxqs knows and that change how a queue behaves. */
const QUEUE_ATTRIBUTES = [
  'VisibilityTimeout',
  'MessageRetentionPeriod',
  'DelaySeconds',
  'ReceiveMessageWaitTimeSeconds',
  'MaximumMessageSize',
  'FifoQueue',
  'ContentBasedDeduplication',
];

function planQueue({ logicalId, path, name, properties }: NamedResource, named: NamedTemplate): QueuePlan {
  const given = properties as Record<string, unknown>;
  const redrive = given.RedrivePolicy as { deadLetterTargetArn: string; maxReceiveCount: number } | undefined;
  const attributes = Object.fromEntries(
    QUEUE_ATTRIBUTES.filter((attribute) => given[attribute] !== undefined).map((attribute) => [
      attribute,
      String(given[attribute]),
    ]),
  );
  return {
    path,
    name,
    arn: named.arnOf(logicalId),
    attributes: {
      ...attributes,
      ...(redrive === undefined ? {} : { RedrivePolicy: JSON.stringify(redrive) }),
    },
    deadLetterQueueName: redrive?.deadLetterTargetArn.split(':').at(-1),
  };
}

function planFunction(
  { logicalId, path, name, properties }: NamedResource,
  named: NamedTemplate,
  stack: SynthesizedStack,
): FunctionPlan {
  const given = properties as {
    Handler?: string;
    Role: string;
    Timeout?: number;
    MemorySize?: number;
    Code: { S3Key?: string };
    Environment?: { Variables: Record<string, string> };
    Layers?: string[];
    ReservedConcurrentExecutions?: number;
    RecursiveLoop?: string;
    LoggingConfig?: { LogGroup?: string };
  };
  if (given.Code.S3Key === undefined || given.Handler === undefined) {
    throw new Error(`${path} has no bundled asset with a handler: the local stack runs nothing else.`);
  }
  return {
    path,
    name,
    arn: named.arnOf(logicalId),
    roleArn: given.Role,
    handler: given.Handler,
    taskRoot: stack.assetFolder(given.Code.S3Key),
    timeoutMs: Number(given.Timeout ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
    memoryMb: Number(given.MemorySize ?? DEFAULT_MEMORY_MB),
    environment: mountLayers(
      given.Environment?.Variables ?? {},
      layerFolders(given.Layers ?? [], named, stack),
    ),
    reservedConcurrency: given.ReservedConcurrentExecutions,
    logGroup: given.LoggingConfig?.LogGroup,
    allowsRecursion: given.RecursiveLoop === 'Allow',
  };
}

function planEventSource(
  { path, properties }: NamedResource,
  queues: readonly QueuePlan[],
  functions: readonly FunctionPlan[],
  problems: string[],
): EventSourcePlan[] {
  const given = properties as {
    EventSourceArn: string;
    FunctionName: string;
    BatchSize?: number;
    Enabled?: boolean | string;
    FilterCriteria?: unknown;
    FunctionResponseTypes?: string[];
    ScalingConfig?: { MaximumConcurrency?: number };
  };
  if (given.Enabled !== undefined && !isTrue(given.Enabled)) return [];
  const queue = queues.find(({ arn }) => arn === given.EventSourceArn);
  const target = functions.find(({ name, arn }) => name === given.FunctionName || arn === given.FunctionName);
  if (given.FilterCriteria !== undefined) {
    problems.push(`${path} has FilterCriteria, which the local stack does not apply`);
  }
  if (queue === undefined || target === undefined) {
    problems.push(
      `${path} maps ${given.EventSourceArn} to ${given.FunctionName}: both must be a queue and a function of the stack`,
    );
    return [];
  }
  return [
    {
      queueName: queue.name,
      functionName: target.name,
      batchSize: Math.min(Number(given.BatchSize ?? DEFAULT_BATCH_SIZE), DEFAULT_BATCH_SIZE),
      maxConcurrency: given.ScalingConfig?.MaximumConcurrency,
      reportsItemFailures: given.FunctionResponseTypes?.includes('ReportBatchItemFailures') ?? false,
    },
  ];
}

/** @param elsewhere ARNs of targets that are left out. */
function planRule(
  { logicalId, path, name, properties }: NamedResource,
  elsewhere: readonly string[],
  named: NamedTemplate,
  problems: string[],
): EventRule {
  const given = properties as {
    EventPattern?: EventPattern;
    ScheduleExpression?: string;
    EventBusName?: string;
    State?: string;
    Targets?: {
      Arn: string;
      Input?: string;
      InputPath?: string;
      InputTransformer?: unknown;
      RetryPolicy?: { MaximumRetryAttempts?: number };
    }[];
  };
  const targets: EventTarget[] = [];
  for (const target of given.Targets ?? []) {
    if (elsewhere.includes(target.Arn)) continue;
    if (target.InputPath !== undefined || target.InputTransformer !== undefined) {
      problems.push(
        `${path} changes its input (InputPath or InputTransformer), which the local stack does not do`,
      );
    }
    const service = target.Arn.split(':')[2];
    const targetName = target.Arn.split(':').at(-1)!;
    if (service === 'sqs') targets.push({ kind: 'queue', queueName: targetName, input: target.Input });
    else if (service === 'lambda') {
      targets.push({
        kind: 'function',
        functionName: targetName,
        input: target.Input,
        ...asyncInvokeOf(targetName, named),
      });
    } else
      problems.push(`${path} has the target ${target.Arn}: the local stack delivers to queues and functions`);
  }
  const isEnabled = given.State === undefined || given.State === 'ENABLED';
  return {
    name,
    arn: named.arnOf(logicalId),
    busName: given.EventBusName?.split('/').at(-1) ?? 'default',
    pattern: isEnabled ? given.EventPattern : undefined,
    schedule: isEnabled ? given.ScheduleExpression : undefined,
    targets,
  };
}

/** How often Lambda itself runs a failed asynchronous invocation again, and how long it keeps one that is throttled. */
function asyncInvokeOf(
  functionName: string,
  named: NamedTemplate,
): { maxRetries: number; maxAgeMs: number | undefined } {
  const config = named
    .resourcesOf('AWS::Lambda::EventInvokeConfig')
    .map(
      ({ properties }) =>
        properties as {
          FunctionName: string;
          MaximumRetryAttempts?: number;
          MaximumEventAgeInSeconds?: number;
        },
    )
    .find(({ FunctionName }) => FunctionName.split(':').at(-1) === functionName);
  const ageSeconds = config?.MaximumEventAgeInSeconds;
  return {
    maxRetries: config?.MaximumRetryAttempts ?? DEFAULT_MAX_RETRIES,
    maxAgeMs: ageSeconds === undefined ? undefined : Number(ageSeconds) * SECOND_MS,
  };
}

/** CloudFormation takes booleans as text too. */
function isTrue(value: boolean | string): boolean {
  return String(value) === 'true';
}
