import { Duration } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { PipelineStack, type PipelineStackProps } from '../../../lib/pipeline-stack.ts';
import { ALARMS, type AlarmRow } from '../../../src/contract/alarms.ts';
import { BATCH_ONLY, manyRoutes } from '../../support/routes.ts';
import { newApp, type Resource, resourcesOf, synthesize } from '../../support/synthesize.ts';

const TOPIC = 'arn:aws:sns:us-east-1:111122223333:on-call';
const ROWS = Object.entries(ALARMS) as [string, AlarmRow][];
const EVERYTHING: PipelineStackProps = {
  settings: {
    routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', notify: TOPIC }],
    webhooks: { apiKeys: ['default'] },
  },
};

/** Alarms by the name of their row. */
function alarmsOf(template: Template): Record<string, Resource['Properties']> {
  const alarms = Object.values(resourcesOf(template, 'AWS::CloudWatch::Alarm'));
  return Object.fromEntries(
    alarms.map(({ Properties }) => [Properties.AlarmName['Fn::Join'][1][1].slice(1), Properties]),
  );
}

function templateOf(props: PipelineStackProps): Template {
  return Template.fromStack(new PipelineStack(newApp(), 'batchdrop', props));
}

describe('with webhooks and somebody to notify', () => {
  const alarms = alarmsOf(templateOf(EVERYTHING));

  test('there is one alarm for each row of the table, named after stack and row', () => {
    expect(Object.keys(alarms).sort()).toEqual(Object.keys(ALARMS).sort());
    expect(alarms['poll-silent'].AlarmName).toEqual({
      'Fn::Join': ['', [{ Ref: 'AWS::StackName' }, '-poll-silent']],
    });
  });

  test.each(ROWS)('%s is as its row says', (name, row) => {
    const alarm = alarms[name];
    expect(alarm).toMatchObject({
      AlarmDescription: expect.stringMatching(
        new RegExp(`^Severity: ${row.severity}\\. .*docs/runbook\\.md#${name}$`),
      ),
      TreatMissingData: row.missing.as,
      Threshold: row.threshold,
      ComparisonOperator: row.isBelow ? 'LessThanThreshold' : 'GreaterThanOrEqualToThreshold',
      EvaluationPeriods: row.periods ?? 1,
    });
    const stats = alarm.Metrics?.flatMap((one: Resource['Properties']) => one.MetricStat ?? []) ?? [];
    const metrics =
      stats.length === 0 ? [alarm] : stats.map((one: Resource['Properties']) => ({ ...one.Metric, ...one }));
    for (const metric of metrics) {
      expect(metric.Statistic ?? metric.Stat).toBe(row.statistic);
      expect(metric.Period).toBe(60 * (row.periodMinutes ?? 5));
      const namespace =
        'deadLettersOf' in row.watches ? 'AWS/SQS' : 'functions' in row.watches ? 'AWS/Lambda' : 'batchdrop';
      expect(metric.Namespace).toBe(namespace);
      if (namespace === 'batchdrop')
        expect(metric.Dimensions).toEqual([{ Name: 'Stack', Value: { Ref: 'AWS::StackName' } }]);
    }
  });

  test('an alarm of several metrics adds them up, or divides one by the other from a least on, and uses no other mathematics', () => {
    const expressions = Object.values(alarms).flatMap(({ Metrics = [] }) =>
      Metrics.flatMap(({ Expression }: { Expression?: string }) => Expression ?? []),
    );
    const sum = 'SUM([f0, f1, f2, f3, f4, f5, f6, f7, f8])';
    expect(expressions.sort()).toEqual(['IF(part >= 5, part / whole, 0)', sum, sum]);
  });

  test('the alarms of functions look at every function of the stack', () => {
    const watched = alarms['functions-failing'].Metrics.flatMap(
      ({ MetricStat }: Resource['Properties']) => MetricStat?.Metric.Dimensions[0].Value.Ref ?? [],
    );
    const functions = Object.keys(resourcesOf(templateOf(EVERYTHING), 'AWS::Lambda::Function'));
    expect(watched.sort()).toEqual(functions.sort());
  });

  test('tells nobody unless it is given a topic', () => {
    for (const alarm of Object.values(alarms))
      expect([alarm.AlarmActions, alarm.OKActions, alarm.InsufficientDataActions]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
  });
});

test('a topic gets a message when an alarm fires and when it clears, and the runbook may lie elsewhere', () => {
  const runbookUrl = 'https://wiki.example.com/batchdrop';
  const template = synthesize({ alarms: { topicArn: TOPIC, runbookUrl } });
  for (const [name, alarm] of Object.entries(alarmsOf(template))) {
    expect([alarm.AlarmActions, alarm.OKActions]).toEqual([[TOPIC], [TOPIC]]);
    expect(alarm.AlarmDescription).toContain(`Runbook: ${runbookUrl}#${name}`);
  }
  template.resourceCountIs('AWS::SNS::Topic', 0);
});

test('a stack without webhooks and without anybody to notify has no alarm for them', () => {
  const names = Object.keys(alarmsOf(synthesize()));
  const others = ROWS.filter(([, { only }]) => only !== undefined).map(([name]) => name);
  expect(others.sort()).toEqual(['notifications-dead-letters', 'observe-dead-letters', 'webhooks-silent']);
  expect(names.sort()).toEqual(
    Object.keys(ALARMS)
      .filter((name) => !others.includes(name))
      .sort(),
  );
});

test('what is sampled by the poll is looked at as often as it runs, and not more often than a run may take', () => {
  const periodOf = (minutes: number): number =>
    alarmsOf(synthesize({ pollInterval: Duration.minutes(minutes) }))['poll-silent'].Period;
  expect([1, 15, 60].map(periodOf)).toEqual([300, 900, 3_600]);
});

test('alarms and dashboard are off by one prop each', () => {
  const template = synthesize({ alarms: false, dashboard: false });
  template.resourceCountIs('AWS::CloudWatch::Alarm', 0);
  template.resourceCountIs('AWS::CloudWatch::Dashboard', 0);
  synthesize({ alarms: false }).resourceCountIs('AWS::CloudWatch::Dashboard', 1);
});

test('50 routes with a key, a result prefix and somebody to notify each stay below 400 resources', () => {
  const routes = manyRoutes(50, 50).map((route, index) => ({
    ...route,
    notify: `arn:aws:sns:us-east-1:111122223333:team-${index}`,
  }));
  const template = templateOf({ settings: { routes, webhooks: { apiKeys: ['default', 'team-1'] } } });
  expect(Object.keys(template.toJSON().Resources).length).toBeLessThan(400);
});
