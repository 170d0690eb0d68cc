/** Keys that the account manages: what is encrypted with them, and who may use them for what. */
import { Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { describe, expect, test } from 'vitest';
import { BatchPipeline } from '../../../lib/batch-pipeline.ts';
import type { Capability } from '../../../lib/pipeline-function.ts';
import {
  newApp,
  onlyResource,
  permissionsOf,
  permissionsOfManaged,
  resourcesOf,
  synthesize,
} from '../../support/synthesize.ts';
import { BUCKET_KEY_ARN, KEY_ARN, stackOf, VARIANTS } from '../../support/variants.ts';

const templateOf = (variant: string): Template =>
  Template.fromStack(stackOf(VARIANTS.find(({ name }) => name === variant)!));
const encrypted = templateOf('encryption-key-by-arn');
const existing = templateOf('existing-bucket-with-key');

/** What may be done with keys: for each key and service, the actions. */
function keyRightsIn(permissions: Record<string, string[]>): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const [action, resources] of Object.entries(permissions))
    for (const resource of resources) {
      const [, arn, service] =
        /^(arn:aws:kms:\S+) \{"StringEquals":\{"kms:ViaService":\{"Fn::Join":\["",\["(\w+)\.",\{"Ref":"AWS::Region"\},"\.",\{"Ref":"AWS::URLSuffix"\}\]\]\}\}\}$/.exec(
          resource,
        ) ?? [];
      if (!action.startsWith('kms:')) continue;
      expect(service, `${action} ${resource}`).toBeDefined();
      const name = arn === KEY_ARN ? service! : `bucket key, ${service}`;
      expect([KEY_ARN, BUCKET_KEY_ARN]).toContain(arn);
      found[name] = [...(found[name] ?? []), action.slice('kms:'.length)].sort();
    }
  return found;
}

const DECRYPT = ['Decrypt'];
const READ_WRITE = ['Decrypt', 'GenerateDataKey'];
const TABLE = ['Decrypt', 'DescribeKey', 'Encrypt', 'GenerateDataKey', 'ReEncryptFrom', 'ReEncryptTo'];

describe('with one key for all', () => {
  test.each<[Capability, Record<string, string[]>]>([
    ['ingest', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE }],
    ['submit', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE, secretsmanager: DECRYPT }],
    ['call', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE, secretsmanager: DECRYPT }],
    ['poll', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE, secretsmanager: DECRYPT }],
    ['collect', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE, secretsmanager: DECRYPT }],
    ['finalize', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE, secretsmanager: DECRYPT }],
    ['observe', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE, secretsmanager: DECRYPT }],
    // No secret: it has no API key.
    ['operate', { s3: READ_WRITE, sqs: READ_WRITE, dynamodb: TABLE }],
    // Neither bucket nor table: anybody may call it.
    ['webhook', { sqs: READ_WRITE, secretsmanager: DECRYPT }],
  ])('%s may use it through the services that it calls, for what it does there', (capability, rights) => {
    expect(keyRightsIn(permissionsOf(encrypted, capability))).toEqual(rights);
  });

  test('viewers may use it to read receipts and the table, operators for drops, results and dead letters', () => {
    expect(keyRightsIn(permissionsOfManaged(encrypted, 'Viewer'))).toEqual({
      s3: DECRYPT,
      dynamodb: ['Decrypt', 'DescribeKey'],
    });
    expect(keyRightsIn(permissionsOfManaged(encrypted, 'Operator'))).toEqual({
      s3: READ_WRITE,
      sqs: READ_WRITE,
    });
  });

  test('bucket, table, queues, secrets and logs are encrypted with it', () => {
    const bucket = onlyResource(encrypted, 'AWS::S3::Bucket').Properties;
    expect(bucket.BucketEncryption.ServerSideEncryptionConfiguration).toEqual([
      {
        BucketKeyEnabled: true,
        ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: KEY_ARN },
      },
    ]);
    expect(onlyResource(encrypted, 'AWS::DynamoDB::Table').Properties.SSESpecification).toEqual({
      SSEEnabled: true,
      SSEType: 'KMS',
      KMSMasterKeyId: KEY_ARN,
    });
    const keysOf = (type: string, property: string) =>
      Object.values(resourcesOf(encrypted, type)).map(({ Properties }) => Properties[property]);
    // Six queues and their dead-letter queues, and that of notifications.
    expect(keysOf('AWS::SQS::Queue', 'KmsMasterKeyId')).toEqual(Array(13).fill(KEY_ARN));
    expect(keysOf('AWS::SecretsManager::Secret', 'KmsKeyId')).toEqual(Array(3).fill(KEY_ARN));
    // Nine functions, and the accesses of the HTTP API.
    expect(keysOf('AWS::Logs::LogGroup', 'KmsKeyId')).toEqual(Array(10).fill(KEY_ARN));
  });

  test('beside the rights on the key, nobody may more than without it', () => {
    const variant = VARIANTS.find(({ name }) => name === 'encryption-key-by-arn')!;
    const { encryptionKey: _, ...without } = variant.props(newApp());
    const plain = synthesize(without);
    for (const capability of ['ingest', 'poll', 'finalize', 'operate', 'webhook', 'observe'] as const) {
      const rights = Object.entries(permissionsOf(encrypted, capability));
      expect(Object.fromEntries(rights.filter(([action]) => !action.startsWith('kms:')))).toEqual(
        permissionsOf(plain, capability),
      );
    }
  });
});

