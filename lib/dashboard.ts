import { Aws, Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { EVENTS, type EventRow, type MetricName } from '../src/contract/events.ts';
import { TIERS } from '../src/contract/route.ts';
import { eventMetric } from './alarms.ts';

/** Names are unique in an account, over all of its regions. */
export const DASHBOARD_NAME = `${Aws.STACK_NAME}-${Aws.REGION}`;

/** What the dashboard shows beside metrics of events. */
export interface DashboardProps {
  /** Shown with their states. */
  readonly alarms: readonly cloudwatch.IAlarm[];
}

/** Widgets are 24 units wide in all. */
const THIRD = { width: 8, height: 6 };
const HOUR = Duration.hours(1);
const FIVE_MINUTES = Duration.minutes(5);

/** A title over the widgets of one question. */
function question(markdown: string): cloudwatch.TextWidget {
  return new cloudwatch.TextWidget({ markdown: `## ${markdown}`, width: 24, height: 1 });
}

function latest(name: MetricName, label: string): cloudwatch.Metric {
  return eventMetric(name, 'Maximum', FIVE_MINUTES).with({ label });
}

function total(name: MetricName, label: string): cloudwatch.Metric {
  return eventMetric(name, 'Sum', HOUR).with({ label });
}

/** Metrics side by side over time. */
function lines(title: string, left: cloudwatch.IMetric[]): cloudwatch.GraphWidget {
  return new cloudwatch.GraphWidget({ title, left, leftYAxis: { min: 0 }, ...THIRD });
}

/** Metrics that add up. */
function stacked(title: string, left: cloudwatch.IMetric[]): cloudwatch.GraphWidget {
  return new cloudwatch.GraphWidget({ title, left, stacked: true, leftYAxis: { min: 0 }, ...THIRD });
}

/** Sums over what the dashboard shows. */
function sums(title: string, metrics: cloudwatch.IMetric[]): cloudwatch.SingleValueWidget {
  return new cloudwatch.SingleValueWidget({ title, metrics, setPeriodToTimeRange: true, ...THIRD });
}

/** A duration of events, in hours. */
function hours(name: MetricName, label: string): cloudwatch.MathExpression {
  const metric = eventMetric(name, 'Maximum', FIVE_MINUTES);
  // Ids are unique in a widget, and begin with a small letter.
  const ms = `ms${name}`;
  return new cloudwatch.MathExpression({
    expression: `${ms} / 3600000`,
    usingMetrics: { [ms]: metric },
    label,
    period: FIVE_MINUTES,
  });
}

function byTier(name: MetricName): cloudwatch.Metric[] {
  return TIERS.map((Tier) => eventMetric(name, 'Sum', HOUR, { Tier }).with({ label: Tier }));
}

/** The causes of the table of events. */
const CAUSES = (Object.values(EVENTS) as EventRow[]).flatMap(({ metrics = [] }) =>
  metrics.flatMap(({ name, by }) => (name === 'Retries' && by !== undefined ? by.values : [])),
);

function health(alarms: readonly cloudwatch.IAlarm[]): cloudwatch.IWidget[][] {
  const states = new cloudwatch.AlarmStatusWidget({
    title: 'Alarms',
    alarms: [...alarms],
    width: 24,
    height: 4,
  });
  const causes = CAUSES.map((Cause) => eventMetric('Retries', 'Sum', HOUR, { Cause }).with({ label: Cause }));
  return [
    [question('Is it healthy?')],
    ...(alarms.length === 0 ? [] : [[states]]),
    [
      stacked('Requests succeeded, by tier', byTier('RequestsSucceeded')),
      stacked('Requests failed, by tier', byTier('RequestsFailed')),
      stacked('Retries, by cause', causes),
    ],
  ];
}

function waits(): cloudwatch.IWidget[][] {
  return [
    [question('What waits, and why?')],
    [
      stacked('Batches that wait for …', [
        latest('WaitingForTokens', 'enqueued tokens'),
        latest('WaitingForTurns', 'turns to create'),
        latest('WaitingForBudget', 'budget'),
        latest('WaitingForOperator', 'a suspended scope'),
        latest('WaitingForTime', 'their time'),
        latest('WaitingForRelease', 'batchdrop resume'),
        latest('WaitingForPause', 'batchdrop unpause'),
      ]),
      lines('Suspended scopes', [
        latest('SuspendedKeys', 'API keys'),
        latest('SuspendedQuotas', 'quota'),
        latest('SuspendedBilling', 'billing'),
        latest('SuspendedModels', 'models'),
      ]),
      lines('At OpenAI', [
        latest('BatchesAtOpenAI', 'batches'),
        latest('BatchesUnreachable', 'lost or unreachable'),
      ]),
    ],
  ];
}

function costs(): cloudwatch.IWidget[][] {
  return [
    [question('What does it cost?')],
    [
      stacked('USD an hour, as receipts bill it', [total('Usd', 'USD')]),
      stacked('Tokens an hour', [total('InputTokens', 'input'), total('OutputTokens', 'output')]),
      sums('In the time shown', [
        total('Usd', 'USD'),
        total('RequestsEnded', 'requests'),
        total('JobsCompleted', 'jobs'),
      ]),
    ],
  ];
}

function lateness(): cloudwatch.IWidget[][] {
  return [
    [question('What is late?')],
    [
      lines('Oldest, in hours', [
        hours('OldestWaiting', 'waiting for its turn'),
        hours('OldestOverdue', 'due for a worker'),
      ]),
      lines('Past their deadline', [
        latest('BatchesLate', 'batches at OpenAI'),
        total('DeadlinesMissed', 'jobs that ended late'),
      ]),
      lines('Longest time from drop to result, in hours', [hours('TimeToResult', 'of jobs that ended')]),
    ],
  ];
}

/**
 * One page, `<stack>-<region>`, that answers: is it healthy, what waits and why, what does it cost, what is late. A
 * dashboard costs $3 a month beyond the first three of an account (docs/cost.md).
 */
export class Dashboard extends Construct {
  constructor(scope: Construct, id: string, { alarms }: DashboardProps) {
    super(scope, id);
    new cloudwatch.Dashboard(this, 'Page', {
      dashboardName: DASHBOARD_NAME,
      defaultInterval: Duration.days(1),
      widgets: [...health(alarms), ...waits(), ...costs(), ...lateness()],
    });
  }
}
