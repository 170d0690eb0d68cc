/** Reads the alarms of a template, and the topics that they tell. */
import type {
  AlarmPlan,
  AlarmSeries,
  Comparison,
  MissingDataRule,
} from '../services/cloudwatch/alarm-rule.ts';
import { parseExpression } from '../services/cloudwatch/expression.ts';
import { isStatistic } from '../services/cloudwatch/metrics.ts';
import type { DashboardPlan } from '../services/cloudwatch/operations.ts';
import type { TopicPlan } from '../services/sns/topics.ts';
import type { NamedResource, NamedTemplate } from './names.ts';

interface Metric {
  Namespace: string;
  MetricName: string;
  Dimensions?: { Name: string; Value: string }[];
}

interface MetricQuery {
  Id: string;
  Expression?: string;
  MetricStat?: { Metric: Metric; Period: number; Stat: string };
  ReturnData?: boolean;
}

/** Properties of `AWS::CloudWatch::Alarm`. */
interface AlarmProperties extends Partial<Metric> {
  AlarmDescription?: string;
  ActionsEnabled?: boolean;
  AlarmActions?: string[];
  OKActions?: string[];
  InsufficientDataActions?: string[];
  EvaluationPeriods: number;
  DatapointsToAlarm?: number;
  Threshold: number;
  ComparisonOperator: string;
  TreatMissingData?: string;
  Period?: number;
  Statistic?: string;
  ExtendedStatistic?: string;
  Metrics?: MetricQuery[];
}

const COMPARISONS: readonly string[] = [
  'GreaterThanThreshold',
  'GreaterThanOrEqualToThreshold',
  'LessThanThreshold',
  'LessThanOrEqualToThreshold',
] satisfies Comparison[];
const MISSING_DATA: readonly string[] = [
  'missing',
  'notBreaching',
  'breaching',
  'ignore',
] satisfies MissingDataRule[];

/** The alarms of the template. @param problems takes a sentence for each that the local stack cannot evaluate */
export function planAlarms(named: NamedTemplate, problems: string[]): AlarmPlan[] {
  return named.resourcesOf('AWS::CloudWatch::Alarm').flatMap((resource) => {
    const found = findProblems(resource);
    problems.push(...found.map((problem) => `${resource.path} ${problem}`));
    return found.length > 0 ? [] : [planAlarm(resource, named.arnOf(resource.logicalId))];
  });
}

/** Properties of `AWS::SNS::Subscription`. */
interface SubscriptionProperties {
  TopicArn: string;
  Protocol: string;
  Endpoint?: string;
  RawMessageDelivery?: boolean | string;
}

/** The topics of the template. */
export function planDashboards(named: NamedTemplate): DashboardPlan[] {
  return named.resourcesOf('AWS::CloudWatch::Dashboard').map(({ name, properties }) => ({
    name,
    body: (properties as { DashboardBody: string }).DashboardBody,
  }));
}

/** The topics of a template. */
export function planTopics(named: NamedTemplate): TopicPlan[] {
  const subscriptions = named
    .resourcesOf('AWS::SNS::Subscription')
    .map(({ properties }) => properties as SubscriptionProperties);
  const queues = new Map(
    named.resourcesOf('AWS::SQS::Queue').map(({ logicalId, name }) => [named.arnOf(logicalId), name]),
  );
  return named.resourcesOf('AWS::SNS::Topic').map(({ logicalId }) => {
    const arn = named.arnOf(logicalId);
    const ofTopic = subscriptions.filter(({ TopicArn }) => TopicArn === arn);
    return {
      arn,
      subscriptions: ofTopic.map(({ Protocol, Endpoint = '' }) => `${Protocol}:${Endpoint}`),
      queues: ofTopic.flatMap(({ Protocol, Endpoint = '', RawMessageDelivery }) => {
        const name = Protocol === 'sqs' ? queues.get(Endpoint) : undefined;
        return name === undefined ? [] : [{ name, isRaw: String(RawMessageDelivery) === 'true' }];
      }),
    };
  });
}

