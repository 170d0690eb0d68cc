/** What viewers and operators may do, word by word. That it is enough, and the rest refused: test/system/e2e/rights.test.ts. */
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { PipelineStack, type PipelineStackProps } from '../../../lib/pipeline-stack.ts';
import { BATCH_ONLY, manyRoutes } from '../../support/routes.ts';
import { newApp, permissionsOfManaged, resourcesOf, synthesize } from '../../support/synthesize.ts';

const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:done';
const QUEUES = ['Call', 'Collect', 'Finalize', 'Ingest', 'Submit'];
const queues = QUEUES.map((name) => `${name}Queue`);
const deadLetters = QUEUES.map((name) => `${name}QueueDeadLetters`);
const ACCOUNT = '<AWS::Region>:<AWS::AccountId>';
const arn = (service: string, rest: string) => `arn:<AWS::Partition>:${service}:${ACCOUNT}:${rest}`;
const B = 'StorageBucket';
const listing = (...areas: string[]) => [
  `${B} ${JSON.stringify({ StringLike: { 's3:prefix': areas.map((area) => `${area}/*`) } })}`,
];

test('a viewer may look up the stack, read the table and receipts, see queues and logs, and no value of a secret', () => {
  expect(permissionsOfManaged(synthesize(), 'Viewer')).toEqual({
    'cloudformation:DescribeStacks': [arn('cloudformation', 'stack/<AWS::StackName>/*')],
    'dynamodb:GetItem': ['StateTable'],
    'dynamodb:Query': ['StateTable', 'StateTable/index/live'],
    's3:GetObject': [`${B}/receipts/*`],
    's3:ListBucket': listing('receipts'),
    's3:GetBucketNotification': [B],
    'sqs:GetQueueAttributes': [...queues, ...deadLetters].sort(),
    'sqs:GetQueueUrl': [...queues, ...deadLetters].sort(),
    'secretsmanager:DescribeSecret': [arn('secretsmanager', 'secret:batchdrop/<stack uuid>/*')],
    'logs:DescribeLogGroups': [arn('logs', 'log-group:*')],
    'logs:FilterLogEvents': [arn('logs', 'log-group:<AWS::StackName>-Pipeline*FunctionLogs*')],
    'cloudwatch:DescribeAlarms': [arn('cloudwatch', 'alarm:*')],
    'cloudwatch:GetDashboard': [
      'arn:<AWS::Partition>:cloudwatch::<AWS::AccountId>:dashboard/<AWS::StackName>-<AWS::Region>',
    ],
    'cloudwatch:GetMetricData': ['*'],
  });
});

test('an operator may beside that ask the stack by its URL only, send dead letters again, drop inputs and read results', () => {
  const fn = 'OperateFunction';
  expect(permissionsOfManaged(synthesize(), 'Operator')).toEqual({
    'lambda:InvokeFunctionUrl': [`${fn} {"StringEquals":{"lambda:FunctionUrlAuthType":"AWS_IAM"}}`],
    'lambda:InvokeFunction': [`${fn} {"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}`],
    'sqs:StartMessageMoveTask': deadLetters,
    'sqs:ListMessageMoveTasks': deadLetters,
    'sqs:ReceiveMessage': deadLetters,
    'sqs:DeleteMessage': deadLetters,
    'sqs:SendMessage': queues,
    's3:PutObject': [`${B}/input/*`],
    's3:AbortMultipartUpload': [`${B}/input/*`],
    's3:GetObject': ['errors', 'input', 'output', 'retry'].map((area) => `${B}/${area}/*`),
    's3:GetObjectVersion': [`${B}/input/*`],
    's3:ListBucket': listing('input', 'output', 'errors', 'retry'),
  });
});

test('a viewer has no right to alarms and a dashboard that are not there', () => {
  const rights = permissionsOfManaged(synthesize({ alarms: false, dashboard: false }), 'Viewer');
  expect(Object.keys(rights).filter((action) => action.startsWith('cloudwatch:'))).toEqual([]);
});

test('the log groups that are named so are those of the functions, all of them', () => {
  const groups = Object.keys(resourcesOf(synthesize(), 'AWS::Logs::LogGroup'));
  expect(groups.length).toBeGreaterThan(6);
  expect(groups.filter((id) => !/^Pipeline.*FunctionLogs/.test(id))).toEqual([]);
});

test('the queue of webhooks is one of the queues, dead notifications are only counted, the prefixes of routes are of the areas', () => {
  const template = synthesize({
    settings: {
      routes: [
        {
          ...BATCH_ONLY,
          name: 'a',
          prefix: 'input/',
          layout: { output: 'a/', receipts: 'r/' },
          notify: TOPIC,
        },
      ],
      webhooks: { apiKeys: ['default'] },
    },
  });
  const [viewer, operator] = [
    permissionsOfManaged(template, 'Viewer'),
    permissionsOfManaged(template, 'Operator'),
  ];
  expect(viewer['sqs:GetQueueAttributes']).toContain('ObserveQueueDeadLetters');
  expect(viewer['sqs:GetQueueAttributes']).toContain('NotificationsDeadLetters');
  expect(JSON.stringify(operator)).not.toContain('NotificationsDeadLetters');
  expect(operator['sqs:SendMessage']).toContain('ObserveQueue');
  expect(viewer['s3:GetObject']).toEqual([`${B}/r/*`, `${B}/receipts/*`]);
  expect(operator['s3:GetObject']).toContain(`${B}/a/*`);
  expect(operator['s3:GetObject']).not.toContain(`${B}/r/*`);
});

test('no action holds a wildcard, and none reads a value of a secret or changes an item', () => {
  for (const name of ['Viewer', 'Operator'] as const)
    for (const action of Object.keys(permissionsOfManaged(synthesize(), name)))
      expect(action).not.toMatch(
        /\*|GetSecretValue|PutSecretValue|dynamodb:(?!GetItem|Query)|s3:Delete|iam:|kms:/,
      );
});

test('policies: false leaves both out, with their outputs', () => {
  const stack = new PipelineStack(newApp(), 'batchdrop', { policies: false });
  const template = Template.fromStack(stack);
  expect(stack.pipeline.viewerPolicy).toBeUndefined();
  expect(resourcesOf(template, 'AWS::IAM::ManagedPolicy')).toEqual({});
  expect(Object.keys(template.toJSON().Outputs).filter((name) => name.includes('Policy'))).toEqual([]);
});

describe('for their size', () => {
  const synthesized = (props: PipelineStackProps) => {
    const app = newApp();
    const stack = new PipelineStack(app, `b${'x'.repeat(127)}`, props);
    app.synth();
    return Template.fromStack(stack);
  };

  test('50 routes with a key each, webhooks and a stack name of 128 characters fit, below 400 resources', () => {
    const apiKeys = ['default', 'team-1'];
    const template = synthesized({ settings: { routes: manyRoutes(50, 50), webhooks: { apiKeys } } });
    expect(Object.keys(template.toJSON().Resources).length).toBeLessThan(400);
    expect(Object.keys(resourcesOf(template, 'AWS::IAM::ManagedPolicy'))).toHaveLength(2);
  });

  test('what does not fit is refused at synth with what helps, and fits without the policies', () => {
    const routes = manyRoutes(22, 1).map((route, index) => ({
      ...route,
      layout: { receipts: `receipts-of-team-${index}/` },
    }));
    const settings = { routes };
    expect(() => synthesized({ settings })).toThrow(
      /the managed policy b.*\/Pipeline\/ViewerPolicy may have \d+ characters once it is deployed, and IAM takes 6144: let routes share result prefixes \(layout\), or leave the managed policies out/,
    );
    expect(() => synthesized({ settings, policies: false })).not.toThrow();
  });
});
