/** What is recorded of a batch whose step fails again and again. */

import { expect, test } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import { recordFailure, restAfter, retryAt } from '../../../../src/core/lifecycle/step-failure.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { batchOf } from '../../../support/records.ts';
import { type SeenEvent, telemetryTo } from '../../../support/telemetry.ts';

const NOW = 1_000_000;

test('three failures are left to the queue; from then on a batch waits for 5 minutes, then ever longer up to an hour', () => {
  const rests = Array.from({ length: 9 }, (_, index) => restAfter(index));
  expect(rests.map((rest) => rest && rest / MINUTE_MS)).toEqual([
    ...Array(4).fill(undefined),
    5,
    10,
    20,
    40,
    60,
  ]);
});

test('a batch with a deadline is tried again when a quarter of the time that is left has passed', () => {
  const near = { ladder: { deadlineAt: NOW + 4 * MINUTE_MS } } as Pick<BatchRecord, 'ladder'>;
  expect(retryAt(near, HOUR_MS, NOW)).toBe(NOW + MINUTE_MS);
  expect(retryAt({}, HOUR_MS, NOW)).toBe(NOW + HOUR_MS);
});

test('the event of a batch that waits says how long it does wait, which a near deadline makes shorter', async () => {
  const events: SeenEvent[] = [];
  const moves: object[] = [];
  const batch = batchOf('job', 0, {
    state: 'admitted',
    ladder: { tiers: ['batch'], deadlineAt: NOW + 4 * MINUTE_MS },
    lease: { holder: 'worker', until: NOW + MINUTE_MS },
    wait: { failures: 3 },
  });
  const isDone = await recordFailure(
    {
      jobs: {
        getBatch: async () => batch,
        moveBatch: async (_, transition) => {
          moves.push(transition.set);
          return batch;
        },
      },
      ambient: { now: () => NOW },
      telemetry: telemetryTo((event) => events.push(event)),
    },
    batch,
    'worker',
    new Error('x'),
    async () => {},
  );
  expect(isDone).toBe(true);
  expect(moves).toMatchObject([{ wait: { failures: 4, notBefore: NOW + MINUTE_MS } }]);
  expect(events).toMatchObject([{ name: 'batch.delayed', fields: { failures: 4, waitMs: MINUTE_MS } }]);
});
