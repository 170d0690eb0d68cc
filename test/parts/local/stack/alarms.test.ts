import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test } from 'vitest';
import { startLocalStack } from '../../../../local/stack/start.ts';
import type { Template } from '../../../../local/stack/template.ts';
import { pipelineTemplate, writeAssembly } from '../../../support/assembly.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const MINUTE = 60_000;

/** Fails at the word `fail`; else counts one `Dropped` of its stack in a line of its log. */
const WORKER = `export async function handler({ Records }) {
  for (const { body } of Records) if (body === 'fail') throw new Error('cannot do this');
  console.log(JSON.stringify({
    _aws: { Timestamp: Date.now(), CloudWatchMetrics: [
      { Namespace: 'fixture', Dimensions: [['Stack']], Metrics: [{ Name: 'Dropped', Unit: 'Count' }] },
    ] },
    Stack: 'fixture', Dropped: Records.length,
  }));
}`;
const TICKER = 'export async function handler() {}';

const alarm = (properties: object) => ({
  Type: 'AWS::CloudWatch::Alarm',
  Properties: {
    ComparisonOperator: 'GreaterThanOrEqualToThreshold',
    EvaluationPeriods: 1,
    Threshold: 1,
    TreatMissingData: 'notBreaching',
    AlarmActions: [{ Ref: 'OnCall' }],
    OKActions: [{ Ref: 'OnCall' }],
    ...properties,
  },
});

function templateWithAlarms(): Template {
  const template = pipelineTemplate();
  Object.assign(template.Resources, {
    OnCall: { Type: 'AWS::SNS::Topic' },
    Mail: {
      Type: 'AWS::SNS::Subscription',
      Properties: { TopicArn: { Ref: 'OnCall' }, Protocol: 'email', Endpoint: 'oncall@example.com' },
    },
    DeadLettersAlarm: alarm({
      AlarmName: 'dead-letters',
      Namespace: 'AWS/SQS',
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': ['DeadLetters', 'QueueName'] } }],
      Period: 300,
      Statistic: 'Maximum',
    }),
    ErrorRateAlarm: alarm({
      AlarmName: 'error-rate',
      Threshold: 50,
      Metrics: [
        { Id: 'rate', Expression: '100 * errors / runs' },
        ...['Errors', 'Invocations'].map((MetricName) => ({
          Id: MetricName === 'Errors' ? 'errors' : 'runs',
          MetricStat: {
            Metric: {
              Namespace: 'AWS/Lambda',
              MetricName,
              Dimensions: [{ Name: 'FunctionName', Value: { Ref: 'Worker' } }],
            },
            Period: 60,
            Stat: 'Sum',
          },
          ReturnData: false,
        })),
      ],
    }),
    SilenceAlarm: alarm({
      AlarmName: 'silence',
      Namespace: 'fixture',
      MetricName: 'Dropped',
      Dimensions: [{ Name: 'Stack', Value: { Ref: 'AWS::StackName' } }],
      Period: 60,
      EvaluationPeriods: 3,
      Statistic: 'Sum',
      ComparisonOperator: 'LessThanThreshold',
      TreatMissingData: 'breaching',
    }),
  });
  return template;
}

async function start() {
  const cdkOut = temporaryFolder();
  writeAssembly(cdkOut, templateWithAlarms(), { worker: WORKER, ticker: TICKER });
  const dir = temporaryFolder();
  // A minute begins: the test ends long before that minute would.
  let ahead = -(Date.now() % MINUTE);
  const stack = await startLocalStack({
    dir,
    cdkOut,
    openai: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-of-this-run' },
    scheduleEveryMs: 'manual',
    deliver: { retryAfterSeconds: 0 },
    now: () => Date.now() + ahead,
  });
  onTestFinished(stack.stop);
  const { endpoints, credentials, region, resources } = stack;
  const sqs = new SQSClient({ endpoint: endpoints.sqs, credentials, region });
  onTestFinished(() => sqs.destroy());
  const send = (MessageBody: string) =>
    sqs.send(new SendMessageCommand({ QueueUrl: resources.queues.work!.url, MessageBody }));
  return {
    stack,
    dir,
    sqs,
    send,
    pass(minutes: number) {
      ahead += minutes * MINUTE;
      return Object.fromEntries(stack.alarms().map(({ alarm, state }) => [alarm.name, state]));
    },
  };
}

