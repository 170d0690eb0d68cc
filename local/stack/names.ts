/** Gives each resource of a template its local physical id and ARN. */
import { createHash } from 'node:crypto';
import { createResolver, type LocalAccount, type Resolve, type ResourceValues } from './intrinsics.ts';
import type { SynthesizedStack, Template, TemplateResource } from './template.ts';

/** The property of the name, and the longest name that AWS allows, in characters. */
const NAMES: Record<string, { property: string; maxLength: number }> = {
  'AWS::S3::Bucket': { property: 'BucketName', maxLength: 63 },
  'AWS::DynamoDB::Table': { property: 'TableName', maxLength: 255 },
  'AWS::DynamoDB::GlobalTable': { property: 'TableName', maxLength: 255 },
  'AWS::SQS::Queue': { property: 'QueueName', maxLength: 80 },
  'AWS::Lambda::Function': { property: 'FunctionName', maxLength: 64 },
  'AWS::Events::Rule': { property: 'Name', maxLength: 64 },
  'AWS::Events::EventBus': { property: 'Name', maxLength: 256 },
  'AWS::SecretsManager::Secret': { property: 'Name', maxLength: 512 },
  'AWS::IAM::ManagedPolicy': { property: 'ManagedPolicyName', maxLength: 128 },
  'AWS::IAM::Role': { property: 'RoleName', maxLength: 64 },
  'AWS::Logs::LogGroup': { property: 'LogGroupName', maxLength: 512 },
  'AWS::CloudWatch::Alarm': { property: 'AlarmName', maxLength: 255 },
  'AWS::CloudWatch::Dashboard': { property: 'DashboardName', maxLength: 255 },
  'AWS::SNS::Topic': { property: 'TopicName', maxLength: 256 },
};

/** Whose `Ref` is their ARN. */
const REFERRED_TO_BY_ARN = ['AWS::SecretsManager::Secret', 'AWS::SNS::Topic', 'AWS::IAM::ManagedPolicy'];

/** A template whose references have local values. */
export interface NamedTemplate {
  resolve: Resolve;
  /** Physical name of a resource: stable, the same in every run. */
  nameOf(logicalId: string): string;
  arnOf(logicalId: string): string;
  /** The resources of a type with their properties resolved; those whose condition is false are left out. */
  resourcesOf(...types: string[]): NamedResource[];
  /** Those of the stacks that are deployed before this one: what they have made is there. */
  dependencies: readonly NamedStack[];
}

/** A template by the name of its stack. */
export interface NamedStack extends NamedTemplate {
  stackName: string;
  outputs: NonNullable<Template['Outputs']>;
}

/** A resource with its local values. */
export interface NamedResource {
  logicalId: string;
  /** Such as `AWS::SQS::Queue`. */
  type: string;
  /** Construct path without the last part, such as `Pipeline/Ingest/Queue`; the logical id if there is none. */
  path: string;
  name: string;
  /** Resolved; the reader says what it expects. */
  properties: object;
}

/** A stack with the stacks that it depends on. For parameters and errors, see {@link nameResources}. */
export function nameStack(
  { stackName, template, dependencies }: SynthesizedStack,
  account: LocalAccount,
  queueUrl: (name: string) => string,
  functionUrl?: (name: string) => string,
): NamedStack {
  const others = dependencies.map((each) =>
    nameStack(each, { ...account, stackName: each.stackName }, queueUrl),
  );
  const named = nameResources(template, account, queueUrl, functionUrl, others);
  return { ...named, stackName, outputs: template.Outputs ?? {} };
}

/**
 * @param queueUrl gives the URL of a local queue; it changes with the port, so it is asked for late
 * @param functionUrl the same for the URL of a function or an HTTP API, without a slash at its end
 * @throws (from `resolve`) when something refers to a resource or attribute without a local value
 */
