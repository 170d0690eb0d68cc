import { Duration } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { functionOf, onlyResource, resourcesOf, synthesize } from '../../support/synthesize.ts';

function scheduleOf(template: ReturnType<typeof synthesize>) {
  const rules = Object.values(resourcesOf(template, 'AWS::Events::Rule'));
  return rules.find(({ Properties }) => Properties.ScheduleExpression !== undefined)!.Properties;
}

test('poll runs every five minutes', () => {
  const template = synthesize();
  const { ScheduleExpression, Targets } = scheduleOf(template);
  expect(ScheduleExpression).toBe('rate(5 minutes)');
  expect(Targets).toHaveLength(1);
  expect(Targets[0].Arn['Fn::GetAtt'][0]).toBe(functionOf(template, 'poll')[0]);
});

test.each([
  [1, 'rate(1 minute)'],
  [15, 'rate(15 minutes)'],
])('poll runs every %i minutes when told so', (minutes, expression) => {
  expect(scheduleOf(synthesize({ pollInterval: Duration.minutes(minutes) })).ScheduleExpression).toBe(
    expression,
  );
});

test('neither EventBridge nor Lambda repeats a run, and one that is throttled waits for up to six hours', () => {
  const template = synthesize({ pollInterval: Duration.minutes(10) });
  expect(scheduleOf(template).Targets[0].RetryPolicy).toEqual({
    MaximumRetryAttempts: 0,
    MaximumEventAgeInSeconds: 21_600,
  });
  expect(onlyResource(template, 'AWS::Lambda::EventInvokeConfig').Properties).toMatchObject({
    MaximumRetryAttempts: 0,
    MaximumEventAgeInSeconds: 21_600,
    Qualifier: '$LATEST',
  });
});

test('only the schedule may invoke poll, and nothing from outside invokes the others', () => {
  const template = synthesize();
  const { Properties } = onlyResource(template, 'AWS::Lambda::Permission');
  expect(Properties).toMatchObject({
    Action: 'lambda:InvokeFunction',
    Principal: 'events.amazonaws.com',
    FunctionName: { 'Fn::GetAtt': [functionOf(template, 'poll')[0], 'Arn'] },
    SourceArn: { 'Fn::GetAtt': [expect.stringMatching(/^PipelinePollSchedule/), 'Arn'] },
  });
});