const SERVICES = [
  {
    Sid: 'EventBridgeToQueues',
    Effect: 'Allow',
    Principal: { Service: 'events.amazonaws.com' },
    Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
    Resource: '*',
    Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
  },
  {
    Sid: expect.stringMatching(/^CloudWatchLogsencryptionkeyPipeline[0-9A-F]{8}$/),
    Effect: 'Allow',
    Principal: { Service: { 'Fn::Join': ['', ['logs.', { Ref: 'AWS::Region' }, '.amazonaws.com']] } },
    Action: ['kms:Decrypt', 'kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey*', 'kms:ReEncrypt*'],
    Resource: '*',
    Condition: {
      ArnLike: {
        'kms:EncryptionContext:aws:logs:arn': {
          'Fn::Join': [
            '',
            [
              'arn:',
              { Ref: 'AWS::Partition' },
              ':logs:',
              { Ref: 'AWS::Region' },
              ':',
              { Ref: 'AWS::AccountId' },
              ':log-group:encryption-key-*',
            ],
          ],
        },
      },
    },
  },
];

describe('the policy of the key', () => {
  test('lets EventBridge and CloudWatch Logs use a key of the same app, in whichever of its stacks, and nobody else', () => {
    const stack = stackOf(VARIANTS.find(({ name }) => name === 'encryption-key')!);
    const account = stack.node.root.node.findChild('account') as Stack;
    const { Statement } = onlyResource(Template.fromStack(account), 'AWS::KMS::Key').Properties.KeyPolicy;
    const [administrators, ...services] = Statement;
    expect(administrators).toMatchObject({ Action: 'kms:*', Effect: 'Allow' });
    expect(JSON.stringify(administrators.Principal)).toContain(':root');
    expect(services).toEqual(SERVICES);
  });

  test('has ids of statements that differ, if several pipelines of an app use the key', () => {
    const app = newApp();
    const account = new Stack(app, 'account');
    const encryptionKey = new kms.Key(account, 'Key');
    const droppers = { default: [new iam.AccountPrincipal('444455556666')] };
    for (const id of ['staging', 'production'])
      new BatchPipeline(new Stack(app, id), 'Pipeline', { encryptionKey, droppers });
    const { Statement } = onlyResource(Template.fromStack(account), 'AWS::KMS::Key').Properties.KeyPolicy;
    const ids = Statement.map(({ Sid }: { Sid?: string }) => Sid);
    expect(ids).toEqual([
      undefined,
      'EventBridgeToQueues',
      expect.stringMatching(/^CloudWatchLogsstagingPipeline[0-9A-F]{8}$/),
      expect.stringMatching(/^DroppersToBucketstagingPipeline[0-9A-F]{8}$/),
      expect.stringMatching(/^CloudWatchLogsproductionPipeline[0-9A-F]{8}$/),
      expect.stringMatching(/^DroppersToBucketproductionPipeline[0-9A-F]{8}$/),
    ]);
  });

  test('of any other key is left alone, and synth prints what it needs, ready to paste', () => {
    const stack = stackOf(VARIANTS.find(({ name }) => name === 'encryption-key-by-arn')!);
    const [info] = Annotations.fromStack(stack).findInfo(
      '*',
      Match.stringLikeRegexp('policy of the encryption key'),
    );
    const text = String(info!.entry.data);
    const statements = [...text.matchAll(/^ {2}(\{.*\})/gm)].map(([, json]) => JSON.parse(json!));
    expect(statements).toMatchObject([
      {
        Sid: 'EventBridgeToQueues',
        Condition: { StringEquals: { 'aws:SourceAccount': '<AWS::AccountId>' } },
      },
      {
        Sid: expect.stringMatching(/^CloudWatchLogsencryptionkeybyarnPipeline[0-9A-F]{8}$/),
        Principal: { Service: 'logs.<AWS::Region>.amazonaws.com' },
        Condition: {
          ArnLike: {
            'kms:EncryptionContext:aws:logs:arn':
              'arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:encryption-key-by-arn-*',
          },
        },
      },
    ]);
  });
});

