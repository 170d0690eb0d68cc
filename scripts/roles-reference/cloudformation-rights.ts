/**
 * What the role by which CloudFormation deploys must be allowed: the actions that AWS's schemas of resource types say their
 * handlers call, without those that belong to properties that a template does not have.
 */
import type { Template } from '../../local/stack/template.ts';
import { RESOURCE_HANDLERS } from '../../test/system/templates/resource-handlers.ts';

/** Actions that a type needs only where a resource has one of these properties, at any depth. */
interface Conditional {
  type: string;
  properties: readonly string[];
  actions: RegExp;
}

const when = (type: string, properties: string, actions: RegExp): Conditional => ({
  type: `AWS::${type}`,
  properties: properties.split(' '),
  actions,
});

/** Which actions are for which properties, as their names say. What is not listed is taken as always needed. */
export const CONDITIONAL: readonly Conditional[] = [
  when('S3::Bucket', 'AbacStatus', /Abac$/),
  when('S3::Bucket', 'AccelerateConfiguration', /Accelerate/),
  when('S3::Bucket', 'AccessControl', /Acl$/),
  when('S3::Bucket', 'AnalyticsConfigurations', /Analytics/),
  when('S3::Bucket', 'CorsConfiguration', /BucketC(ORS|ors)$/),
  when('S3::Bucket', 'IntelligentTieringConfigurations', /IntelligentTiering/),
  when('S3::Bucket', 'InventoryConfigurations', /:(Put)?Inventory/),
  when('S3::Bucket', 'LoggingConfiguration', /BucketLogging$/),
  when('S3::Bucket', 'MetadataConfiguration MetadataTableConfiguration', /BucketMetadata|^s3tables:/),
  when('S3::Bucket', 'MetricsConfigurations', /Metrics/),
  when('S3::Bucket', 'ObjectLockConfiguration ObjectLockEnabled', /ObjectLock/),
  when('S3::Bucket', 'ReplicationConfiguration', /Replication|^iam:PassRole$/),
  when('S3::Bucket', 'WebsiteConfiguration', /Website$/),
  when('DynamoDB::Table', 'ContributorInsightsSpecification', /ContributorInsights$/),
  when('DynamoDB::Table', 'ImportSourceSpecification', /Import|^(logs|s3):/),
  when('DynamoDB::Table', 'KMSMasterKeyId', /^kms:/),
  when('DynamoDB::Table', 'KinesisStreamSpecification', /Kinesis|^(kinesis|iam):/),
  // Replicas are filled by what reads and writes items.
  when(
    'DynamoDB::Table',
    'ImportSourceSpecification Replicas',
    /Replica$|:(Scan|Query|BatchWriteItem|(Update|Put|Get|Delete)Item)$/,
  ),
  when('DynamoDB::Table', 'ResourcePolicy', /ResourcePolicy$/),
  when('Events::Rule', 'RoleArn', /^iam:PassRole$/),
  when('IAM::ManagedPolicy', 'Groups', /GroupPolicy$/),
  when('IAM::ManagedPolicy', 'Roles', /(Attach|Detach)RolePolicy$/),
  when('IAM::ManagedPolicy', 'Users', /UserPolicy$/),
  when('IAM::Policy', 'Groups', /GroupPolicy$/),
  when('IAM::Policy', 'Users', /UserPolicy$/),
  when('IAM::Role', 'ManagedPolicyArns', /(Attach|Detach)RolePolicy$/),
  when('IAM::Role', 'PermissionsBoundary', /PermissionsBoundary$/),
  when('Lambda::EventSourceMapping', 'KmsKeyArn', /^kms:/),
  when('Lambda::Function', 'CapacityProviderConfig FunctionScalingConfig', /CapacityProvider|ScalingConfig/),
  when('Lambda::Function', 'CodeSigningConfigArn', /CodeSigningConfig$/),
  when('Lambda::Function', 'FileSystemConfigs', /^(elasticfilesystem|s3files):/),
  when('Lambda::Function', 'KmsKeyArn', /^kms:/),
  when('Lambda::Function', 'ReservedConcurrentExecutions', /FunctionConcurrency$/),
  when('Lambda::Function', 'VpcConfig', /^ec2:/),
  when('Logs::LogGroup', 'BearerTokenAuthenticationEnabled', /BearerToken/),
  when('Logs::LogGroup', 'DataProtectionPolicy', /DataProtectionPolicy|LogDelivery$|^(s3|firehose):/),
  when('Logs::LogGroup', 'DeletionProtectionEnabled', /DeletionProtection/),
  when('Logs::LogGroup', 'FieldIndexPolicies', /IndexPolic/),
  when('Logs::LogGroup', 'KmsKeyId', /KmsKey$/),
  when('Logs::LogGroup', 'ResourcePolicyDocument', /ResourcePolic/),
  when('SecretsManager::Secret', 'GenerateSecretString', /GetRandomPassword$/),
  when('SecretsManager::Secret', 'ReplicaRegions', /Region/),
  when('ApiGatewayV2::Api', 'BodyS3Location', /^s3:/),
  when('ApiGatewayV2::Integration', 'CredentialsArn', /^iam:PassRole$/),
];

