/**
 * What CloudWatch sends to an SNS topic when an alarm changes its state.
 *
 * Source: Amazon SNS messages of CloudWatch alarms, as AWS's own samples and `aws-lambda-go/events.CloudWatchAlarmSNSPayload`
 * have them.
 */
import type { AlarmPlan, MetricName, StateChange } from './alarm-rule.ts';
import { describeAll, onlyMetric } from './describe.ts';

/** What CloudWatch calls the region of the local stack. */
const REGION_NAME = 'US East (N. Virginia)';

/** Subject and message of a notification. */
export function notificationOf({ alarm, from, to, reason, at }: StateChange, account: string) {
  const message = {
    AlarmName: alarm.name,
    AlarmDescription: alarm.description,
    AWSAccountId: account,
    AlarmConfigurationUpdatedTimestamp: timestamp(0),
    NewStateValue: to,
    NewStateReason: reason,
    StateChangeTime: timestamp(at),
    Region: REGION_NAME,
    AlarmArn: alarm.arn,
    OldStateValue: from,
    OKActions: alarm.actions.OK,
    AlarmActions: alarm.actions.ALARM,
    InsufficientDataActions: alarm.actions.INSUFFICIENT_DATA,
    Trigger: triggerOf(alarm),
  };
  return { subject: `${to}: "${alarm.name}" in ${REGION_NAME}`, message: JSON.stringify(message) };
}

function triggerOf(alarm: AlarmPlan): object {
  const only = onlyMetric(alarm.series);
  const common = {
    EvaluationPeriods: alarm.evaluationPeriods,
    DatapointsToAlarm: alarm.datapointsToAlarm,
    ComparisonOperator: alarm.comparison,
    Threshold: alarm.threshold,
    TreatMissingData: alarm.missingData,
    EvaluateLowSampleCountPercentile: '',
  };
  if (only === undefined) return { ...common, Metrics: describeAll(alarm.series, describeMetric) };
  const { metric, statistic, periodSeconds } = only;
  return {
    ...describeMetric(metric),
    StatisticType: 'Statistic',
    Statistic: statistic.toUpperCase(),
    Unit: null,
    Period: periodSeconds,
    ...common,
  };
}

function describeMetric({ namespace, name, dimensions }: MetricName) {
  return {
    MetricName: name,
    Namespace: namespace,
    Dimensions: Object.entries(dimensions).map(([key, value]) => ({ value, name: key })),
  };
}

/** ISO 8601 with a numeric zone, as these messages have it. */
function timestamp(at: number): string {
  return new Date(at).toISOString().replace('Z', '+0000');
}
