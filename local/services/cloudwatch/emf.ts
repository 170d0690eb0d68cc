/**
 * Finds the metrics in a line of a function's log.
 *
 * Source: CloudWatch User Guide, "Specification: Embedded metric format": a JSON object whose `_aws.CloudWatchMetrics`
 * names members of the object that are metrics, and sets of members that are their dimensions.
 */
import type { Sample } from './metrics.ts';

interface MetricDirective {
  Namespace: string;
  Dimensions: string[][];
  Metrics: { Name: string }[];
}

/** The specification: each metric may have so many values in one line. */
const MAX_VALUES = 100;

/** The values of a log line; none where it is not in the format. A metric without a value in the line is left out. */
export function readEmbeddedMetrics(line: string): Sample[] {
  if (!line.includes('"CloudWatchMetrics"')) return [];
  const root = parseObject(line);
  const metadata = root?._aws as { Timestamp?: unknown; CloudWatchMetrics?: unknown } | undefined;
  const at = metadata?.Timestamp;
  if (root === undefined || typeof at !== 'number' || !Array.isArray(metadata?.CloudWatchMetrics)) return [];
  return metadata.CloudWatchMetrics.flatMap((directive) => samplesOf(directive, root, at));
}

function samplesOf(
  { Namespace, Dimensions = [], Metrics = [] }: MetricDirective,
  root: Record<string, unknown>,
  at: number,
): Sample[] {
  return Metrics.flatMap(({ Name }) =>
    valuesOf(root[Name]).flatMap((value) =>
      (Dimensions.length === 0 ? [[]] : Dimensions).flatMap((names) => {
        // A dimension without a value in the line: CloudWatch extracts nothing.
        if (names.some((name) => root[name] === undefined)) return [];
        const dimensions = Object.fromEntries(names.map((name) => [name, String(root[name])]));
        return [{ namespace: Namespace, name: Name, dimensions, at, value }];
      }),
    ),
  );
}

function valuesOf(member: unknown): number[] {
  const values = Array.isArray(member) ? member.slice(0, MAX_VALUES) : [member];
  return values.filter((value): value is number => Number.isFinite(value));
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
