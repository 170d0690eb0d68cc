import { describe, expect, it } from 'vitest';
import { readEmbeddedMetrics } from '../../../../../local/services/cloudwatch/emf.ts';

const AT = Date.UTC(2026, 10, 30);
const lineOf = (directive: object, members: object) =>
  JSON.stringify({ level: 'INFO', _aws: { Timestamp: AT, CloudWatchMetrics: [directive] }, ...members });

describe('a log line in the embedded metric format', () => {
  it('gives each value of each metric once for each set of dimensions', () => {
    const line = lineOf(
      { Namespace: 'batchdrop', Dimensions: [['Stack'], ['Stack', 'tier']], Metrics: [{ Name: 'Requests' }] },
      { Stack: 'Drop', tier: 'flex', Requests: [2, 3] },
    );
    const sample = (dimensions: object, value: number) => ({
      namespace: 'batchdrop',
      name: 'Requests',
      dimensions,
      at: AT,
      value,
    });
    expect(readEmbeddedMetrics(line)).toEqual([
      sample({ Stack: 'Drop' }, 2),
      sample({ Stack: 'Drop', tier: 'flex' }, 2),
      sample({ Stack: 'Drop' }, 3),
      sample({ Stack: 'Drop', tier: 'flex' }, 3),
    ]);
  });

  it('gives nothing for a metric or a dimension that the line has no value of', () => {
    const directive = { Namespace: 'n', Dimensions: [['Stack']], Metrics: [{ Name: 'A' }, { Name: 'B' }] };
    expect(readEmbeddedMetrics(lineOf(directive, { Stack: 'Drop', B: 1 }))).toHaveLength(1);
    expect(readEmbeddedMetrics(lineOf(directive, { A: 1, B: 1 }))).toEqual([]);
    expect(readEmbeddedMetrics(lineOf(directive, { Stack: 'Drop', A: 'text', B: null }))).toEqual([]);
  });

  it('is no other line', () => {
    expect(readEmbeddedMetrics('not JSON with "CloudWatchMetrics"')).toEqual([]);
    expect(readEmbeddedMetrics(JSON.stringify({ message: 'says "CloudWatchMetrics"' }))).toEqual([]);
    expect(readEmbeddedMetrics('"CloudWatchMetrics"')).toEqual([]);
  });
});
