/** Evaluates the alarms minute by minute, as far as the stack's clock has come. */
import { MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { AlarmPlan, AlarmSeries, StateChange, WatchedAlarm } from './alarm-rule.ts';
import { type Datapoint, EXTRA_PERIODS, evaluateAlarm } from './evaluate.ts';
import { parseExpression } from './expression.ts';
import type { MetricStore, Sample } from './metrics.ts';

/** What a watch is made with. */
export interface WatchInput {
  alarms: readonly AlarmPlan[];
  metrics: MetricStore;
  /** What is measured by looking, such as the depth of queues, as of the end of a minute. */
  sample: (at: number) => readonly Sample[];
  onChange: (change: StateChange) => void;
  /** Epoch ms at which the stack started. */
  startedAt: number;
}

/** A leap of the clock is followed minute by minute for this long (a day); what is before is left out. */
const MAX_MINUTES = 24 * 60;

/** The alarms of a stack. */
export class AlarmWatch {
  readonly #input: WatchInput;
  readonly #alarms: WatchedAlarm[];
  /** End of the last minute that has been evaluated. */
  #evaluatedTo: number;

  constructor(input: WatchInput) {
    this.#input = input;
    this.#evaluatedTo = minuteOf(input.startedAt);
    this.#alarms = input.alarms.map((alarm) => ({
      alarm,
      state: 'INSUFFICIENT_DATA',
      reason: 'Unchecked: Initial alarm creation',
      since: input.startedAt,
    }));
  }

  /** Each alarm with its state. */
  get alarms(): readonly WatchedAlarm[] {
    return this.#alarms;
  }

  /**
   * Evaluates every minute that has ended by `now`. What is measured by looking is taken as it is now for all of
   * them: after a leap of the clock nothing else is known.
   */
  advance(now: number): void {
    const end = minuteOf(now);
    this.#evaluatedTo = Math.max(this.#evaluatedTo, end - MAX_MINUTES * MINUTE_MS);
    while (this.#evaluatedTo < end) {
      for (const sample of this.#input.sample(this.#evaluatedTo)) this.#input.metrics.add(sample);
      this.#evaluatedTo += MINUTE_MS;
      for (const watched of this.#alarms) this.#evaluate(watched, this.#evaluatedTo);
    }
  }

  #evaluate(watched: WatchedAlarm, now: number): void {
    const { alarm, state: from } = watched;
    const { state: to, reason } = evaluateAlarm(alarm, rangeOf(alarm, this.#input.metrics, now), from);
    if (from === to) return;
    Object.assign(watched, { state: to, reason, since: now });
    this.#input.onChange({ alarm, from, to, reason, at: now });
  }
}

/** The periods that an alarm looks at, the latest last. Periods are counted back from the end of the minute. */
function rangeOf(alarm: AlarmPlan, metrics: MetricStore, now: number): Datapoint[] {
  const periodMs = periodSecondsOf(alarm) * SECOND_MS;
  const watched = alarm.series.find(({ isWatched }) => isWatched)!;
  return Array.from({ length: alarm.evaluationPeriods + EXTRA_PERIODS }, (_, index) => {
    const at = now - (alarm.evaluationPeriods + EXTRA_PERIODS - index) * periodMs;
    return { at, value: seriesValue(watched, { alarm, metrics, from: at, to: at + periodMs }) };
  });
}

/** @throws for an expression that refers to a series that is not there */
function seriesValue(
  { metric, expression }: AlarmSeries,
  span: { alarm: AlarmPlan; metrics: MetricStore; from: number; to: number },
): number | undefined {
  const { alarm, metrics, from, to } = span;
  if (metric !== undefined) return metrics.read(metric.metric, metric.statistic, from, to);
  return parseExpression(expression!).evaluate((id) =>
    seriesValue(alarm.series.find((series) => series.id === id)!, span),
  );
}

/** Of all metrics of the alarm: they must agree. */
function periodSecondsOf({ series }: AlarmPlan): number {
  return series.find(({ metric }) => metric !== undefined)!.metric!.periodSeconds;
}

function minuteOf(at: number): number {
  return Math.floor(at / MINUTE_MS) * MINUTE_MS;
}
