/**
 * The life of a deployment, by the CDK's command line on a CloudFormation that is not ours: made, updated, removed, and
 * what it leaves adopted. The tests follow each other: each begins with what the one before has left. What moto cannot
 * show is in docs/testbed.md.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CloudFormationClient,
  DescribeStackResourcesCommand,
  DescribeStacksCommand,
  GetTemplateCommand,
} from '@aws-sdk/client-cloudformation';
import {
  DescribeContinuousBackupsCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  DynamoDBClient,
  ListTablesCommand,
} from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, ListRulesCommand, ListTargetsByRuleCommand } from '@aws-sdk/client-eventbridge';
import {
  GetBucketEncryptionCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetPublicAccessBlockCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import {
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import {
  GetQueueAttributesCommand,
  ListQueuesCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startEmulator } from '../../../local/openai-emulator/emulator.ts';
import { ALARMS } from '../../../src/contract/alarms.ts';
import { API_KEY_PLACEHOLDER } from '../../../src/contract/api-key.ts';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { AT_ONCE } from '../../support/emulator-timings.ts';
import { chatLine } from '../../support/pipeline.ts';
import { readObject } from '../../support/read-object.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { ACCOUNT, type Moto, REGION, startMoto } from '../moto/moto.ts';
import { cdk } from './cdk.ts';
import { runDeployedFunctions } from './deployed-functions.ts';

/** A synth, an upload and a deployment, on a machine that has other things to do. */
const LONG = { timeout: 300_000 };
const STACK = 'batchdrop';
const STEPS = ['ingest', 'submit', 'call', 'collect', 'finalize'];

const folder = makeFolder();
const cdkOut = join(folder, 'cdk.out');
const settingsFile = join(folder, 'settings.json');
let moto: Moto;
let cloudformation: CloudFormationClient;
let dynamodb: DynamoDBClient;
let events: EventBridgeClient;
let s3: S3Client;
let secrets: SecretsManagerClient;
let sqs: SQSClient;
/** Of the stack that stands now, by name. */
let outputs: Record<string, string> = {};
/** ARN of the same. */
let stackArn = '';

beforeAll(async () => {
  moto = await startMoto();
  cloudformation = new CloudFormationClient(moto.connection);
  dynamodb = new DynamoDBClient(moto.connection);
  events = new EventBridgeClient(moto.connection);
  s3 = new S3Client(moto.connection);
  secrets = new SecretsManagerClient(moto.connection);
  sqs = new SQSClient({ ...moto.connection, useQueueUrlAsEndpoint: false });
  await cdk(moto, 'bootstrap', `aws://${ACCOUNT}/${REGION}`);
}, 300_000);

afterAll(async () => {
  for (const client of [cloudformation, dynamodb, events, s3, secrets, sqs]) client?.destroy();
  await moto?.close();
  removeFolder(folder);
});

/** As a person deploys, with `-c` before each of these. */
async function deploy(...context: string[]): Promise<void> {
  const options = ['--require-approval', 'never', '--output', cdkOut];
  await cdk(moto, 'deploy', ...options, ...context.flatMap((each) => ['-c', each]));
  const { Stacks } = await cloudformation.send(new DescribeStacksCommand({ StackName: STACK }));
  const { StackId, StackStatus, Outputs = [] } = Stacks![0]!;
  expect(StackStatus).toMatch(/^(CREATE|UPDATE)_COMPLETE$/);
  stackArn = StackId!;
  outputs = Object.fromEntries(Outputs.map(({ OutputKey, OutputValue }) => [OutputKey!, OutputValue!]));
}

/** Physical ids of the stack's resources, by logical id without its hash. */
async function resources(): Promise<Record<string, string>> {
  const { StackResources = [] } = await cloudformation.send(
    new DescribeStackResourcesCommand({ StackName: STACK }),
  );
  return Object.fromEntries(
    StackResources.map(({ LogicalResourceId, PhysicalResourceId }) => [
      LogicalResourceId!.replace(/^Pipeline/, '').replace(/[0-9A-F]{8}$/, ''),
      PhysicalResourceId!,
    ]),
  );
}

