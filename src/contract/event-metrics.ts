/**
 * Metrics of events: what of a log line CloudWatch counts, adds up or takes as a state. They are written in the
 * embedded metric format, in the line of their event (ADR 45). Source: CloudWatch user guide, "Specification: Embedded
 * metric format".
 */

/** The namespace of every metric. */
export const METRIC_NAMESPACE = 'batchdrop';
/** The dimension that every metric has: the name of the CloudFormation stack. */
export const STACK_DIMENSION = 'Stack';
/** In place of a value that is none of those of a dimension. */
export const OTHER_VALUE = 'other';

/** One more dimension of a metric, with a closed set of values: never a key, a job, a model or an id. */
export interface MetricDimension {
  name: 'Tier' | 'Cause';
  values: readonly string[];
  /** The field that has the value; one that is not in `values` becomes `other`. @default the only one of `values` */
  field?: string;
}

/** A metric that counts an event, or takes one of its numbers. */
export interface EventMetric {
  /** Name in CloudWatch. */
  name: string;
  unit: 'Count' | 'Milliseconds' | 'Percent' | 'None';
  /** The field whose value it takes; a flag counts 0 or 1. Absent in an event: there is no value. @default 1 */
  field?: string;
  /** Of a field of the kind `counts`: which of its codes. One that is not there counts 0. */
  of?: string;
  /** @default the stack alone */
  by?: MetricDimension;
}

/**
 * The members that make a log line one of the embedded metric format.
 * @param fields of the event, as they are written.
 * @param at epoch milliseconds.
 * @returns no member if no metric has a value.
 */
export function writeMetrics(
  metrics: readonly EventMetric[],
  fields: Readonly<Record<string, unknown>>,
  stack: string,
  at: number,
): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  const directives = new Map<string, { Name: string; Unit: string }[]>();
  for (const metric of metrics) {
    const value = numberOf(metric, fields);
    if (value === undefined) continue;
    members[metric.name] = value;
    if (metric.by !== undefined) members[metric.by.name] = dimensionValueOf(metric.by, fields);
    const dimension = metric.by?.name ?? '';
    const group = directives.get(dimension) ?? [];
    directives.set(dimension, group);
    group.push({ Name: metric.name, Unit: metric.unit });
  }
  if (directives.size === 0) return {};
  const CloudWatchMetrics = [...directives].map(([dimension, Metrics]) => ({
    Namespace: METRIC_NAMESPACE,
    Dimensions: [dimension === '' ? [STACK_DIMENSION] : [STACK_DIMENSION, dimension]],
    Metrics,
  }));
  return { _aws: { Timestamp: at, CloudWatchMetrics }, [STACK_DIMENSION]: stack, ...members };
}

/** What was withheld is no number. */
function numberOf({ field, of }: EventMetric, fields: Readonly<Record<string, unknown>>): number | undefined {
  if (field === undefined) return 1;
  let value = fields[field];
  if (of !== undefined && typeof value === 'object' && value !== null)
    value = (value as Record<string, unknown>)[of] ?? 0;
  const number = typeof value === 'string' || typeof value === 'boolean' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

function dimensionValueOf(
  { field, values }: MetricDimension,
  fields: Readonly<Record<string, unknown>>,
): string {
  if (field === undefined) return values[0]!;
  const value = fields[field];
  return typeof value === 'string' && values.includes(value) ? value : OTHER_VALUE;
}