test('alarms of a template fire and clear on what functions log, on what Lambda counts and on queues, and tell their topic', async () => {
  const { stack, dir, sqs, send, pass } = await start();
  // A new deployment has no data: what needs data is silent.
  expect(pass(1)).toEqual({ 'dead-letters': 'OK', 'error-rate': 'OK', silence: 'ALARM' });
  await send('hello');
  await stack.idle();
  expect(pass(1)).toEqual({ 'dead-letters': 'OK', 'error-rate': 'OK', silence: 'OK' });
  await send('fail');
  await stack.idle();
  expect(pass(1)).toEqual({ 'dead-letters': 'ALARM', 'error-rate': 'ALARM', silence: 'OK' });
  expect(pass(10)).toEqual({ 'dead-letters': 'ALARM', 'error-rate': 'OK', silence: 'ALARM' });

  const QueueUrl = stack.resources.queues['work-dead-letters']!.url;
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: Messages![0]!.ReceiptHandle! }));
  expect(pass(20)).toMatchObject({ 'dead-letters': 'OK' });

  const told = stack.notifications.filter(({ subject }) => subject.includes('"dead-letters"'));
  expect(told.map(({ subject }) => subject.split(':')[0])).toEqual(['OK', 'ALARM', 'OK']);
  expect(told[1]).toMatchObject({
    topicArn: 'arn:aws:sns:us-east-1:000000000000:fixture-OnCall',
    subscriptions: ['email:oncall@example.com'],
  });
  expect(JSON.parse(told[1]!.message)).toMatchObject({
    NewStateValue: 'ALARM',
    OldStateValue: 'OK',
    Trigger: { Dimensions: [{ name: 'QueueName', value: 'fixture-DeadLetters' }] },
  });
  const recorded = readFileSync(join(dir, 'logs/notifications.jsonl'), 'utf8').trim().split('\n');
  expect(recorded.map((line) => JSON.parse(line))).toEqual(stack.notifications);
});

test('DescribeAlarms answers as CloudWatch does in AWS JSON', async () => {
  const { stack, pass } = await start();
  pass(1);
  const call = async (operation: string, input: object, key = stack.credentials.accessKeyId) => {
    const response = await fetch(stack.endpoints.cloudwatch, {
      method: 'POST',
      headers: {
        'x-amz-target': `GraniteServiceVersion20100801.${operation}`,
        'content-type': 'application/x-amz-json-1.0',
        authorization: `AWS4-HMAC-SHA256 Credential=${key}/20261130/us-east-1/monitoring/aws4_request`,
      },
      body: JSON.stringify(input),
    });
    return { status: response.status, body: (await response.json()) as Record<string, never> };
  };
  const { body } = await call('DescribeAlarms', { StateValue: 'ALARM' });
  expect(body).toEqual({
    CompositeAlarms: [],
    MetricAlarms: [
      expect.objectContaining({
        AlarmName: 'silence',
        AlarmArn: 'arn:aws:cloudwatch:us-east-1:000000000000:alarm:silence',
        ActionsEnabled: true,
        StateValue: 'ALARM',
        StateReason:
          'Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [Breaching].',
        Namespace: 'fixture',
        MetricName: 'Dropped',
        Dimensions: [{ Name: 'Stack', Value: 'fixture' }],
        Period: 60,
        Statistic: 'Sum',
        TreatMissingData: 'breaching',
      }),
    ],
  });
  const named = await call('DescribeAlarms', { AlarmNamePrefix: 'error' });
  expect(named.body.MetricAlarms).toMatchObject([
    {
      AlarmName: 'error-rate',
      Metrics: [{ Id: 'rate', ReturnData: true }, { Id: 'errors' }, { Id: 'runs' }],
    },
  ]);
  expect((await call('DescribeAlarms', { AlarmNames: [] })).body.MetricAlarms).toEqual([]);
  expect(await call('PutMetricAlarm', {})).toMatchObject({
    status: 400,
    body: { __type: 'UnknownOperationException' },
  });
  expect(await call('DescribeAlarms', {}, 'AKIANOBODY')).toMatchObject({
    status: 400,
    body: { __type: 'AccessDeniedException' },
  });
});