// biome-ignore lint/suspicious/noExplicitAny: a template is what CDK wrote, read by path
async function deployedTemplate(): Promise<any> {
  const { TemplateBody } = await cloudformation.send(new GetTemplateCommand({ StackName: STACK }));
  return JSON.parse(TemplateBody!);
}

async function queueAttributes(url: string) {
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
  );
  return Attributes as Record<string, string>;
}

/** What the account holds, of all that a stack makes. */
async function inventory() {
  const [queues, tables, rules, buckets, listed, functions, policies, roles, alarms, dashboards, layers] =
    await Promise.all([
      sqs.send(new ListQueuesCommand({})),
      dynamodb.send(new ListTablesCommand({})),
      events.send(new ListRulesCommand({})),
      s3.send(new ListBucketsCommand({})),
      secrets.send(new ListSecretsCommand({})),
      moto.call('lambda', 'list_functions'),
      moto.call('iam', 'list_policies', { Scope: 'Local' }),
      moto.call('iam', 'list_roles'),
      moto.call('cloudwatch', 'describe_alarms'),
      moto.call('cloudwatch', 'list_dashboards'),
      moto.call('lambda', 'list_layers'),
    ]);
  const isOfTheCli = (name: string) => name.startsWith('cdk-');
  return {
    queues: queues.QueueUrls?.length ?? 0,
    tables: tables.TableNames ?? [],
    rules: rules.Rules?.length ?? 0,
    buckets: buckets.Buckets!.map(({ Name }) => Name!).filter((name) => !isOfTheCli(name)),
    secrets: listed.SecretList!.map(({ Name }) => Name!.split('/').at(-1)!).sort(),
    functions: functions.Functions.length,
    policies: policies.Policies.length,
    roles: roles.Roles.filter(({ RoleName }: { RoleName: string }) => !isOfTheCli(RoleName)).length,
    alarms: alarms.MetricAlarms.length,
    dashboards: dashboards.DashboardEntries.length,
    layers: layers.Layers.length,
  };
}

async function functionOf(capability: string) {
  const { Functions } = await moto.call('lambda', 'list_functions');
  // biome-ignore lint/suspicious/noExplicitAny: an answer of AWS, read by path
  return Functions.find((each: any) => each.Environment.Variables.POWERTOOLS_SERVICE_NAME === capability);
}

