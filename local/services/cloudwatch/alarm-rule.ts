/** An alarm as data, and the states that it may have. */

/** The states of an alarm. */
export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

/** What an alarm makes of periods without data. */
export type MissingDataRule = 'missing' | 'notBreaching' | 'breaching' | 'ignore';

/** How a value is held against the threshold. */
export type Comparison =
  | 'GreaterThanThreshold'
  | 'GreaterThanOrEqualToThreshold'
  | 'LessThanThreshold'
  | 'LessThanOrEqualToThreshold';

/** How the values of one period become one. */
export type Statistic = 'SampleCount' | 'Average' | 'Sum' | 'Minimum' | 'Maximum';

/** A metric: its namespace, its name and all of its dimensions. */
export interface MetricName {
  namespace: string;
  name: string;
  dimensions: Readonly<Record<string, string>>;
}

/** One series of an alarm: a metric's, or what is computed of others. */
export interface AlarmSeries {
  id: string;
  metric?: { metric: MetricName; statistic: Statistic; periodSeconds: number } | undefined;
  /** Such as `100 * errors / calls`. */
  expression?: string | undefined;
  /** Exactly one series of an alarm is held against the threshold. */
  isWatched: boolean;
}

/** What is needed to say whether an alarm fires. */
export interface AlarmRule {
  evaluationPeriods: number;
  /** So many of the periods must breach. */
  datapointsToAlarm: number;
  comparison: Comparison;
  threshold: number;
  missingData: MissingDataRule;
}

/** An alarm of a template. */
export interface AlarmPlan extends AlarmRule {
  name: string;
  arn: string;
  description: string;
  series: readonly AlarmSeries[];
  /** ARNs that get a message of a change to the state. Empty where the alarm's actions are off. */
  actions: Readonly<Record<AlarmState, readonly string[]>>;
}

/** An alarm with its state. */
export interface WatchedAlarm {
  alarm: AlarmPlan;
  state: AlarmState;
  reason: string;
  /** Epoch ms of the last change. */
  since: number;
}

/** A change of an alarm's state. */
export interface StateChange {
  alarm: AlarmPlan;
  from: AlarmState;
  to: AlarmState;
  reason: string;
  /** Epoch ms. */
  at: number;
}
