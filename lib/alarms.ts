import { Aws, Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import {
  ALARMS,
  type AlarmName,
  type AlarmRow,
  describeAlarm,
  type WatchedQueue,
} from '../src/contract/alarms.ts';
import { METRIC_NAMESPACE, STACK_DIMENSION } from '../src/contract/event-metrics.ts';
import type { MetricName } from '../src/contract/events.ts';

/** Who hears of alarms. */
export interface AlarmOptions {
  /**
   * ARN of an SNS topic that gets a message when an alarm fires and when it clears. It is not changed: its policy must let
   * `cloudwatch.amazonaws.com` publish, and so must the policy of its key, if it is encrypted with one.
   *
   * @default - nobody; alarms are seen in CloudWatch and on the dashboard
   */
  readonly topicArn?: string | undefined;
  /** Address of the runbook, to which each alarm's description adds its section. @default 'docs/runbook.md' */
  readonly runbookUrl?: string | undefined;
}

/** What alarms look at. */
export interface AlarmsProps extends AlarmOptions {
  /** Dead-letter queues by what is left undone; those that are absent have no alarm. */
  readonly deadLetterQueues: { readonly [Name in WatchedQueue]?: sqs.IQueue | undefined };
  /** All functions of the stack; CloudWatch takes ten metrics in an alarm. */
  readonly functions: readonly lambda.IFunction[];
  /** How often the poll runs: whole minutes. */
  readonly pollInterval: Duration;
  /** Whether the stack takes in webhooks. */
  readonly hasWebhooks: boolean;
}

/** A run of the poll takes up to five minutes, and while one runs the next ones do nothing. */
const MIN_POLL_PERIOD_MINUTES = 5;

/** Where the runbook is in the project. */
const RUNBOOK = 'docs/runbook.md';

/** A metric of events, of this stack. */
export function eventMetric(
  name: MetricName,
  statistic: string,
  period: Duration,
  dimensions: Readonly<Record<string, string>> = {},
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: METRIC_NAMESPACE,
    metricName: name,
    dimensionsMap: { [STACK_DIMENSION]: Aws.STACK_NAME, ...dimensions },
    statistic,
    period,
  });
}

/** The alarms of `src/contract/alarms.ts`, each named `<stack>-<alarm>`. */
export class Alarms extends Construct {
  /** The alarms by name. */
  readonly alarms: ReadonlyMap<AlarmName, cloudwatch.Alarm>;
  readonly #props: AlarmsProps;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.#props = props;
    const rows = Object.entries(ALARMS) as [AlarmName, AlarmRow][];
    this.alarms = new Map(
      rows.filter(([, row]) => this.#isWanted(row)).map(([name, row]) => [name, this.#newAlarm(name, row)]),
    );
  }

  #isWanted({ watches, only }: AlarmRow): boolean {
    if ('deadLettersOf' in watches) return this.#props.deadLetterQueues[watches.deadLettersOf] !== undefined;
    return only !== 'webhooks' || this.#props.hasWebhooks;
  }

  #newAlarm(name: AlarmName, row: AlarmRow): cloudwatch.Alarm {
    const { topicArn, runbookUrl = RUNBOOK } = this.#props;
    const { GREATER_THAN_OR_EQUAL_TO_THRESHOLD, LESS_THAN_THRESHOLD } = cloudwatch.ComparisonOperator;
    const alarm = new cloudwatch.Alarm(this, name, {
      alarmName: `${Aws.STACK_NAME}-${name}`,
      alarmDescription: describeAlarm(name, runbookUrl),
      metric: this.#metricOf(row),
      threshold: row.threshold,
      comparisonOperator: row.isBelow === true ? LESS_THAN_THRESHOLD : GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: row.periods ?? 1,
      treatMissingData: MISSING[row.missing.as],
    });
    if (topicArn !== undefined) {
      const action = { bind: () => ({ alarmActionArn: topicArn }) };
      alarm.addAlarmAction(action);
      alarm.addOkAction(action);
    }
    return alarm;
  }

  #metricOf({ watches, statistic, periodMinutes }: AlarmRow): cloudwatch.IMetric {
    const { pollInterval, deadLetterQueues, functions } = this.#props;
    const period = Duration.minutes(
      periodMinutes ?? Math.max(MIN_POLL_PERIOD_MINUTES, pollInterval.toMinutes()),
    );
    if ('deadLettersOf' in watches) {
      const queue = deadLetterQueues[watches.deadLettersOf]!;
      return queue.metricApproximateNumberOfMessagesVisible({ statistic, period });
    }
    if ('functions' in watches) {
      const metrics = functions.map((fn, index) => [
        `f${index}`,
        fn.metric(watches.functions, { statistic, period }),
      ]);
      return new cloudwatch.MathExpression({
        expression: `SUM([${metrics.map(([id]) => id).join(', ')}])`,
        usingMetrics: Object.fromEntries(metrics),
        label: watches.functions,
        period,
      });
    }
    const metric = eventMetric(watches.metric, statistic, period);
    if (!('dividedBy' in watches)) return metric;
    return new cloudwatch.MathExpression({
      expression: `IF(part >= ${watches.atLeast}, part / whole, 0)`,
      usingMetrics: { part: metric, whole: eventMetric(watches.dividedBy, statistic, period) },
      label: watches.metric,
      period,
    });
  }
}

const MISSING = {
  breaching: cloudwatch.TreatMissingData.BREACHING,
  notBreaching: cloudwatch.TreatMissingData.NOT_BREACHING,
  ignore: cloudwatch.TreatMissingData.IGNORE,
} as const;