export function nameResources(
  template: Template,
  account: LocalAccount,
  queueUrl: (name: string) => string,
  functionUrl: (name: string) => string = noUrl,
  dependencies: readonly NamedStack[] = [],
): NamedTemplate {
  const { stackName } = account;

  function resource(logicalId: string): TemplateResource {
    const found = template.Resources[logicalId];
    if (found === undefined) throw new Error(`The template has no resource or parameter "${logicalId}".`);
    return found;
  }

  function nameOf(logicalId: string): string {
    const { Type, Properties = {} } = resource(logicalId);
    const rule = NAMES[Type];
    const given = rule === undefined ? undefined : Properties[rule.property];
    if (given !== undefined) return String(resolve(given));
    const name =
      Type === 'AWS::KMS::Key' ? uuidFor(`${stackName} ${logicalId}`) : `${stackName}-${logicalId}`;
    const fitted = cutName(name, rule?.maxLength ?? Number.POSITIVE_INFINITY);
    return Type === 'AWS::S3::Bucket' ? fitted.toLowerCase() : fitted;
  }

  const arnOf = (logicalId: string): string => {
    const { Type } = resource(logicalId);
    const arn = localArn(Type, nameOf(logicalId), account);
    if (arn !== undefined) return arn;
    throw new Error(`"${logicalId}" (${Type}) has no local ARN. Add its type in local/stack/names.ts.`);
  };

  const resolve = createResolver(template, account, {
    ref(logicalId) {
      const { Type } = resource(logicalId);
      if (Type === 'AWS::SQS::Queue') return queueUrl(nameOf(logicalId));
      if (REFERRED_TO_BY_ARN.includes(Type)) return arnOf(logicalId);
      return nameOf(logicalId);
    },
    attribute(logicalId, attribute) {
      const { Type } = resource(logicalId);
      if (attribute === 'Arn') return arnOf(logicalId);
      if (Type === 'AWS::SQS::Queue' && attribute === 'QueueUrl') return queueUrl(nameOf(logicalId));
      if (Type === 'AWS::SQS::Queue' && attribute === 'QueueName') return nameOf(logicalId);
      if (Type === 'AWS::SecretsManager::Secret' && attribute === 'Id') return arnOf(logicalId);
      if (Type === 'AWS::Events::EventBus' && attribute === 'Name') return nameOf(logicalId);
      if (Type === 'AWS::SNS::Topic' && attribute === 'TopicArn') return arnOf(logicalId);
      if (Type === 'AWS::SNS::Topic' && attribute === 'TopicName') return nameOf(logicalId);
      if (Type === 'AWS::Lambda::Url' && attribute === 'FunctionUrl')
        return `${functionUrl(nameOf(logicalId))}/`;
      if (Type === 'AWS::ApiGatewayV2::Api' && attribute === 'ApiEndpoint')
        return functionUrl(nameOf(logicalId));
      throw new Error(
        `Fn::GetAtt ${logicalId}.${attribute} (${Type}) has no local value. Add it in local/stack/names.ts.`,
      );
    },
    ...outputsOf(dependencies),
  });

  return {
    resolve,
    nameOf,
    arnOf,
    dependencies,
    resourcesOf(...types) {
      return Object.entries(template.Resources)
        .filter(([, { Type }]) => types.includes(Type))
        .filter(([, { Condition }]) => Condition === undefined || resolve({ Condition }) === true)
        .map(([logicalId, { Type, Properties = {}, Metadata }]) => ({
          logicalId,
          type: Type,
          path: constructPath(Metadata?.['aws:cdk:path']) ?? logicalId,
          name: nameOf(logicalId),
          properties: resolve(Properties) as object,
        }));
    },
  };
}

function outputsOf(dependencies: readonly NamedStack[]): Pick<ResourceValues, 'outputOf' | 'exported'> {
  return {
    outputOf(wanted, outputName) {
      const stack = dependencies.find(({ stackName }) => stackName === wanted);
      return stack?.resolve(stack.outputs[outputName]?.Value);
    },
    exported(exportName) {
      for (const { outputs, resolve } of dependencies)
        for (const { Value, Export } of Object.values(outputs))
          if (resolve(Export?.Name) === exportName) return resolve(Value);
      return undefined;
    },
  };
}

function noUrl(name: string): never {
  throw new Error(`There is no server for the URL of ${name}.`);
}

/** `undefined`: resources of the type have no local ARN. */
function localArn(type: string, name: string, { region, accountId }: LocalAccount): string | undefined {
  const arn = (service: string, rest: string) => `arn:aws:${service}:${region}:${accountId}:${rest}`;
  switch (type) {
    case 'AWS::S3::Bucket':
      return `arn:aws:s3:::${name}`;
    case 'AWS::DynamoDB::Table':
    case 'AWS::DynamoDB::GlobalTable':
      return arn('dynamodb', `table/${name}`);
    case 'AWS::SQS::Queue':
      return arn('sqs', name);
    case 'AWS::Lambda::Function':
      return arn('lambda', `function:${name}`);
    case 'AWS::Events::Rule':
      return arn('events', `rule/${name}`);
    case 'AWS::Events::EventBus':
      return arn('events', `event-bus/${name}`);
    case 'AWS::SecretsManager::Secret':
      // AWS adds six random characters; these are stable.
      return arn('secretsmanager', `secret:${name}-${digest(name).slice(0, 6)}`);
    case 'AWS::IAM::Role':
      return `arn:aws:iam::${accountId}:role/${name}`;
    case 'AWS::IAM::ManagedPolicy':
      return `arn:aws:iam::${accountId}:policy/${name}`;
    case 'AWS::KMS::Key':
      return arn('kms', `key/${name}`);
    case 'AWS::CloudWatch::Alarm':
      return arn('cloudwatch', `alarm:${name}`);
    case 'AWS::SNS::Topic':
      return arn('sns', name);
    case 'AWS::Logs::LogGroup':
      return arn('logs', `log-group:${name}:*`);
    default:
      return undefined;
  }
}

/** `stack/Pipeline/Ingest/Queue/Resource` -> `Pipeline/Ingest/Queue`. */
function constructPath(path: unknown): string | undefined {
  if (typeof path !== 'string') return undefined;
  const parts = path.split('/').slice(1);
  if (parts.at(-1) === 'Resource') parts.pop();
  return parts.length === 0 ? undefined : parts.join('/');
}

/** Cuts a name that is too long and keeps it unique. */
function cutName(name: string, maxLength: number): string {
  if (name.length <= maxLength) return name;
  const suffix = `-${digest(name).slice(0, 8)}`;
  return name.slice(0, maxLength - suffix.length) + suffix;
}

/** As AWS names keys. */
function uuidFor(text: string): string {
  return digest(text).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
