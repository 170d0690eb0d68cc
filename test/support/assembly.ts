// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of Fn::Sub
/** Writes what `cdk synth` writes, from a template and the code of its functions. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Template } from '../../local/stack/template.ts';

export const STACK_NAME = 'fixture';

/** Object key under which the asset of that name is found. */
export const assetKey = (name: string) => `${name}.zip`;

/**
 * @param folder where to write
 * @param assets code of `index.mjs` by asset name
 */
export function writeAssembly(folder: string, template: Template, assets: Record<string, string> = {}): void {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, content: unknown) =>
    writeFileSync(join(folder, name), JSON.stringify(content, undefined, 1));
  write('manifest.json', {
    artifacts: {
      [`${STACK_NAME}.assets`]: { type: 'cdk:asset-manifest' },
      [STACK_NAME]: {
        type: 'aws:cloudformation:stack',
        properties: { templateFile: `${STACK_NAME}.template.json` },
      },
    },
  });
  write(`${STACK_NAME}.template.json`, template);
  write(`${STACK_NAME}.assets.json`, {
    files: Object.fromEntries(
      Object.keys(assets).map((name) => [
        name,
        {
          source: { path: `asset.${name}` },
          destinations: { current: { objectKey: assetKey(name) } },
        },
      ]),
    ),
  });
  for (const [name, code] of Object.entries(assets)) {
    mkdirSync(join(folder, `asset.${name}`), { recursive: true });
    writeFileSync(join(folder, `asset.${name}`, 'index.mjs'), code);
  }
}

const arn = (logicalId: string) => ({ 'Fn::GetAtt': [logicalId, 'Arn'] });
const allow = (Action: string | string[], Resource: unknown) => ({ Effect: 'Allow', Action, Resource });

/**
 * A small pipeline: object under `input/` -> rule -> queue -> function `worker`, and a schedule -> function `ticker`.
 *
 * `worker` reads the object, counts it in the table (`ADD`), writes `output/<name>`, puts a `Done` event. A body of
 * `fail` throws, `hang` never ends, `forbidden` does what its role does not allow, `again` sends the message to its own
 * queue for ever, `again 40` until it has come 40 times.
 */
export function pipelineTemplate(): Template {
  return {
    Resources: {
      Bucket: {
        Type: 'AWS::S3::Bucket',
        Properties: {
          VersioningConfiguration: { Status: 'Enabled' },
          NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
        },
      },
      Table: {
        Type: 'AWS::DynamoDB::Table',
        Properties: {
          BillingMode: 'PAY_PER_REQUEST',
          AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
          KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
          TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
        },
      },
      Secret: { Type: 'AWS::SecretsManager::Secret', Properties: { SecretString: 'not-set' } },
      DeadLetters: {
        Type: 'AWS::SQS::Queue',
        Metadata: { 'aws:cdk:path': 'fixture/Pipeline/WorkQueue/DeadLetters/Resource' },
      },
      Queue: {
        Type: 'AWS::SQS::Queue',
        Properties: {
          VisibilityTimeout: 60,
          RedrivePolicy: { deadLetterTargetArn: arn('DeadLetters'), maxReceiveCount: 2 },
        },
        Metadata: { 'aws:cdk:path': 'fixture/Pipeline/WorkQueue/Queue/Resource' },
      },
      QueuePolicy: {
        Type: 'AWS::SQS::QueuePolicy',
        Properties: {
          Queues: [{ Ref: 'Queue' }],
          PolicyDocument: {
            Statement: [
              {
                ...allow('sqs:SendMessage', arn('Queue')),
                Principal: { Service: 'events.amazonaws.com' },
                Condition: { ArnEquals: { 'aws:SourceArn': arn('ObjectCreated') } },
              },
            ],
          },
        },
      },
      ObjectCreated: {
        Type: 'AWS::Events::Rule',
        Properties: {
          EventPattern: {
            source: ['aws.s3'],
            'detail-type': ['Object Created'],
            detail: { bucket: { name: [{ Ref: 'Bucket' }] }, object: { key: [{ prefix: 'input/' }] } },
          },
          Targets: [{ Id: 'queue', Arn: arn('Queue') }],
        },
      },
      Schedule: {
        Type: 'AWS::Events::Rule',
        Properties: {
          ScheduleExpression: 'rate(5 minutes)',
          Targets: [{ Id: 'function', Arn: arn('Ticker') }],
        },
      },
      SchedulePermission: {
        Type: 'AWS::Lambda::Permission',
        Properties: {
          Action: 'lambda:InvokeFunction',
          FunctionName: arn('Ticker'),
          Principal: 'events.amazonaws.com',
          SourceArn: arn('Schedule'),
        },
      },
      Role: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: {} } },
      Policy: {
        Type: 'AWS::IAM::Policy',
        Properties: {
          Roles: [{ Ref: 'Role' }],
          PolicyDocument: {
            Statement: [
              allow(
                ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:SendMessage'],
                arn('Queue'),
              ),
              allow('s3:GetObject*', { 'Fn::Join': ['', [arn('Bucket'), '/input/*']] }),
              allow('s3:PutObject', { 'Fn::Join': ['', [arn('Bucket'), '/output/*']] }),
              allow('dynamodb:UpdateItem', arn('Table')),
              allow('secretsmanager:GetSecretValue', { Ref: 'Secret' }),
              allow('events:PutEvents', {
                'Fn::Sub': 'arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default',
              }),
            ],
          },
        },
      },
      Worker: functionResource('Worker', { QUEUE_URL: { Ref: 'Queue' } }),
      Ticker: functionResource('Ticker', {}),
      WorkerMessages: {
        Type: 'AWS::Lambda::EventSourceMapping',
        Properties: {
          BatchSize: 1,
          EventSourceArn: arn('Queue'),
          FunctionName: { Ref: 'Worker' },
          FunctionResponseTypes: ['ReportBatchItemFailures'],
          ScalingConfig: { MaximumConcurrency: 2 },
        },
      },
    },
    Outputs: { Drop: { Value: { 'Fn::Join': ['', ['s3://', { Ref: 'Bucket' }, '/input/']] } } },
  };
}

function functionResource(name: string, variables: Record<string, unknown>) {
  return {
    Type: 'AWS::Lambda::Function',
    Properties: {
      Code: { S3Bucket: { 'Fn::Sub': 'assets-${AWS::AccountId}' }, S3Key: assetKey(name.toLowerCase()) },
      Handler: 'index.handler',
      Role: arn('Role'),
      Timeout: 10,
      MemorySize: 256,
      Environment: {
        Variables: {
          BUCKET_NAME: { Ref: 'Bucket' },
          TABLE_NAME: { Ref: 'Table' },
          SECRET_ARN: { Ref: 'Secret' },
          STACK_ID: { 'Fn::Select': [2, { 'Fn::Split': ['/', { Ref: 'AWS::StackId' }] }] },
          ...variables,
        },
      },
    },
    Metadata: { 'aws:cdk:path': `fixture/Pipeline/${name}/Function/Resource` },
  };
}
