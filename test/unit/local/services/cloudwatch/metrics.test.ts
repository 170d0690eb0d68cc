import { describe, expect, it } from 'vitest';
import type { Statistic } from '../../../../../local/services/cloudwatch/alarm-rule.ts';
import { functionSamples } from '../../../../../local/services/cloudwatch/lambda-metrics.ts';
import { MetricStore } from '../../../../../local/services/cloudwatch/metrics.ts';
import { QueueSampler } from '../../../../../local/services/cloudwatch/queue-metrics.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const AT = Date.UTC(2026, 10, 30);

describe('the metric store', () => {
  const metric = { namespace: 'n', name: 'm', dimensions: { a: '1', b: '2' } };
  const store = new MetricStore();
  for (const [minute, value] of [
    [0, 4],
    [0, 8],
    [2, 3],
  ] as const)
    store.add({ ...metric, at: AT + minute * MINUTE + 17, value });

  it.each<[Statistic, number]>([
    ['SampleCount', 3],
    ['Sum', 15],
    ['Average', 5],
    ['Minimum', 3],
    ['Maximum', 8],
  ])('makes the %s of the values of a period, whatever the order of the dimensions', (statistic, value) => {
    const sameMetric = { ...metric, dimensions: { b: '2', a: '1' } };
    expect(store.read(sameMetric, statistic, AT, AT + 3 * MINUTE)).toBe(value);
  });

  it('has no value for minutes without one, for other dimensions, and after its last minute', () => {
    expect(store.read(metric, 'Sum', AT + MINUTE, AT + 2 * MINUTE)).toBeUndefined();
    expect(store.read({ ...metric, dimensions: { a: '1' } }, 'Sum', AT, AT + HOUR)).toBeUndefined();
    expect(store.read(metric, 'Sum', AT - HOUR, AT)).toBeUndefined();
  });
});

describe('metrics of functions', () => {
  const valuesOf = (end: 'succeeded' | 'failed' | 'throttled') =>
    Object.fromEntries(
      functionSamples({ functionName: 'f', at: AT, end, durationMs: 7 }).map(({ name, value }) => [
        name,
        value,
      ]),
    );

  it('count a run, whether it failed and how long it took; what was throttled did not run', () => {
    expect(valuesOf('succeeded')).toEqual({ Invocations: 1, Errors: 0, Throttles: 0, Duration: 7 });
    expect(valuesOf('failed')).toEqual({ Invocations: 1, Errors: 1, Throttles: 0, Duration: 7 });
    expect(valuesOf('throttled')).toEqual({ Throttles: 1 });
  });
});

describe('metrics of queues', () => {
  const EMPTY = { queueName: 'q', ready: 0, delayed: 0, inFlight: 0, oldest: undefined, isPolled: false };
  const FULL = { ...EMPTY, ready: 2, oldest: { messageId: 'a', ageMs: 90_000 } };
  const read = (samples: readonly { name: string; value: number }[]) =>
    Object.fromEntries(samples.map(({ name, value }) => [name.replace('Approximate', ''), value]));

  it('count the messages by state, and tell the age of the oldest by the clock of the stack, which may leap', () => {
    const sampler = new QueueSampler();
    expect(read(sampler.sample({ ...FULL, delayed: 1, inFlight: 3 }, AT))).toEqual({
      NumberOfMessagesVisible: 2,
      NumberOfMessagesDelayed: 1,
      NumberOfMessagesNotVisible: 3,
      AgeOfOldestMessage: 90,
    });
    expect(read(sampler.sample(FULL, AT + HOUR))).toMatchObject({ AgeOfOldestMessage: 3690 });
    const next = { ...FULL, oldest: { messageId: 'b', ageMs: 0 } };
    expect(read(sampler.sample(next, AT + HOUR))).toMatchObject({ AgeOfOldestMessage: 0 });
  });

  it('end six hours after the queue was last active; one that is polled is always active', () => {
    const sampler = new QueueSampler();
    expect(sampler.sample(EMPTY, AT)).toEqual([]);
    sampler.sample(FULL, AT);
    expect(read(sampler.sample(EMPTY, AT + 6 * HOUR - 1))).toMatchObject({
      NumberOfMessagesVisible: 0,
      AgeOfOldestMessage: 0,
    });
    expect(sampler.sample(EMPTY, AT + 6 * HOUR)).toEqual([]);
    expect(sampler.sample({ ...EMPTY, isPolled: true }, AT + 7 * HOUR)).not.toEqual([]);
  });
});
