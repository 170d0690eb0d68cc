import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { functionOf, nameOf, resourcesOf, synthesize } from '../../support/synthesize.ts';

const template = synthesize({ maxConcurrency: { submit: 7 } });
const queues = Object.entries(resourcesOf(template, 'AWS::SQS::Queue')).map(
  ([id, resource]) => [nameOf({ Ref: id }), resource] as const,
);

test('there are five queues, each with a dead-letter queue', () => {
  expect(queues.map(([name]) => name).sort()).toEqual([
    'CallQueue',
    'CallQueueDeadLetters',
    'CollectQueue',
    'CollectQueueDeadLetters',
    'FinalizeQueue',
    'FinalizeQueueDeadLetters',
    'IngestQueue',
    'IngestQueueDeadLetters',
    'SubmitQueue',
    'SubmitQueueDeadLetters',
  ]);
});

test.each(queues)('%s is encrypted and refuses requests without TLS', (name, queue) => {
  expect(queue.Properties.SqsManagedSseEnabled).toBe(true);
  const policy = Object.values(resourcesOf(template, 'AWS::SQS::QueuePolicy')).find(
    ({ Properties }) => nameOf(Properties.Queues[0]) === name,
  );
  expect(policy?.Properties.PolicyDocument.Statement).toContainEqual(
    expect.objectContaining({
      Effect: 'Deny',
      Action: 'sqs:*',
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    }),
  );
});

describe.each(queues.filter(([name]) => name.endsWith('Queue')))('%s', (name, queue) => {
  test('gives up after five receives into its own dead-letter queue', () => {
    expect(queue.Properties.RedrivePolicy.maxReceiveCount).toBe(50);
    expect(nameOf(queue.Properties.RedrivePolicy.deadLetterTargetArn)).toBe(`${name}DeadLetters`);
  });

  test('keeps messages 7 days, and what it gave up on 14 days from when it was sent', () => {
    expect(queue.Properties.MessageRetentionPeriod).toBe(7 * 24 * 60 * 60);
    const [, deadLetters] = queues.find(([other]) => other === `${name}DeadLetters`)!;
    expect(deadLetters.Properties.MessageRetentionPeriod).toBe(14 * 24 * 60 * 60);
  });
});

test.each([
  ['ingest', 'IngestQueue', 10],
  ['submit', 'SubmitQueue', 7],
  ['call', 'CallQueue', 20],
  ['collect', 'CollectQueue', 5],
  ['finalize', 'FinalizeQueue', 5],
] as const)('%s works off %s one message at a time, %i at once', (capability, queueName, maxConcurrency) => {
  const [functionId] = functionOf(template, capability);
  const mappings = Object.values(resourcesOf(template, 'AWS::Lambda::EventSourceMapping')).filter(
    ({ Properties }) => Properties.FunctionName.Ref === functionId,
  );
  expect(mappings).toHaveLength(1);
  const { EventSourceArn, FunctionName: _, ...rest } = mappings[0]!.Properties;
  expect(nameOf(EventSourceArn)).toBe(queueName);
  expect(rest).toEqual({
    BatchSize: 1,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    ScalingConfig: { MaximumConcurrency: maxConcurrency },
  });
});

test('a message stays hidden for a minute longer than the longest run of its function', () => {
  for (const [capability, queueName] of [
    ['ingest', 'IngestQueue'],
    ['submit', 'SubmitQueue'],
    ['call', 'CallQueue'],
    ['collect', 'CollectQueue'],
    ['finalize', 'FinalizeQueue'],
  ] as const) {
    const [, queue] = queues.find(([name]) => name === queueName)!;
    const timeout = functionOf(template, capability)[1].Properties.Timeout;
    expect(queue.Properties.VisibilityTimeout).toBe(timeout + 60);
  }
});

test('only the rule for dropped files may send from outside, and only it', () => {
  const allowed = Object.values(resourcesOf(template, 'AWS::SQS::QueuePolicy')).flatMap(({ Properties }) =>
    Properties.PolicyDocument.Statement.filter(
      (statement: { Effect: string }) => statement.Effect === 'Allow',
    ).map((statement: { Resource: unknown; Principal: unknown; Condition: { ArnEquals: object } }) => [
      nameOf(statement.Resource),
      statement.Principal,
      Object.entries(statement.Condition.ArnEquals).map(([key, arn]) => `${key}=${nameOf(arn)}`),
    ]),
  );
  const rule = ['aws:SourceArn=IngestObjectCreated'];
  expect(allowed).toEqual([
    ['IngestQueueDeadLetters', { Service: 'events.amazonaws.com' }, rule],
    ['IngestQueue', { Service: 'events.amazonaws.com' }, rule],
  ]);
  template.resourceCountIs('AWS::SQS::QueuePolicy', 10);
  template.hasResourceProperties('AWS::Events::Rule', {
    EventPattern: Match.anyValue(),
    Targets: [Match.objectLike({ DeadLetterConfig: Match.anyValue() })],
  });
});
