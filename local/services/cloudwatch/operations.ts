/** The operations of CloudWatch's API that are answered here: those that look. */
import { SECOND_MS } from '../../../src/contract/time.ts';
import { AwsError } from '../aws-json-server.ts';
import type { AlarmState, WatchedAlarm } from './alarm-rule.ts';
import { describeAlarm } from './describe.ts';
import { isStatistic, type MetricStore } from './metrics.ts';

const ACCOUNT_ID = '000000000000';
const REGION = 'us-east-1';

/** A dashboard of a template. */
export interface DashboardPlan {
  name: string;
  /** JSON, as the template has it. */
  body: string;
}

/** What is looked at. */
export interface Watched {
  alarms: readonly WatchedAlarm[];
  dashboards: readonly DashboardPlan[];
  metrics: Pick<MetricStore, 'read'>;
}

/** One operation: what its caller needs a right to, and its answer. */
interface Operation {
  resourcesOf(input: never): string[];
  answer(watched: Watched, input: never): object;
}

/** By the API's names. Resources are those of the Service Authorization Reference. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  DescribeAlarms: {
    resourcesOf: ({ AlarmNames = [] }: DescribeAlarmsInput) =>
      (AlarmNames.length === 0 ? ['*'] : AlarmNames).map(
        (name) => `arn:aws:cloudwatch:${REGION}:${ACCOUNT_ID}:alarm:${name}`,
      ),
    answer: describeAlarms,
  },
  GetDashboard: {
    resourcesOf: ({ DashboardName }: GetDashboardInput) => [dashboardArn(DashboardName)],
    answer: getDashboard,
  },
  GetMetricData: { resourcesOf: () => ['*'], answer: getMetricData },
};

interface DescribeAlarmsInput {
  AlarmNames?: string[];
  AlarmNamePrefix?: string;
  StateValue?: AlarmState;
}

/** All on one page. */
function describeAlarms({ alarms }: Watched, input: DescribeAlarmsInput): object {
  const { AlarmNames, AlarmNamePrefix = '', StateValue } = input;
  const chosen = alarms
    .filter(({ alarm }) => AlarmNames?.includes(alarm.name) ?? true)
    .filter(({ alarm }) => alarm.name.startsWith(AlarmNamePrefix))
    .filter(({ state }) => StateValue === undefined || state === StateValue);
  return { MetricAlarms: chosen.map(describeAlarm), CompositeAlarms: [] };
}

interface GetDashboardInput {
  DashboardName?: string;
}

/** Dashboards are of an account, and of no region. */
function dashboardArn(name = ''): string {
  return `arn:aws:cloudwatch::${ACCOUNT_ID}:dashboard/${name}`;
}

function getDashboard({ dashboards }: Watched, { DashboardName }: GetDashboardInput): object {
  const found = dashboards.find(({ name }) => name === DashboardName);
  if (found === undefined)
    throw new AwsError('ResourceNotFound', `Dashboard ${DashboardName} does not exist`, {}, 404);
  return { DashboardName, DashboardBody: found.body, DashboardArn: dashboardArn(DashboardName) };
}

interface GetMetricDataInput {
  /** Epoch seconds. */
  StartTime: number;
  EndTime: number;
  MetricDataQueries?: MetricDataQuery[];
}

interface MetricDataQuery {
  Id: string;
  MetricStat?: {
    Metric: { Namespace: string; MetricName: string; Dimensions?: { Name: string; Value: string }[] };
    /** Seconds. */
    Period: number;
    Stat: string;
  };
}

/** Metrics only, no expressions; the latest value first, as the API gives them. */
function getMetricData({ metrics }: Watched, input: GetMetricDataInput): object {
  const { StartTime, EndTime, MetricDataQueries = [] } = input;
  return {
    MetricDataResults: MetricDataQueries.map(({ Id, MetricStat }) => {
      if (MetricStat === undefined || !isStatistic(MetricStat.Stat))
        throw new AwsError(
          'ValidationError',
          `The local CloudWatch reads metrics with a plain statistic: ${Id}`,
        );
      const { Metric, Period, Stat } = MetricStat;
      const metric = {
        namespace: Metric.Namespace,
        name: Metric.MetricName,
        dimensions: Object.fromEntries((Metric.Dimensions ?? []).map(({ Name, Value }) => [Name, Value])),
      };
      const values: { at: number; value: number }[] = [];
      for (let at = Math.floor(StartTime / Period) * Period; at < EndTime; at += Period) {
        const value = metrics.read(metric, Stat, at * SECOND_MS, (at + Period) * SECOND_MS);
        if (value !== undefined) values.unshift({ at, value });
      }
      return {
        Id,
        Label: Metric.MetricName,
        Timestamps: values.map(({ at }) => at),
        Values: values.map(({ value }) => value),
        StatusCode: 'Complete',
      };
    }),
  };
}
