import { describe, expect, test } from 'vitest';
import { type EventMetric, OTHER_VALUE, writeMetrics } from '../../../src/contract/event-metrics.ts';
import { EVENTS, type EventName, type EventRow } from '../../../src/contract/events.ts';

const AT = 1_790_000_000_000;
const METERED = (Object.entries(EVENTS) as [EventName, EventRow][]).flatMap(([event, row]) =>
  (row.metrics ?? []).map((metric) => ({ event, row, metric })),
);

describe('the metrics of a line', () => {
  test('are members of it, listed in _aws by set of dimensions', () => {
    const { metrics } = EVENTS['batch.collected'];
    const fields = {
      ...{ tier: 'flex', succeeded: 7, failed: 2, retried: 1 },
      ...{ inputTokens: 100, outputTokens: 20, usd: '0.000425' },
    };
    expect(writeMetrics(metrics, fields, 'my-stack', AT)).toEqual({
      _aws: {
        Timestamp: AT,
        CloudWatchMetrics: [
          {
            Namespace: 'batchdrop',
            Dimensions: [['Stack', 'Tier']],
            Metrics: [
              { Name: 'RequestsSucceeded', Unit: 'Count' },
              { Name: 'RequestsFailed', Unit: 'Count' },
            ],
          },
          {
            Namespace: 'batchdrop',
            Dimensions: [['Stack']],
            Metrics: [
              { Name: 'InputTokens', Unit: 'Count' },
              { Name: 'OutputTokens', Unit: 'Count' },
              { Name: 'Usd', Unit: 'None' },
            ],
          },
        ],
      },
      Stack: 'my-stack',
      Tier: 'flex',
      RequestsSucceeded: 7,
      RequestsFailed: 2,
      InputTokens: 100,
      OutputTokens: 20,
      Usd: 0.000425,
    });
  });

  test('count the event where they have no field, and 0 or 1 for a flag', () => {
    const count: EventMetric[] = [
      { name: 'Polls', unit: 'Count' },
      { name: 'Late', unit: 'Count', field: 'isLate' },
    ];
    expect(writeMetrics(count, { isLate: true }, 's', AT)).toMatchObject({ Polls: 1, Late: 1 });
    expect(writeMetrics(count, { isLate: false }, 's', AT)).toMatchObject({ Polls: 1, Late: 0 });
  });

  test('count 0 for a code that is not among those that were counted, so that a state goes back to none', () => {
    const metric: EventMetric = { name: 'Held', unit: 'Count', field: 'waitingFor', of: 'release' };
    expect(writeMetrics([metric], { waitingFor: { tokens: 3 } }, 's', AT)).toMatchObject({ Held: 0 });
    expect(writeMetrics([metric], { waitingFor: { release: 3 } }, 's', AT)).toMatchObject({ Held: 3 });
  });

  test('have no value where their field is absent or withheld; a line without any has no member for CloudWatch', () => {
    const metric: EventMetric = { name: 'Lag', unit: 'Milliseconds', field: 'lagMs' };
    expect(writeMetrics([metric], {}, 's', AT)).toEqual({});
    expect(writeMetrics([metric], { lagMs: 'withheld: expected ms' }, 's', AT)).toEqual({});
    expect(writeMetrics([], { lagMs: 1 }, 's', AT)).toEqual({});
  });

  test('never make a dimension of what is not in its closed set', () => {
    const { metrics } = EVENTS['batch.collected'];
    const names = Array.from({ length: 1_000 }, (_, index) => `ft:gpt-6-luna:customer-${index}`);
    const values = names.map((tier) => writeMetrics(metrics, { tier, succeeded: 1 }, 's', AT).Tier);
    expect(new Set(values)).toEqual(new Set([OTHER_VALUE]));
  });
});

describe('the metrics of the table of events', () => {
  test.each(METERED)(
    '$event: $metric.name is read from a field of a kind that holds a number',
    ({ row, metric }) => {
      const kinds = row.fields as Readonly<Record<string, string>>;
      if (metric.field !== undefined)
        expect(kinds[metric.field]).toMatch(
          metric.of === undefined ? /^(count|ms|usd|flag)\??$/ : /^counts\??$/,
        );
      if (metric.by?.field !== undefined) expect(kinds[metric.by.field]).toBe('code');
      expect(metric.name).toMatch(/^([A-Z][a-z0-9]*)+$/);
    },
  );

  test('have no name of a field, and each name one unit and one dimension', () => {
    const shapes = new Map<string, string>();
    for (const { metric } of METERED) {
      const shape = `${metric.unit} by ${metric.by?.name}`;
      expect(shapes.get(metric.name) ?? shape, metric.name).toBe(shape);
      shapes.set(metric.name, shape);
    }
    // In the line, names of fields begin with a small letter and these with a capital one.
    expect(new Set(shapes.keys()).has('Stack')).toBe(false);
  });

  test('of one event have different names, since a name is a member of its line', () => {
    for (const [name, { metrics = [] }] of Object.entries(EVENTS) as [EventName, EventRow][])
      expect(new Set(metrics.map((metric) => metric.name)).size, name).toBe(metrics.length);
  });

  test('are at most 60 in CloudWatch for a stack, whatever it does: each is billed', () => {
    const series = new Set(
      METERED.flatMap(({ metric }) => {
        if (metric.by === undefined) return [metric.name];
        const values = metric.by.field === undefined ? metric.by.values : [...metric.by.values, OTHER_VALUE];
        return values.map((value) => `${metric.name} ${value}`);
      }),
    );
    expect(series.size).toBeLessThanOrEqual(60);
  });

  test('fit into the 100 that a line may have', () => {
    for (const { row } of METERED) expect(row.metrics!.length).toBeLessThanOrEqual(100);
  });
});
