import { expect, test } from 'vitest';
import { endedRow, jobsText, liveRow, stateText } from '../../../../cli/view/jobs-view.ts';
import { jobEnd } from '../../../support/contracts/job-index.suite.ts';
import { jobOf } from '../../../support/records.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const ID = 'a'.repeat(32);
const RUNNING = liveRow({
  ...jobOf(ID, { state: 'running' }),
  input: {
    ...jobOf(ID).input,
    key: 'input/2026/11/30/reviews-of-films.jsonl',
    lastModified: NOW - 7_200_000,
  },
});
const PARTIAL = endedRow(
  jobEnd('b'.repeat(32), {
    result: 'partial',
    counts: { requests: 50_000, succeeded: 49_998, failed: 2, invalid: 0 },
    usd: '12.5',
    endedAt: NOW - 60_000,
  }).ended,
);

test('the state is first; a table of 60 columns has key and time and says how to get ids, one of 80 has the ids', () => {
  expect(jobsText([RUNNING, PARTIAL], NOW, 60)).toBe(
    [
      'STATE    WHEN       KEY                             REQUESTS',
      'running  2 h ago    input/2026/…ilms.jsonl',
      'partial  1 min ago  input/a.jsonl           49,998 of 50,000',
      'Ids and whole keys do not fit here: --json shows them, or a',
      'wider terminal. `status` takes an id or a whole key.',
    ].join('\n'),
  );
  for (const width of [60, 80, 120])
    for (const line of jobsText([RUNNING, PARTIAL], NOW, width).split('\n'))
      expect(line.length).toBeLessThanOrEqual(width);
  const usual = jobsText([RUNNING, PARTIAL], NOW, 80);
  expect(usual).toContain(`…`);
  for (const width of [80, 120]) expect(jobsText([RUNNING, PARTIAL], NOW, width)).toContain(ID);
  expect(usual).not.toContain('--json');
});

test('a live job is what it does; one whose receipt is being made is finishing', () => {
  const states = (['ingesting', 'running', 'completed', 'rejected', 'duplicate'] as const).map(
    (state) => liveRow(jobOf(ID, { state })).state,
  );
  expect(states).toEqual(['checking', 'running', 'finishing', 'finishing', 'waiting_for_owner']);
  const unreadable = { since: 0, tries: 1, code: 'AccessDenied', reason: 'S3 says no', nextAt: 1 };
  expect(liveRow(jobOf(ID, { ingest: { starts: 1, unreadable } }))).toMatchObject({
    state: 'unreadable',
    reason: 'AccessDenied',
  });
  expect(liveRow(jobOf(ID, { turn: { since: 0, waitsFor: 'perDay' } }))).toMatchObject({
    state: 'waiting_for_turn',
    reason: 'perDay',
  });
});

test('what a person cancelled says so beside what became of it', () => {
  const cancelledAt = NOW - 1_000;
  const rows = [
    liveRow(jobOf(ID, { state: 'running', cancelledAt })),
    endedRow(jobEnd(ID, { result: 'failed', cancelledAt }).ended),
    endedRow(jobEnd(ID, { result: 'rejected', rejection: 'cancelled' }).ended),
    endedRow(jobEnd(ID, { result: 'rejected', rejection: 'empty_file' }).ended),
  ];
  expect(rows.map(stateText)).toEqual([
    'running (cancelled)',
    'failed (cancelled)',
    'rejected (cancelled)',
    'rejected',
  ]);
});
