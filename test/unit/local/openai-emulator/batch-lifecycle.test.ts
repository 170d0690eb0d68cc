import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type BatchRecord,
  DEFAULT_TIMINGS,
  durationMs,
  executedBy,
  NO_TOKENS,
  nextTransition,
} from '../../../../local/openai-emulator/batch-lifecycle.ts';

const record = (changes: Partial<BatchRecord>): BatchRecord => ({
  id: 'batch_1',
  ordinal: 1,
  project: 'proj_1',
  endpoint: '/v1/responses',
  inputFileId: 'file-1',
  completionWindow: '24h',
  metadata: null,
  outputExpiresAfterSeconds: null,
  status: 'in_progress',
  errors: null,
  model: 'gpt-6-luna',
  resolvedModel: 'gpt-6-luna-2026-09-22',
  total: 9,
  enqueuedTokens: 9,
  createdAtMs: 0,
  expiresAtMs: 86_400_000,
  inProgressAtMs: 3000,
  finalizingAtMs: null,
  completedAtMs: null,
  failedAtMs: null,
  expiredAtMs: null,
  cancellingAtMs: null,
  cancelledAtMs: null,
  answeredAtMs: null,
  counts: { total: 9, completed: 0, failed: 0 },
  usage: NO_TOKENS,
  outputFileId: null,
  errorFileId: null,
  faults: [],
  reads: 0,
  ...changes,
});

test('the lines executed never grow fewer, and are all when the batch is due to finalize', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50_000 }),
      fc.integer({ min: 0, max: 86_400_000 }),
      fc.integer({ min: 0, max: 86_400_000 }),
      (total, a, b) => {
        const batch = record({ total });
        const [early, late] = [Math.min(a, b), Math.max(a, b)];
        expect(executedBy(batch, early, DEFAULT_TIMINGS)).toBeLessThanOrEqual(
          executedBy(batch, late, DEFAULT_TIMINGS),
        );
        const end = 3000 + durationMs(batch, DEFAULT_TIMINGS);
        expect(executedBy(batch, end, DEFAULT_TIMINGS)).toBe(total);
        expect(executedBy(batch, end - 1, DEFAULT_TIMINGS)).toBeLessThan(total);
      },
    ),
  );
});

test('the largest batch finishes well inside its window', () => {
  expect(nextTransition(record({ total: 50_000 }), DEFAULT_TIMINGS, false)).toEqual({
    to: 'finalizing',
    atMs: 3000 + 57_000 + 9 * 7_900 + 49_991 * 100,
  });
});

test('a batch that cannot finish in its window expires at its end', () => {
  const batch = record({ faults: [{ kind: 'batch.duration', seconds: 100_000 }] });
  expect(nextTransition(batch, DEFAULT_TIMINGS, false)).toEqual({ to: 'expired', atMs: 86_400_000 });
});

test('nothing more happens to a terminal batch', () => {
  for (const status of ['failed', 'completed', 'expired', 'cancelled'] as const) {
    expect(nextTransition(record({ status }), DEFAULT_TIMINGS, false)).toBeUndefined();
  }
});
