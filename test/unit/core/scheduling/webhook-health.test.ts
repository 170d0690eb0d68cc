import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { DAY_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import { type WebhookHealth, webhookHealthSchema } from '../../../../src/core/model/webhook-health.ts';
import {
  arrived,
  foundUnreported,
  isHealthy,
  looksAtAll,
} from '../../../../src/core/scheduling/webhook-health.ts';

const NOW = 1_790_000_000_000;
const HEALTHY: WebhookHealth = { v: 1, arrivedAt: NOW };

describe('webhooks are relied on', () => {
  it('from the first one about work of ours, for a day after the last one', () => {
    expect(isHealthy(undefined, NOW)).toBe(false);
    expect(isHealthy(arrived(undefined, NOW), NOW)).toBe(true);
    expect(isHealthy(HEALTHY, NOW + DAY_MS - 1)).toBe(true);
    expect(isHealthy(HEALTHY, NOW + DAY_MS)).toBe(false);
  });

  it('until two minutes after something ended that none reported, and again from the next one on', () => {
    const unreported = foundUnreported(HEALTHY, 'batch_1', NOW + MINUTE_MS)!;
    expect(isHealthy(unreported, NOW + 3 * MINUTE_MS - 1)).toBe(true);
    expect(isHealthy(unreported, NOW + 3 * MINUTE_MS)).toBe(false);
    expect(isHealthy(arrived(unreported, NOW + 4 * MINUTE_MS), NOW + 60 * MINUTE_MS)).toBe(true);
  });

  it('no later because more ended that none reported', () => {
    const unreported = foundUnreported(HEALTHY, 'batch_1', NOW)!;
    expect(foundUnreported(unreported, 'batch_2', NOW + MINUTE_MS)).toBeUndefined();
  });

  it('not before the first one, however much ended', () => {
    expect(isHealthy(foundUnreported(undefined, 'batch_1', NOW), NOW)).toBe(false);
  });
});

test('an arrival is written once a minute at most, and always where something was unreported', () => {
  expect(arrived(HEALTHY, NOW + MINUTE_MS - 1)).toBeUndefined();
  expect(arrived(HEALTHY, NOW + MINUTE_MS)).toEqual({ v: 1, arrivedAt: NOW + MINUTE_MS });
  expect(arrived({ ...HEALTHY, unreported: { id: 'batch_1', foundAt: NOW } }, NOW + 1)).toEqual({
    v: 1,
    arrivedAt: NOW + 1,
  });
});

test('of six polls in a row, at least one looks at everything', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 2 * DAY_MS }), (first, age) => {
      const polls = Array.from({ length: 6 }, (_, index) => looksAtAll(HEALTHY, first + index, NOW + age));
      expect(polls).toContain(true);
      if (age >= DAY_MS) expect(polls).not.toContain(false);
      else expect(polls.filter(Boolean)).toHaveLength(1);
    }),
  );
});

test('whatever happens in whatever order is a record, and without an arrival webhooks are never relied on', () => {
  const step = fc.record({ kind: fc.constantFrom('arrived', 'unreported'), ms: fc.nat(DAY_MS) });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      let now = NOW;
      let health: WebhookHealth | undefined;
      let last: number | undefined;
      for (const { kind, ms } of steps) {
        now += ms;
        const next = kind === 'arrived' ? arrived(health, now) : foundUnreported(health, 'batch_1', now);
        if (kind === 'arrived') last = now;
        health = next === undefined ? health : webhookHealthSchema.parse(next);
        if (last === undefined) expect(isHealthy(health, now)).toBe(false);
        else if (kind === 'arrived') expect(isHealthy(health, now)).toBe(true);
      }
    }),
  );
});