describe('with an existing bucket that is encrypted with a key', () => {
  test.each<[Capability, Record<string, string[]>]>([
    ['ingest', { 'bucket key, s3': READ_WRITE }],
    ['submit', { 'bucket key, s3': READ_WRITE }],
    ['call', { 'bucket key, s3': READ_WRITE }],
    ['poll', { 'bucket key, s3': READ_WRITE }],
    ['collect', { 'bucket key, s3': READ_WRITE }],
    ['finalize', { 'bucket key, s3': READ_WRITE }],
    ['operate', { 'bucket key, s3': READ_WRITE }],
  ])('%s may use that key through S3 only', (capability, rights) => {
    expect(keyRightsIn(permissionsOf(existing, capability))).toEqual(rights);
  });

  test('everything else is encrypted as without', () => {
    for (const type of ['AWS::SQS::Queue', 'AWS::DynamoDB::Table', 'AWS::SecretsManager::Secret'])
      expect(JSON.stringify(resourcesOf(existing, type))).not.toContain('arn:aws:kms');
  });
});

test('a bucket that is made may have another key than the rest, and the functions get rights on both', () => {
  const stack = new Stack(newApp(), 'Test');
  new BatchPipeline(stack, 'Pipeline', {
    encryptionKey: kms.Key.fromKeyArn(stack, 'One', KEY_ARN),
    bucketEncryptionKey: kms.Key.fromKeyArn(stack, 'Two', BUCKET_KEY_ARN),
  });
  const template = Template.fromStack(stack);
  expect(JSON.stringify(onlyResource(template, 'AWS::S3::Bucket'))).toContain(BUCKET_KEY_ARN);
  expect(keyRightsIn(permissionsOf(template, 'ingest'))).toEqual({
    'bucket key, s3': READ_WRITE,
    sqs: READ_WRITE,
    dynamodb: TABLE,
  });
});

test('an existing bucket without a key of its own gets no rights on that of the rest', () => {
  const stack = new Stack(newApp(), 'Test');
  const encryptionKey = kms.Key.fromKeyArn(stack, 'One', KEY_ARN);
  new BatchPipeline(stack, 'Pipeline', { bucketName: 'our-prompts', encryptionKey });
  const rights = keyRightsIn(permissionsOf(Template.fromStack(stack), 'finalize'));
  expect(Object.keys(rights).sort()).toEqual(['dynamodb', 'secretsmanager', 'sqs']);
});
