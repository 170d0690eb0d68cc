import { describe, expect, it } from 'vitest';
import type { AlarmPlan, StateChange } from '../../../../../local/services/cloudwatch/alarm-rule.ts';
import { MetricStore, type Sample } from '../../../../../local/services/cloudwatch/metrics.ts';
import { notificationOf } from '../../../../../local/services/cloudwatch/notification.ts';
import { AlarmWatch } from '../../../../../local/services/cloudwatch/watch.ts';

const MINUTE = 60_000;
const AT = Date.UTC(2026, 10, 30);
const METRIC = { namespace: 'batchdrop', name: 'Failures', dimensions: { Stack: 'Drop' } };
const TOPIC = 'arn:aws:sns:us-east-1:000000000000:oncall';
const ALARM: AlarmPlan = {
  name: 'Drop-failures',
  arn: 'arn:aws:cloudwatch:us-east-1:000000000000:alarm:Drop-failures',
  description: 'Something failed.',
  series: [{ id: 'm1', metric: { metric: METRIC, statistic: 'Sum', periodSeconds: 300 }, isWatched: true }],
  evaluationPeriods: 1,
  datapointsToAlarm: 1,
  comparison: 'GreaterThanOrEqualToThreshold',
  threshold: 2,
  missingData: 'notBreaching',
  actions: { ALARM: [TOPIC], OK: [TOPIC], INSUFFICIENT_DATA: [] },
};

function watchOf(alarm: AlarmPlan, sample: (at: number) => Sample[] = () => []) {
  const metrics = new MetricStore();
  const changes: StateChange[] = [];
  const watch = new AlarmWatch({
    alarms: [alarm],
    metrics,
    sample,
    startedAt: AT,
    onChange: (change) => changes.push(change),
  });
  const states = () => changes.map(({ from, to, at }) => [from, to, (at - AT) / MINUTE]);
  return { metrics, watch, changes, states };
}

describe('the watch over alarms', () => {
  it('evaluates each minute that has ended: an alarm fires once, and clears once its data has gone', () => {
    const { metrics, watch, states } = watchOf(ALARM);
    watch.advance(AT + MINUTE);
    metrics.add({ ...METRIC, at: AT + 61_000, value: 1 });
    metrics.add({ ...METRIC, at: AT + 62_000, value: 1 });
    watch.advance(AT + 2 * MINUTE - 1);
    expect(states()).toEqual([['INSUFFICIENT_DATA', 'OK', 1]]);
    watch.advance(AT + 2 * MINUTE);
    watch.advance(AT + 60 * MINUTE);
    // The evaluation range has two periods more than one: an hour's leap finds the minute in which all have passed.
    expect(states().slice(1)).toEqual([
      ['OK', 'ALARM', 2],
      ['ALARM', 'OK', 17],
    ]);
    expect(watch.alarms[0]).toMatchObject({ state: 'OK', since: AT + 17 * MINUTE });
  });

  it('takes what is measured by looking as constant over a leap of the clock', () => {
    const { watch, states } = watchOf(ALARM, (at) => [{ ...METRIC, at, value: 1 }]);
    watch.advance(AT + 10 * MINUTE);
    expect(states()).toEqual([
      ['INSUFFICIENT_DATA', 'OK', 1],
      ['OK', 'ALARM', 2],
    ]);
  });

  it('computes expressions over metrics of the same periods', () => {
    const other = { ...METRIC, name: 'Calls' };
    const { metrics, watch } = watchOf({
      ...ALARM,
      threshold: 50,
      series: [
        { ...ALARM.series[0]!, id: 'failures', isWatched: false },
        { id: 'calls', metric: { metric: other, statistic: 'Sum', periodSeconds: 300 }, isWatched: false },
        { id: 'rate', expression: '100 * failures / calls', isWatched: true },
      ],
    });
    metrics.add({ ...METRIC, at: AT, value: 1 });
    watch.advance(AT + MINUTE);
    expect(watch.alarms[0]?.state).toBe('OK');
    metrics.add({ ...other, at: AT + MINUTE, value: 2 });
    watch.advance(AT + 2 * MINUTE);
    expect(watch.alarms[0]?.state).toBe('ALARM');
  });
});

describe("an alarm's notification", () => {
  it('has the shape of those that CloudWatch sends to SNS', () => {
    const change = { alarm: ALARM, from: 'OK', to: 'ALARM', reason: 'Threshold Crossed', at: AT } as const;
    const { subject, message } = notificationOf(change, '000000000000');
    expect(subject).toBe('ALARM: "Drop-failures" in US East (N. Virginia)');
    expect(JSON.parse(message)).toEqual({
      AlarmName: 'Drop-failures',
      AlarmDescription: 'Something failed.',
      AWSAccountId: '000000000000',
      AlarmConfigurationUpdatedTimestamp: '1970-01-01T00:00:00.000+0000',
      NewStateValue: 'ALARM',
      NewStateReason: 'Threshold Crossed',
      StateChangeTime: '2026-11-30T00:00:00.000+0000',
      Region: 'US East (N. Virginia)',
      AlarmArn: ALARM.arn,
      OldStateValue: 'OK',
      OKActions: [TOPIC],
      AlarmActions: [TOPIC],
      InsufficientDataActions: [],
      Trigger: {
        MetricName: 'Failures',
        Namespace: 'batchdrop',
        StatisticType: 'Statistic',
        Statistic: 'SUM',
        Unit: null,
        Dimensions: [{ value: 'Drop', name: 'Stack' }],
        Period: 300,
        EvaluationPeriods: 1,
        DatapointsToAlarm: 1,
        ComparisonOperator: 'GreaterThanOrEqualToThreshold',
        Threshold: 2,
        TreatMissingData: 'notBreaching',
        EvaluateLowSampleCountPercentile: '',
      },
    });
  });
});
