import { expect, test } from 'vitest';
import {
  answeredByOf,
  changeWarnings,
  shutdownWarnings,
} from '../../../../../src/core/steps/finalize/models.ts';
import { SHUTDOWN_RULES } from '../../../../../src/providers/openai/shutdowns.ts';
import { batchOf, jobOf, resultsOf } from '../../../../support/records.ts';

const jobAt = (time: string, deadline?: string) => {
  const job = jobOf('a');
  return {
    input: { ...job.input, lastModified: Date.parse(time) },
    route: { ...job.route, deadline },
  };
};
const warningsAt = (time: string, model = 'gpt-5-nano', deadline?: string): string[] =>
  shutdownWarnings(
    jobAt(time, deadline),
    [batchOf('a', 0, { model }), batchOf('a', 1, { model })],
    SHUTDOWN_RULES,
    undefined,
  ).map(({ message }) => message);

test('answers are counted by the model asked for and the one that answered, over all batches', () => {
  const answered = (model: string, answeredBy: Record<string, number>) =>
    batchOf('a', 0, { model, results: resultsOf({ outcome: { answeredBy } }) });
  const answeredBy = answeredByOf([
    answered('luna', { 'luna-1': 3 }),
    answered('luna', { 'luna-1': 1, 'luna-2': 2 }),
    answered('sol', { 'sol-1': 5 }),
    batchOf('a'),
  ]);
  expect(answeredBy).toEqual({ luna: { 'luna-1': 4, 'luna-2': 2 }, sol: { 'sol-1': 5 } });
  expect(changeWarnings(answeredBy)).toEqual([
    { code: 'model_changed', message: expect.stringContaining('luna-1 (4), luna-2 (2)') },
  ]);
  expect(changeWarnings({ luna: { 'luna-1': 4 } })).toEqual([]);
});

test('a model that ends within 30 days of the drop is warned of once, with how that is to the time of the job', () => {
  expect(warningsAt('2026-11-10T23:00:00Z')).toEqual([]);
  expect(warningsAt('2026-11-20T00:00:00Z')).toEqual([expect.stringContaining('2026-12-11, soon.')]);
  expect(warningsAt('2026-12-09T12:00:00Z')).toEqual([expect.stringContaining('soon')]);
  expect(warningsAt('2026-12-10T12:00:00Z')).toEqual([
    expect.stringContaining('within the time that this job may take'),
  ]);
  expect(warningsAt('2026-12-09T12:00:00Z', 'gpt-5-nano', '3d')).toEqual([
    expect.stringContaining('within the time that this job may take'),
  ]);
  expect(warningsAt('2026-12-12T00:00:00Z')).toEqual([
    expect.stringContaining('before this file was dropped'),
  ]);
  expect(warningsAt('2026-12-12T00:00:00Z', 'gpt-6-luna')).toEqual([]);
});

test('a date that the list of models showed holds in place of the one that the rules know', () => {
  const kept = { v: 1 as const, apiKey: 'default', generation: 1, nextAt: 0, dates: {} };
  const warned = (dates: Record<string, string>) =>
    shutdownWarnings(
      jobAt('2026-12-10T00:00:00Z'),
      [batchOf('a', 0, { model: 'gpt-5-nano' })],
      SHUTDOWN_RULES,
      { ...kept, dates },
    );
  expect(warned({ 'gpt-5-nano': '2027-06-01' })).toEqual([]);
  expect(warned({})).toHaveLength(1);
});