/** One type of resource of a template. */
export interface TypeRights {
  type: string;
  /** How many of the template are of it. */
  count: number;
  actions: readonly string[];
}

/** @throws for a type whose handlers are not known here. */
export function cloudFormationRights(template: Template): TypeRights[] {
  const byType = Object.groupBy(Object.values(template.Resources), ({ Type }) => Type);
  return Object.entries(byType)
    .map(([type, resources]) => ({
      type,
      count: resources!.length,
      actions: actionsOf(type, propertiesIn(resources!.map(({ Properties }) => Properties))),
    }))
    .sort((one, other) => (one.type < other.type ? -1 : 1));
}

/** All that the handlers of a type call, whatever its properties are. @throws for a type that is not known here. */
export function actionsOfHandlers(type: string): string[] {
  const known = RESOURCE_HANDLERS[type];
  if (known === undefined)
    throw new Error(
      `test/system/templates/resource-handlers.ts has no ${type}: add it there, and test:templates says whether it is right`,
    );
  return Object.values(known).flat();
}

function actionsOf(type: string, properties: ReadonlySet<string>): string[] {
  const all = actionsOfHandlers(type);
  const unused = CONDITIONAL.filter(
    (each) => each.type === type && !each.properties.some((name) => properties.has(name)),
  );
  // What reads a resource is called whatever its properties are, unless it is of another service.
  const isOfAnother = (action: string) => /^(iam|kms):/.test(action) && !type.startsWith('AWS::IAM');
  const read = (RESOURCE_HANDLERS[type]?.read ?? []).filter((action) => !isOfAnother(action));
  const others = all.filter((action) => !unused.some(({ actions }) => actions.test(action)));
  return [...new Set([...read, ...others])].sort();
}

/** Names of all members of a value, at any depth. */
function propertiesIn(value: unknown, found: Set<string> = new Set()): Set<string> {
  if (typeof value !== 'object' || value === null) return found;
  for (const [name, member] of Object.entries(value)) {
    found.add(name);
    propertiesIn(member, found);
  }
  return found;
}

/** The table of the default template, with what variants add. */
export function cloudFormationTable(template: Template, variants: readonly Template[]): string {
  const rights = cloudFormationRights(template);
  const plain = new Map(rights.map(({ type, actions }) => [type, new Set(actions)]));
  const further = new Map<string, Set<string>>();
  for (const { type, actions } of variants.flatMap(cloudFormationRights))
    for (const action of actions)
      if (plain.get(type)?.has(action) !== true)
        further.set(type, (further.get(type) ?? new Set()).add(action));
  const types = [...new Set([...plain.keys(), ...further.keys()])].sort();
  const rows = types.map((type) => {
    const count = rights.find((each) => each.type === type)?.count ?? 0;
    return `| \`${type}\` | ${count} | ${code(plain.get(type))} | ${code(further.get(type))} |`;
  });
  return ['| type | how many | actions | in variants also |', '|---|---|---|---|', ...rows].join('\n');
}

const code = (actions: ReadonlySet<string> = new Set()): string =>
  [...actions]
    .sort()
    .map((action) => `\`${action}\``)
    .join(' ');