function planAlarm({ name, properties }: NamedResource, arn: string): AlarmPlan {
  const given = properties as AlarmProperties;
  const areOn = given.ActionsEnabled !== false;
  return {
    name,
    arn,
    description: given.AlarmDescription ?? '',
    series: planSeries(given),
    evaluationPeriods: Number(given.EvaluationPeriods),
    datapointsToAlarm: Number(given.DatapointsToAlarm ?? given.EvaluationPeriods),
    comparison: given.ComparisonOperator as Comparison,
    threshold: Number(given.Threshold),
    missingData: (given.TreatMissingData ?? 'missing') as MissingDataRule,
    actions: {
      ALARM: areOn ? (given.AlarmActions ?? []) : [],
      OK: areOn ? (given.OKActions ?? []) : [],
      INSUFFICIENT_DATA: areOn ? (given.InsufficientDataActions ?? []) : [],
    },
  };
}

function planSeries(given: AlarmProperties): AlarmSeries[] {
  const queries = queriesOf(given);
  return queries.map(({ Id, Expression, MetricStat, ReturnData }) => ({
    id: Id,
    expression: Expression,
    metric: MetricStat && {
      metric: {
        namespace: MetricStat.Metric.Namespace,
        name: MetricStat.Metric.MetricName,
        dimensions: Object.fromEntries(
          (MetricStat.Metric.Dimensions ?? []).map(({ Name, Value }) => [Name, String(Value)]),
        ),
      },
      statistic: MetricStat.Stat as never,
      periodSeconds: Number(MetricStat.Period),
    },
    isWatched: ReturnData ?? true,
  }));
}

/** An alarm of one metric is one of metric math with one query. */
function queriesOf(given: AlarmProperties): readonly MetricQuery[] {
  if (given.Metrics !== undefined) return given.Metrics;
  const { Namespace = '', MetricName = '', Dimensions, Period = 0, Statistic, ExtendedStatistic } = given;
  const stat = Statistic ?? ExtendedStatistic ?? '';
  return [
    {
      Id: 'm1',
      MetricStat: { Metric: { Namespace, MetricName, Dimensions: Dimensions ?? [] }, Period, Stat: stat },
    },
  ];
}

/** What the local stack cannot evaluate of an alarm, and what AWS would refuse. */
function findProblems({ properties }: NamedResource): string[] {
  const given = properties as AlarmProperties;
  const { ComparisonOperator, TreatMissingData = 'missing', EvaluationPeriods, DatapointsToAlarm } = given;
  const queries = queriesOf(given);
  const periods = new Set(
    queries.flatMap(({ MetricStat }) => (MetricStat ? [Number(MetricStat.Period)] : [])),
  );
  return [
    ...(COMPARISONS.includes(ComparisonOperator)
      ? []
      : [`compares by ${ComparisonOperator}, which the local stack does not`]),
    ...(MISSING_DATA.includes(TreatMissingData)
      ? []
      : [`treats missing data as "${TreatMissingData}", which AWS does not know`]),
    ...(Number(DatapointsToAlarm ?? 1) > Number(EvaluationPeriods)
      ? ['wants more datapoints to alarm than it evaluates periods, which AWS refuses']
      : []),
    ...(periods.size === 1 && [...periods].every((period) => period > 0 && period % 60 === 0)
      ? []
      : [
          `has the periods ${[...periods].join(', ') || 'none'}: the local stack evaluates one period of whole minutes`,
        ]),
    ...(queries.filter(({ ReturnData }) => ReturnData ?? true).length === 1
      ? []
      : ['must return the data of exactly one of its metrics, as AWS wants it']),
    ...queries.flatMap((query) => findQueryProblems(query, queries)),
  ];
}

function findQueryProblems(
  { Id, Expression, MetricStat }: MetricQuery,
  queries: readonly MetricQuery[],
): string[] {
  if (MetricStat !== undefined)
    return isStatistic(MetricStat.Stat)
      ? []
      : [`takes the statistic ${MetricStat.Stat}, which the local stack does not compute`];
  try {
    const { ids } = parseExpression(Expression ?? '');
    return ids
      .filter((id) => id === Id || !queries.some((query) => query.Id === id))
      .map((id) => `refers to "${id}" in its expression, which is none of its metrics`);
  } catch (error) {
    return [(error as Error).message];
  }
}
