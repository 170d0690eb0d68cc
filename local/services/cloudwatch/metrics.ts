/** The values of metrics, kept by the minute as CloudWatch keeps them: count, sum, least and most. */
import { MINUTE_MS } from '../../../src/contract/time.ts';
import type { MetricName, Statistic } from './alarm-rule.ts';

/** A value that was measured. */
export interface Sample extends MetricName {
  /** Epoch ms. */
  at: number;
  value: number;
}

interface Minute {
  count: number;
  sum: number;
  min: number;
  max: number;
}

/** Longer than any period of an alarm times its periods; what is older is forgotten. */
const KEPT_MS = 8 * 24 * 60 * MINUTE_MS;

/** The metrics of a stack, in memory. */
export class MetricStore {
  /** By metric, then by the beginning of the minute. */
  readonly #series = new Map<string, Map<number, Minute>>();

  /** Adds a value to its minute. */
  add(sample: Sample): void {
    const key = keyOf(sample);
    const minutes = this.#series.get(key) ?? new Map<number, Minute>();
    this.#series.set(key, minutes);
    const at = Math.floor(sample.at / MINUTE_MS) * MINUTE_MS;
    const { value } = sample;
    const before = minutes.get(at) ?? { count: 0, sum: 0, min: value, max: value };
    minutes.set(at, {
      count: before.count + 1,
      sum: before.sum + value,
      min: Math.min(before.min, value),
      max: Math.max(before.max, value),
    });
    this.#forget(minutes, at - KEPT_MS);
  }

  /** Metrics that have ever had a value. */
  has(metric: MetricName): boolean {
    return this.#series.has(keyOf(metric));
  }

  /** What a metric was in the minutes from `from` to before `to`; `undefined` without values. */
  read(metric: MetricName, statistic: Statistic, from: number, to: number): number | undefined {
    const minutes = this.#series.get(keyOf(metric));
    if (minutes === undefined) return undefined;
    const within: Minute[] = [];
    for (let at = Math.floor(from / MINUTE_MS) * MINUTE_MS; at < to; at += MINUTE_MS) {
      const minute = minutes.get(at);
      if (minute !== undefined) within.push(minute);
    }
    return within.length === 0 ? undefined : STATISTICS[statistic](within);
  }

  /** Minutes come in the order of time, nearly. */
  #forget(minutes: Map<number, Minute>, before: number): void {
    for (const at of minutes.keys()) {
      if (at >= before) return;
      minutes.delete(at);
    }
  }
}

const total = (minutes: readonly Minute[], of: (minute: Minute) => number): number =>
  minutes.reduce((sum, minute) => sum + of(minute), 0);

const STATISTICS: Readonly<Record<Statistic, (minutes: readonly Minute[]) => number>> = {
  SampleCount: (minutes) => total(minutes, ({ count }) => count),
  Sum: (minutes) => total(minutes, ({ sum }) => sum),
  Average: (minutes) => total(minutes, ({ sum }) => sum) / total(minutes, ({ count }) => count),
  Minimum: (minutes) => Math.min(...minutes.map(({ min }) => min)),
  Maximum: (minutes) => Math.max(...minutes.map(({ max }) => max)),
};

/** Whether the store can compute a statistic. */
export function isStatistic(name: string): name is Statistic {
  return Object.hasOwn(STATISTICS, name);
}

/** Dimensions have no order. */
function keyOf({ namespace, name, dimensions }: MetricName): string {
  return JSON.stringify([namespace, name, Object.entries(dimensions).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
