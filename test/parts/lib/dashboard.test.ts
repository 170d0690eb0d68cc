import { describe, expect, test } from 'vitest';
import { EVENTS, type EventRow } from '../../../src/contract/events.ts';
import { onlyResource, synthesize } from '../../support/synthesize.ts';

interface Widget {
  type: string;
  y: number;
  properties: { markdown?: string; metrics?: unknown[][]; alarms?: unknown[] };
}

const { DashboardName, DashboardBody } = onlyResource(synthesize(), 'AWS::CloudWatch::Dashboard').Properties;
/** References stand for themselves. */
const text = (DashboardBody['Fn::Join'][1] as unknown[])
  .map((part) => (typeof part === 'string' ? part : 'REF'))
  .join('');
const widgets: Widget[] = JSON.parse(text).widgets;
const METRICS = (Object.values(EVENTS) as EventRow[]).flatMap(({ metrics = [] }) => metrics);

describe('the dashboard', () => {
  test('has a name of its stack and region, since names are unique over all regions of an account', () => {
    expect(DashboardName).toEqual({
      'Fn::Join': ['', [{ Ref: 'AWS::StackName' }, '-', { Ref: 'AWS::Region' }]],
    });
  });

  test('answers four questions on one page', () => {
    const titles = widgets.filter(({ type }) => type === 'text').map(({ properties }) => properties.markdown);
    expect(titles).toEqual([
      '## Is it healthy?',
      '## What waits, and why?',
      '## What does it cost?',
      '## What is late?',
    ]);
    expect(widgets.some(({ properties }) => (properties.alarms?.length ?? 0) > 20)).toBe(true);
  });

  test('shows metrics that events have, with the dimensions that they have', () => {
    const shown = widgets
      .flatMap(({ properties }) => properties.metrics ?? [])
      .filter(([space]) => space === 'batchdrop');
    expect(shown.length).toBeGreaterThan(30);
    for (const [, name, ...rest] of shown) {
      const texts = rest.filter((one) => typeof one === 'string');
      const pairs = new Map(
        texts.flatMap((one, index) => (index % 2 === 0 ? [[one, texts[index + 1]!]] : [])),
      );
      expect(pairs.get('Stack')).toBe('REF');
      pairs.delete('Stack');
      const series = METRICS.filter((metric) => metric.name === name).flatMap(
        ({ by }) => by?.values.map((value) => [[by.name, value]]) ?? [[]],
      );
      expect(series, String(name)).toContainEqual([...pairs]);
    }
  });
});
