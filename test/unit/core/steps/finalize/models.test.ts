import { expect, test } from 'vitest';
import {
  answeredByOf,
  changeWarnings,
  shutdownWarnings,
} from '../../../../../src/core/steps/finalize/models.ts';
import { batchOf, jobOf, resultsOf } from '../../../../support/records.ts';

const jobAt = (time: string, deadline?: string) => {
  const job = jobOf('a');
  return {
    input: { ...job.input, lastModified: Date.parse(time) },
    route: { ...job.route, deadline },
  };
};
const NANO = { model: 'gpt-5-nano', date: '2026-12-11', replacements: ['gpt-6-luna'] };
const warningsAt = (time: string, deadline?: string): string[] =>
  shutdownWarnings(jobAt(time, deadline), { shutdowns: [NANO] }).map(({ message }) => message);

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

test('a model that ends soon is warned of, with how its day is to the time of the job', () => {
  expect(warningsAt('2026-11-20T00:00:00Z')).toEqual([expect.stringContaining('2026-12-11, soon.')]);
  expect(warningsAt('2026-12-09T12:00:00Z')).toEqual([expect.stringContaining('soon')]);
  expect(warningsAt('2026-12-10T12:00:00Z')).toEqual([
    expect.stringContaining('within the time that this job may take'),
  ]);
  expect(warningsAt('2026-12-09T12:00:00Z', '3d')).toEqual([
    expect.stringContaining('within the time that this job may take'),
  ]);
  expect(warningsAt('2026-12-12T00:00:00Z')).toEqual([
    expect.stringMatching(/before this file was dropped.*gpt-6-luna/),
  ]);
});

test('without a model that ends soon nothing is warned of', () => {
  expect(shutdownWarnings(jobAt('2026-12-12T00:00:00Z'), {})).toEqual([]);
});