describe('the first deployment', () => {
  test('makes queues with dead-letter queues, and policies that let in TLS only', LONG, async () => {
    await deploy();
    for (const step of STEPS) {
      const url = outputs[`${step[0]!.toUpperCase()}${step.slice(1)}QueueUrl`]!;
      const queue = await queueAttributes(url);
      const redrive = JSON.parse(queue.RedrivePolicy!);
      expect(redrive.maxReceiveCount, step).toBe(50);
      const deadLetters = await queueAttributes(
        `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/${redrive.deadLetterTargetArn.split(':').at(-1)}`,
      );
      expect(deadLetters.QueueArn).toBe(redrive.deadLetterTargetArn);
      expect([
        queue.MessageRetentionPeriod,
        queue.VisibilityTimeout,
        deadLetters.MessageRetentionPeriod,
      ]).toEqual(['604800', '960', '1209600']);
      for (const each of [queue, deadLetters]) {
        expect(each.SqsManagedSseEnabled).toBe('true');
        expect(JSON.parse(each.Policy!).Statement).toContainEqual({
          Action: 'sqs:*',
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
          Effect: 'Deny',
          Principal: { AWS: '*' },
          Resource: each.QueueArn,
        });
      }
    }
  });

  test('makes a bucket that keeps versions, is private and tells EventBridge of objects', LONG, async () => {
    const Bucket = outputs.BucketName!;
    const [versioning, access, encryption, policy] = await Promise.all([
      s3.send(new GetBucketVersioningCommand({ Bucket })),
      s3.send(new GetPublicAccessBlockCommand({ Bucket })),
      s3.send(new GetBucketEncryptionCommand({ Bucket })),
      s3.send(new GetBucketPolicyCommand({ Bucket })),
    ]);
    expect(versioning.Status).toBe('Enabled');
    expect(access.PublicAccessBlockConfiguration).toEqual({
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    });
    const [rule] = encryption.ServerSideEncryptionConfiguration!.Rules!;
    expect(rule!.ApplyServerSideEncryptionByDefault!.SSEAlgorithm).toBe('AES256');
    expect(JSON.parse(policy.Policy!).Statement).toEqual([
      expect.objectContaining({
        Action: 's3:*',
        Effect: 'Deny',
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`],
      }),
    ]);
    // moto takes no lifecycle from a template, and does not say whether EventBridge is told.
    const { Resources } = await deployedTemplate();
    const { Properties } = Object.values<{ Type: string; Properties: Record<string, object> }>(
      Resources,
    ).find(({ Type }) => Type === 'AWS::S3::Bucket')!;
    expect(Properties.NotificationConfiguration).toEqual({
      EventBridgeConfiguration: { EventBridgeEnabled: true },
    });
    expect(Properties.LifecycleConfiguration).toEqual({
      Rules: [
        expect.objectContaining({ Id: 'expire-removed-work', Prefix: 'work/', Status: 'Enabled' }),
        expect.objectContaining({ Id: 'abort-uploads', Status: 'Enabled' }),
      ],
    });
  });

  test('makes a table on demand with its index, protected, with expiry and recovery', LONG, async () => {
    const TableName = outputs.TableName!;
    const [{ Table }, expiry, backups] = await Promise.all([
      dynamodb.send(new DescribeTableCommand({ TableName })),
      dynamodb.send(new DescribeTimeToLiveCommand({ TableName })),
      dynamodb.send(new DescribeContinuousBackupsCommand({ TableName })),
    ]);
    expect(Table).toMatchObject({
      BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
      DeletionProtectionEnabled: true,
      GlobalSecondaryIndexes: [{ Projection: { ProjectionType: 'ALL' } }],
    });
    // moto looks for another name of this property.
    expect(Object.values((await deployedTemplate()).Resources)).toContainEqual(
      expect.objectContaining({
        Type: 'AWS::DynamoDB::Table',
        Properties: expect.objectContaining({ SSESpecification: { SSEEnabled: true } }),
      }),
    );
    expect(expiry.TimeToLiveDescription!.TimeToLiveStatus).toBe('ENABLED');
    const { PointInTimeRecoveryDescription } = backups.ContinuousBackupsDescription!;
    expect(PointInTimeRecoveryDescription!.PointInTimeRecoveryStatus).toBe('ENABLED');
  });

  test(
    'makes functions on Node 24 whose variables and messages lead to what else was made',
    LONG,
    async () => {
      const { Functions } = await moto.call('lambda', 'list_functions');
      expect(Functions).toHaveLength(STEPS.length + 2);
      for (const each of Functions) {
        expect(each.Runtime).toBe('nodejs24.x');
        expect(each.Layers).toHaveLength(1);
        expect(each.Environment.Variables).toMatchObject({
          BUCKET_NAME: outputs.BucketName,
          TABLE_NAME: outputs.TableName,
        });
      }
      const { EventSourceMappings } = await moto.call('lambda', 'list_event_source_mappings');
      const pairs = EventSourceMappings.map((each: { EventSourceArn: string; FunctionArn: string }) =>
        [each.EventSourceArn, each.FunctionArn].map(
          (arn) => /:batchdrop-Pipeline([A-Z][a-z]+)/.exec(arn)![1],
        ),
      );
      expect(pairs.sort()).toEqual(
        ['Call', 'Collect', 'Finalize', 'Ingest', 'Submit'].map((name) => [name, name]),
      );
      for (const mapping of EventSourceMappings) {
        expect(mapping).toMatchObject({ BatchSize: 1, FunctionResponseTypes: ['ReportBatchItemFailures'] });
      }
      const poll = await functionOf('poll');
      const invoke = await moto.call('lambda', 'get_function_event_invoke_config', {
        FunctionName: poll.FunctionName,
      });
      expect(invoke.MaximumRetryAttempts).toBe(0);
      const operate = await functionOf('operate');
      const url = await moto.call('lambda', 'get_function_url_config', {
        FunctionName: operate.FunctionName,
      });
      expect(url.AuthType).toBe('AWS_IAM');
      expect(outputs.OperateUrl).toBe(`${url.FunctionUrl}/`);
      // moto takes the architecture and the log format from no template.
      const { Resources } = await deployedTemplate();
      const ofTemplate = Object.values<{ Type: string; Properties: object }>(Resources).filter(
        ({ Type }) => Type === 'AWS::Lambda::Function',
      );
      for (const { Properties } of ofTemplate) {
        expect(Properties).toMatchObject({ Architectures: ['arm64'], LoggingConfig: { LogFormat: 'JSON' } });
      }
    },
  );

  test(
    'makes a rule for dropped files, a schedule, a secret without a key, alarms and a dashboard',
    LONG,
    async () => {
      const { Rules = [] } = await events.send(new ListRulesCommand({}));
      const schedule = Rules.find(({ ScheduleExpression }) => ScheduleExpression !== undefined)!;
      expect(schedule.ScheduleExpression).toBe('rate(5 minutes)');
      const drops = Rules.find(({ EventPattern }) => EventPattern !== undefined)!;
      expect(JSON.parse(drops.EventPattern!)).toEqual({
        source: ['aws.s3'],
        'detail-type': ['Object Created'],
        detail: { bucket: { name: [outputs.BucketName] }, object: { key: [{ prefix: 'input/' }] } },
      });
      const { Targets } = await events.send(new ListTargetsByRuleCommand({ Rule: drops.Name }));
      const ingest = await queueAttributes(outputs.IngestQueueUrl!);
      const deadLetters = JSON.parse(ingest.RedrivePolicy!).deadLetterTargetArn;
      expect(Targets).toMatchObject([{ Arn: ingest.QueueArn, DeadLetterConfig: { Arn: deadLetters } }]);
      const secret = await secrets.send(new GetSecretValueCommand({ SecretId: outputs.ApiKeySecretArn }));
      expect(secret.SecretString).toBe(API_KEY_PLACEHOLDER);
      const { alarms, dashboards, policies, roles } = await inventory();
      const needed = Object.values(ALARMS).filter(
        (row) =>
          !('only' in row && row.only === 'webhooks') &&
          !(
            'deadLettersOf' in row.watches && ['observe', 'notifications'].includes(row.watches.deadLettersOf)
          ),
      );
      expect([alarms, dashboards, policies, roles]).toEqual([needed.length, 1, 2, STEPS.length + 2]);
    },
  );
});

describe('what was deployed', () => {
  test('runs a dropped file to its receipt, and buys each answer once', LONG, async () => {
    const { BucketName: Bucket, IngestQueueUrl: QueueUrl, ApiKeySecretArn: SecretId } = outputs;
    await secrets.send(new PutSecretValueCommand({ SecretId, SecretString: 'sk-test' }));
    const emulator = await startEmulator({ dir: join(folder, 'openai'), timings: AT_ONCE });
    const functions = await runDeployedFunctions({
      moto,
      stackName: STACK,
      cdkOut,
      openaiBaseUrl: emulator.endpoint,
      folder,
    });
    onTestFinished(async () => {
      await functions.stop();
      await emulator.close();
    });
    const read = (name: string) => readObject(s3, Bucket!, name);
    const key = 'input/films.jsonl';
    const lines = [chatLine('one'), chatLine('two'), '{"custom_id": "broken"}'];
    const { VersionId } = await s3.send(new PutObjectCommand({ Bucket, Key: key, Body: lines.join('\n') }));
    // moto's S3 tells no EventBridge: what the rule would send to its target is sent here.
    const detail = { bucket: { name: Bucket }, object: { key, 'version-id': VersionId, sequencer: '01' } };
    const event = { 'detail-type': 'Object Created', source: 'aws.s3', account: ACCOUNT, detail };
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify(event) }));
    const giveUpAt = Date.now() + 60_000;
    let receipt: string | undefined;
    while (receipt === undefined && Date.now() < giveUpAt) {
      await functions.invoke('poll');
      receipt = await read('receipts/films.json');
    }
    expect(functions.problems).toEqual([]);
    expect(functions.failures()).toBe(0);
    expect(receiptSchema.parse(JSON.parse(receipt!))).toMatchObject({
      result: 'partial',
      counts: { requests: 3, succeeded: 2, failed: 0, invalid: 1 },
      possiblyBilledTwice: {},
    });
    const idsOf = (text: string | undefined) =>
      text!
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).custom_id);
    expect(idsOf(await read('output/films.jsonl'))).toEqual(['one', 'two']);
    expect(idsOf(await read('errors/films.jsonl'))).toEqual(['broken']);
    expect((await read('retry/films.jsonl'))!.trim()).toBe(lines[2]);
    expect(await emulator.ledger.all()).toHaveLength(2);
  });
});

describe('an update', () => {
  const CHANGED = [`settings=${settingsFile}`, 'pollMinutes=10'];
  let before: Record<string, string>;

  test('of the settings adds the key of a new route and changes nothing that holds data', LONG, async () => {
    const route = { ...BATCH_ONLY, name: 'team', prefix: 'input/team/', apiKey: 'team-a' };
    const settings = { routes: [{ ...BATCH_ONLY, name: 'default', prefix: 'input/' }, route] };
    writeFileSync(settingsFile, JSON.stringify(settings));
    const SecretId = outputs.ApiKeySecretArn;
    await secrets.send(new PutSecretValueCommand({ SecretId, SecretString: 'sk-test' }));
    before = await resources();
    const layerBefore = (await functionOf('ingest')).Layers[0].Arn;
    await deploy(...CHANGED);
    const after = await resources();
    const changed = Object.keys({ ...before, ...after }).filter((id) => before[id] !== after[id]);
    expect(changed.sort()).toEqual(
      // moto makes a rule anew under another name where CloudFormation changes it.
      ['ApiKeySecretteama', 'PollSchedule', 'Settings'],
    );
    const { Rules = [] } = await events.send(new ListRulesCommand({}));
    expect(Rules.map(({ ScheduleExpression }) => ScheduleExpression).filter(Boolean)).toEqual([
      'rate(10 minutes)',
    ]);
    const ingest = await functionOf('ingest');
    expect(ingest.Layers[0].Arn).not.toBe(layerBefore);
    expect(ingest.Environment.Variables.POLL_INTERVAL_MINUTES).toBe('10');
    expect((await inventory()).secrets).toEqual(['default', 'team-a']);
    expect(outputs).toMatchObject({ ApiKeys: 'default team-a', Routes: 'default=input/ team=input/team/' });
    const secret = await secrets.send(new GetSecretValueCommand({ SecretId: outputs.ApiKeySecretArn }));
    expect(secret.SecretString, 'the key that a person has set').toBe('sk-test');
  });

  test(
    'that drops the route takes its key, and one of the removal policy lifts what protects the data',
    LONG,
    async () => {
      await deploy('removal=destroy');
      const after = await resources();
      expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort());
      expect((await inventory()).secrets).toEqual(['default']);
      expect(outputs).toMatchObject({ TableName: before.StateTable, BucketName: before.StorageBucket });
      const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: outputs.TableName! }));
      expect(Table!.DeletionProtectionEnabled).toBe(false);
      expect(await policiesOfData()).toEqual(['Delete']);
    },
  );

  test('back to the first deployment protects it again', LONG, async () => {
    await deploy();
    const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: outputs.TableName! }));
    expect(Table!.DeletionProtectionEnabled).toBe(true);
    expect(await policiesOfData()).toEqual(['Retain', 'RetainExceptOnCreate']);
  });
});

/** What the template says becomes of what holds data when the stack is removed. */
async function policiesOfData(): Promise<string[]> {
  const DATA = [
    'AWS::S3::Bucket',
    'AWS::S3::BucketPolicy',
    'AWS::DynamoDB::Table',
    'AWS::SecretsManager::Secret',
  ];
  const all = Object.values<{ Type: string; DeletionPolicy: string }>((await deployedTemplate()).Resources);
  const found = all.filter(({ Type }) => DATA.includes(Type)).map(({ DeletionPolicy }) => DeletionPolicy);
  expect(found).toHaveLength(DATA.length);
  return [...new Set(found)].sort();
}

/** What is there once a stack is removed. */
const leftOver = () => ({
  queues: 0,
  tables: [outputs.TableName],
  rules: 0,
  buckets: [outputs.BucketName],
  secrets: ['default'],
  functions: 0,
  policies: 0,
  roles: 0,
  alarms: 0,
  dashboards: 0,
  layers: 0,
});

async function expectDataProtected(): Promise<void> {
  const policy = await s3.send(new GetBucketPolicyCommand({ Bucket: outputs.BucketName! }));
  expect(policy.Policy).toContain('aws:SecureTransport');
  const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: outputs.TableName! }));
  expect(Table!.DeletionProtectionEnabled).toBe(true);
}

describe('the removal', () => {
  test('leaves the bucket with its policy, the table and the key, and nothing else', LONG, async () => {
    await cdk(moto, 'destroy', '--force', '--output', cdkOut);
    expect(await inventory()).toEqual(leftOver());
    await expectDataProtected();
  });
});

describe('a stack that adopts what a removed one has left', () => {
  let removed: { readonly uuid: string; readonly outputs: Record<string, string> };

  test(
    'works on the same bucket and table, with the same key, under the id of the removed one',
    LONG,
    async () => {
      removed = { uuid: stackArn.split('/').at(-1)!, outputs };
      const { BucketName, TableName, ApiKeySecretArn } = outputs;
      await deploy(`bucketName=${BucketName}`, `adopt=${removed.uuid},${TableName}`);
      expect(stackArn).not.toContain(removed.uuid);
      expect(outputs).toMatchObject({ BucketName, TableName });
      const { tables, buckets, secrets: names, functions } = await inventory();
      expect({ tables, buckets, secrets: names }).toEqual({
        tables: [TableName],
        buckets: [BucketName],
        secrets: ['default'],
      });
      expect(functions).toBe(STEPS.length + 2);
      const { Functions } = await moto.call('lambda', 'list_functions');
      for (const each of Functions) {
        expect(each.Environment.Variables).toMatchObject({
          STACK_ID: removed.uuid,
          BUCKET_NAME: BucketName,
          TABLE_NAME: TableName,
        });
      }
      const secret = await secrets.send(new GetSecretValueCommand({ SecretId: outputs.ApiKeySecretArn }));
      expect(secret).toMatchObject({ ARN: ApiKeySecretArn, SecretString: 'sk-test' });
    },
  );

  test('leaves all of it again when it is removed, even if it was to be destroyed', LONG, async () => {
    const { BucketName, TableName } = outputs;
    const adopt = [`bucketName=${BucketName}`, `adopt=${removed.uuid},${TableName}`];
    await deploy(...adopt, 'removal=destroy');
    await cdk(moto, 'destroy', '--force', '--output', cdkOut);
    expect(await inventory()).toEqual(leftOver());
    await expectDataProtected();
    const secret = await secrets.send(
      new GetSecretValueCommand({ SecretId: removed.outputs.ApiKeySecretArn }),
    );
    expect(secret.SecretString).toBe('sk-test');
  });
});
