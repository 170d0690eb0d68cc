/**
 * Keys of KMS that the account manages itself, and what it takes to use them. A service uses a key with the rights of who
 * calls it, so each function needs rights on the key beside those on what is encrypted with it, and no more than it
 * has there. What services do of their own accord is allowed by the key's policy.
 */
import { Annotations, Aws, Names, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct, IConstruct } from 'constructs';
import { nameReferences, type Permission } from './permission.ts';

/** Through which service a key is used, and for what. */
type KeyUse = keyof typeof USES;

/** Source of each: the developer guide of the service, on encryption at rest with a customer managed key. */
const USES = {
  's3.read': { service: 's3', actions: ['kms:Decrypt'] },
  // An upload in parts reads back what it has encrypted.
  's3.write': { service: 's3', actions: ['kms:Decrypt', 'kms:GenerateDataKey'] },
  'sqs.send': { service: 'sqs', actions: ['kms:Decrypt', 'kms:GenerateDataKey'] },
  'sqs.receive': { service: 'sqs', actions: ['kms:Decrypt'] },
  'dynamodb.read': { service: 'dynamodb', actions: ['kms:Decrypt', 'kms:DescribeKey'] },
  // DynamoDB names these as the least that it needs on a key, and says of kms:Decrypt alone that it is asked for with the
  // rights of who reads or writes. CDK grants them to writers; which others are asked for has not been tried in an account.
  'dynamodb.write': {
    service: 'dynamodb',
    actions: [
      'kms:Decrypt',
      'kms:DescribeKey',
      'kms:Encrypt',
      'kms:GenerateDataKey',
      'kms:ReEncryptFrom',
      'kms:ReEncryptTo',
    ],
  },
  'secretsmanager.read': { service: 'secretsmanager', actions: ['kms:Decrypt'] },
} as const;

/** The statements that allow to use a key; none, if there is no key: AWS's own need none. */
export function keyPermissions(key: kms.IKey | undefined, use: KeyUse): Permission[] {
  if (key === undefined) return [];
  const { service, actions } = USES[use];
  return [
    {
      actions,
      resources: [key.keyArn],
      conditions: { StringEquals: { 'kms:ViaService': `${service}.${Aws.REGION}.${Aws.URL_SUFFIX}` } },
    },
  ];
}

/** The same key, whose policy CDK's constructs cannot change: each of them would add what it may ever need to it. */
export function referenceTo(scope: Construct, id: string, key: kms.IKey | undefined): kms.IKey | undefined {
  return key === undefined ? undefined : kms.Key.fromKeyArn(scope, id, key.keyArn);
}

/** What services do with a key where nobody calls them: EventBridge sends to the queues, CloudWatch Logs keeps log lines. */
export function serviceStatements(scope: IConstruct): iam.PolicyStatement[] {
  return [eventBridgeStatement(), logsStatement(scope)];
}

/** An id of a statement in the policy of a key that several pipelines may use: ids must differ within a policy. */
export function statementId(scope: IConstruct, what: string): string {
  return `${what}${Names.uniqueResourceName(scope, { maxLength: 100 })}`;
}

/** Adds statements to the policy of a key. Of a key that is not of this app, synth prints them. */
export function allowByKeyPolicy(
  scope: Construct,
  key: kms.IKey,
  statements: readonly iam.PolicyStatement[],
): void {
  if (statements.length === 0) return;
  const results = statements.map((statement) => key.addToResourcePolicy(statement, true));
  if (results.every(({ statementAdded }) => statementAdded)) return;
  Annotations.of(scope).addInfoV2(
    `batchdrop:key-policy-${statements[0]!.sid}`,
    [
      `The policy of the encryption key ${key.keyArn} is not changed by this stack. Before it is deployed, that policy needs:`,
      ...statements.map((statement) => `  ${textOf(scope, statement)}`),
    ].join('\n'),
  );
}

/**
 * Source: SQS developer guide, "Configure KMS permissions for AWS services"; the condition is the one that CDK's own `SqsQueue`
 * target adds. For topics it would not do: EventBridge tells SNS's key nothing of the account.
 */
function eventBridgeStatement(): iam.PolicyStatement {
  return new iam.PolicyStatement({
    sid: 'EventBridgeToQueues',
    principals: [new iam.ServicePrincipal('events.amazonaws.com')],
    actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
    resources: ['*'],
    // Not by the ARN of the rule: the key may be made before it.
    conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
  });
}

/** Source: CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS". */
function logsStatement(scope: IConstruct): iam.PolicyStatement {
  const stack = Stack.of(scope);
  // The name of the stack itself, since the key may be in another one: CloudFormation names log groups by it.
  const groups = `arn:${Aws.PARTITION}:logs:${Aws.REGION}:${Aws.ACCOUNT_ID}:log-group:${stack.stackName}-*`;
  return new iam.PolicyStatement({
    sid: statementId(scope, 'CloudWatchLogs'),
    principals: [new iam.ServicePrincipal(`logs.${Aws.REGION}.amazonaws.com`)],
    actions: ['kms:Decrypt', 'kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey*', 'kms:ReEncrypt*'],
    resources: ['*'],
    conditions: { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': groups } },
  });
}

/** As a person puts it into a policy: `<AWS::Region>` and the like are for them to fill in. */
function textOf(scope: IConstruct, statement: iam.PolicyStatement): string {
  const resolved = Stack.of(scope).resolve(statement.toStatementJson());
  const isReference = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && ('Ref' in value || 'Fn::Join' in value);
  return JSON.stringify(resolved, (_, value) => (isReference(value) ? nameReferences(value) : value));
}
