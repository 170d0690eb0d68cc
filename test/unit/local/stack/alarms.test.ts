import { describe, expect, it } from 'vitest';
import { planAlarms, planTopics } from '../../../../local/stack/alarms.ts';
import { nameResources } from '../../../../local/stack/names.ts';
import type { Template } from '../../../../local/stack/template.ts';

const ACCOUNT = { accountId: '000000000000', region: 'us-east-1', stackName: 'shop', stackId: 'arn' };
const METRIC = { Namespace: 'n', MetricName: 'm', Period: 60, Statistic: 'Sum' };
const ALARM = { ComparisonOperator: 'GreaterThanThreshold', EvaluationPeriods: 2, Threshold: 0, ...METRIC };
const stat = (Id: string, Period = 60) => ({
  Id,
  MetricStat: { Metric: { Namespace: 'n', MetricName: Id }, Period, Stat: 'Sum' },
  ReturnData: false,
});

function planOf(properties: object, others: Template['Resources'] = {}) {
  const Resources = { Alarm: { Type: 'AWS::CloudWatch::Alarm', Properties: { ...properties } }, ...others };
  const problems: string[] = [];
  const named = nameResources({ Resources }, ACCOUNT, (name) => name);
  return { alarms: planAlarms(named, problems), topics: planTopics(named), problems };
}

describe('an alarm of a template', () => {
  it("gets AWS's defaults: every period must breach, missing data is missing, nobody is informed", () => {
    const { alarms, problems } = planOf(ALARM);
    expect(problems).toEqual([]);
    expect(alarms).toEqual([
      {
        name: 'shop-Alarm',
        arn: 'arn:aws:cloudwatch:us-east-1:000000000000:alarm:shop-Alarm',
        description: '',
        series: [
          {
            id: 'm1',
            expression: undefined,
            isWatched: true,
            metric: {
              metric: { namespace: 'n', name: 'm', dimensions: {} },
              statistic: 'Sum',
              periodSeconds: 60,
            },
          },
        ],
        evaluationPeriods: 2,
        datapointsToAlarm: 2,
        comparison: 'GreaterThanThreshold',
        threshold: 0,
        missingData: 'missing',
        actions: { ALARM: [], OK: [], INSUFFICIENT_DATA: [] },
      },
    ]);
  });

  it('tells nobody while its actions are off', () => {
    const given = {
      ...ALARM,
      AlarmActions: ['arn:t'],
      OKActions: ['arn:t'],
      InsufficientDataActions: ['arn:t'],
    };
    expect(planOf(given).alarms[0]?.actions.ALARM).toEqual(['arn:t']);
    expect(Object.values(planOf({ ...given, ActionsEnabled: false }).alarms[0]!.actions)).toEqual([
      [],
      [],
      [],
    ]);
  });

  it.each<[string, object, string]>([
    ['an unknown comparison', { ...ALARM, ComparisonOperator: 'LessThanLowerThreshold' }, 'compares by'],
    ['an unknown rule', { ...ALARM, TreatMissingData: 'never' }, 'treats missing data as "never"'],
    ['too many datapoints', { ...ALARM, DatapointsToAlarm: 3 }, 'more datapoints to alarm than'],
    ['a percentile', { ...ALARM, Statistic: undefined, ExtendedStatistic: 'p99' }, 'the statistic p99'],
    ['seconds', { ...ALARM, Period: 10 }, 'one period of whole minutes'],
    [
      'two periods',
      { ...ALARM, Metrics: [{ Id: 'e', Expression: 'a / b' }, stat('a'), stat('b', 300)] },
      '60, 300',
    ],
    ['no watched series', { ...ALARM, Metrics: [stat('a')] }, 'exactly one of its metrics'],
    [
      'a series that is not there',
      { ...ALARM, Metrics: [{ Id: 'e', Expression: 'a / b' }, stat('a')] },
      'refers to "b"',
    ],
    [
      'an unknown function',
      { ...ALARM, Metrics: [{ Id: 'e', Expression: 'RATE(a)' }, stat('a')] },
      'a known function',
    ],
  ])('is refused with %s', (_what, properties, problem) => {
    const { alarms, problems } = planOf(properties);
    expect(alarms).toEqual([]);
    expect(problems.join('\n')).toContain(problem);
  });
});

describe('a topic of a template', () => {
  it('is named with who subscribes to it', () => {
    const { topics } = planOf(ALARM, {
      Topic: { Type: 'AWS::SNS::Topic' },
      Mail: {
        Type: 'AWS::SNS::Subscription',
        Properties: { TopicArn: { Ref: 'Topic' }, Protocol: 'email', Endpoint: 'a@example.com' },
      },
    });
    expect(topics).toEqual([
      {
        arn: 'arn:aws:sns:us-east-1:000000000000:shop-Topic',
        subscriptions: ['email:a@example.com'],
        queues: [],
      },
    ]);
  });
});
