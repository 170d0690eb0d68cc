import { expect, test } from 'vitest';
import type { ExplainFacts } from '../../../../cli/view/explain.ts';
import { watchLines } from '../../../../cli/view/watch-view.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { batchOf, jobOf, remoteOf, resultsOf } from '../../../support/records.ts';
import { explainFactsOf } from './explain-facts.ts';

const NOW = Date.UTC(2026, 10, 30, 12);

const factsOf = (batches: BatchRecord[], others: Partial<ExplainFacts> = {}): ExplainFacts =>
  explainFactsOf(batches, NOW, others);

/** 50,000 requests in ten batches: two collected, three at OpenAI, four that wait for room, one held. */
const LARGE = factsOf(
  Array.from({ length: 10 }, (_, index) => {
    const batch = batchOf('j', index, { requests: 5_000, tokens: 2_000_000, updatedAt: NOW });
    if (index < 2)
      return {
        ...batch,
        state: 'collected',
        results: resultsOf({ outcome: { succeeded: 4_990, failed: 10 } }),
      };
    const progress = { total: 5_000, completed: 2_000, failed: 0 };
    if (index < 5)
      return {
        ...batch,
        state: 'submitted',
        remote: remoteOf({ status: 'in_progress', submittedAt: NOW, progress }),
      };
    return index < 9 ? batch : { ...batch, hold: { at: NOW, reason: 'server_error' } };
  }),
  {
    backlog: ['tokens/default/gpt-6-luna'],
    ledgers: new Map([
      [
        'tokens/default/gpt-6-luna',
        { v: 1, name: '', reserved: 6_000_000, used: 0, ceiling: 7_000_000, updatedAt: NOW },
      ],
    ]),
  },
);

const lines = (facts: ExplainFacts, columns: number, rows = 24): string[] =>
  watchLines(facts, { columns, rows, elapsed: '12:03' }, (command) => `${command} --local`);

test('a job of 50,000 requests is shown with its state first, at 60 columns', () => {
  expect(lines(LARGE, 60)).toEqual([
    'running  32 %  16,000 of 50,000 requests  12:03',
    '[##################----------------------------------------]',
    'input/films.jsonl',
    'job j',
    '10 batches: 2 collected, 3 in_progress, 5 planned',
    '- 1 batch (5,000 requests): held for a person: OpenAI',
    '  refused it with code server_error',
    '  $ batchdrop resume j --local',
    "- 4 batches (20,000 requests): for room in OpenAI's queue of",
    '  gpt-6-luna (enqueued tokens) (6,000,000 of 7,000,000 are',
    '  reserved, each of these needs about 2,000,000)',
    '  $ batchdrop limits --local',
    '- 3 batches (15,000 requests): OpenAI works on it',
    '  (in_progress) (2,000 of 5,000 done)',
  ]);
});

test('the same at 120 columns, with a reason on one line where it fits', () => {
  const shown = lines(LARGE, 120);
  expect(shown[0]).toBe('running  32 %  16,000 of 50,000 requests  12:03');
  expect(shown).toContain(
    '- 1 batch (5,000 requests): held for a person: OpenAI refused it with code server_error',
  );
  expect(Math.max(...shown.map(({ length }) => length))).toBeLessThanOrEqual(120);
});

test('a screen with few rows shows the state, and counts the reasons that it has no room for', () => {
  const shown = lines(LARGE, 60, 10);
  expect(shown).toHaveLength(9);
  expect(shown[0]).toMatch(/^running/);
  expect(shown.at(-1)).toBe('- and 2 more reasons: see `explain`');
  expect(lines(LARGE, 5, 1)).toEqual(['runni']);
});

test('100 % is said only of a job of which nothing is left, and a file that is checked has no bar', () => {
  const almost = batchOf('j', 0, {
    requests: 1_000,
    state: 'submitted',
    remote: remoteOf({ status: 'in_progress', progress: { total: 1_000, completed: 999, failed: 0 } }),
  });
  expect(lines(factsOf([almost]), 80)[0]).toContain('99 %');
  const checked = { ...factsOf([]), records: { job: jobOf('j'), batches: [] } };
  expect(lines(checked, 80).slice(0, 2)).toEqual(['checking lines  12:03', 'input/films.jsonl']);
});
