/** An alarm as the API describes it. */
import { SECOND_MS } from '../../../src/contract/time.ts';
import type { AlarmPlan, AlarmSeries, MetricName, WatchedAlarm } from './alarm-rule.ts';

/** A member of `MetricAlarms`. Times are in seconds, as AWS JSON has them. */
export function describeAlarm({ alarm, state, reason, since }: WatchedAlarm): object {
  return {
    AlarmName: alarm.name,
    AlarmArn: alarm.arn,
    AlarmDescription: alarm.description,
    ActionsEnabled: Object.values(alarm.actions).some((arns) => arns.length > 0),
    OKActions: alarm.actions.OK,
    AlarmActions: alarm.actions.ALARM,
    InsufficientDataActions: alarm.actions.INSUFFICIENT_DATA,
    StateValue: state,
    StateReason: reason,
    StateUpdatedTimestamp: since / SECOND_MS,
    StateTransitionedTimestamp: since / SECOND_MS,
    ...describeWatched(alarm),
    EvaluationPeriods: alarm.evaluationPeriods,
    DatapointsToAlarm: alarm.datapointsToAlarm,
    Threshold: alarm.threshold,
    ComparisonOperator: alarm.comparison,
    TreatMissingData: alarm.missingData,
  };
}

function describeWatched({ series }: AlarmPlan): object {
  const only = onlyMetric(series);
  if (only === undefined) return { Metrics: describeAll(series, describeMetric) };
  const { metric, statistic, periodSeconds } = only;
  return { ...describeMetric(metric), Statistic: statistic, Period: periodSeconds };
}

function describeMetric({ namespace, name, dimensions }: MetricName): object {
  return {
    Namespace: namespace,
    MetricName: name,
    Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
  };
}

/** The metric of an alarm that watches just one. */
export function onlyMetric([first, ...others]: readonly AlarmSeries[]): AlarmSeries['metric'] {
  return others.length === 0 ? first?.metric : undefined;
}

/** The series of an alarm as `Metrics`. */
export function describeAll(
  series: readonly AlarmSeries[],
  describeName: (metric: MetricName) => object,
): object[] {
  return series.map(({ id, metric, expression, isWatched }) => ({
    Id: id,
    ...(metric === undefined
      ? { Expression: expression }
      : {
          MetricStat: {
            Metric: describeName(metric.metric),
            Period: metric.periodSeconds,
            Stat: metric.statistic,
          },
        }),
    ReturnData: isWatched,
  }));
}
