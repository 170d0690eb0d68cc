import { expect, test } from 'vitest';
import { isCut, jobView } from '../../../../cli/view/job-view.ts';
import { describeJob } from '../../../../cli/view/progress.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { batchOf, cutBatches, endingOf, jobOf, remoteOf, resultsOf } from '../../../support/records.ts';

const NEXT_AT = Date.UTC(2026, 10, 30, 12);
const job = (changes: Partial<Job>): Job => jobOf('j', changes);
const batch = (changes: Partial<BatchRecord>): BatchRecord => batchOf('j', 0, changes);
const results = (succeeded: number, failed: number) => resultsOf({ outcome: { succeeded, failed } });

test('a file without a job has only been dropped', () => {
  const view = jobView({ job: undefined, batches: [] });
  expect(view).toMatchObject({ jobId: undefined, phase: 'dropped', hasEnded: false, batches: 0 });
  expect(describeJob(view)).toBe('dropped');
});

test.each<[string, Partial<Job>, string]>([
  ['is being ingested', { state: 'ingesting' }, 'checking lines'],
  [
    'fails in a step of its own',
    { state: 'ingesting', failing: { since: 0, tries: 2, reason: 'SlowDown', nextAt: NEXT_AT } },
    'checking lines · failed 2 times (SlowDown), next try at 2026-11-30T12:00:00.000Z',
  ],
  [
    'waits for its turn among the files of its route',
    { state: 'ingesting', turn: { since: 0, waitsFor: 'perHour', nextAt: NEXT_AT } },
    'waiting for its turn: as many files of the route started in the last hour as may, at 2026-11-30T12:00:00.000Z at the earliest',
  ],
  [
    'waits for the files before it',
    { state: 'ingesting', turn: { since: 0, waitsFor: 'earlierDrops' } },
    'waiting for its turn: files that were dropped before it go first',
  ],
  ['has taken its turn', { state: 'ingesting', turn: { since: 0, takenAt: 5 } }, 'checking lines'],
  [
    'is cancelled while it waits',
    { state: 'ingesting', turn: { since: 0 }, cancelledAt: 5 },
    'checking lines',
  ],
  [
    'cannot be read',
    {
      state: 'ingesting',
      ingest: {
        starts: 0,
        unreadable: { since: 0, tries: 1, code: 'AccessDenied', reason: 'denied', nextAt: NEXT_AT },
      },
    },
    'waiting: the file cannot be read (AccessDenied), tried once, next try at 2026-11-30T12:00:00.000Z',
  ],
  [
    'is rejected and has no receipt yet',
    { state: 'rejected', rejection: { code: 'empty_file', message: 'The file is empty.' } },
    'rejected: empty_file',
  ],
  [
    'is rejected and has its receipt, in the same words',
    {
      state: 'rejected',
      receiptKey: 'receipts/a.json',
      rejection: { code: 'empty_file', message: 'The file is empty.' },
    },
    'rejected: empty_file',
  ],
  ['is rejected', { state: 'rejected', receiptKey: 'receipts/a.json' }, 'rejected'],
  ['has completed', { state: 'completed', receiptKey: 'receipts/a.json' }, 'done'],
])('of a job that %s it says so', (_what, changes, text) => {
  expect(describeJob(jobView({ job: job(changes), batches: [] }))).toBe(text);
});

test('a running job counts the requests of its first round once, and what has a result of every round', () => {
  const batches = [
    batch({ round: 0, requests: 1500, state: 'collected', results: results(1000, 100) }),
    batch({
      round: 0,
      requests: 500,
      state: 'submitted',
      remote: remoteOf({ status: 'in_progress', progress: { total: 500, completed: 40, failed: 1 } }),
    }),
    batch({ round: 1, requests: 400, state: 'planned', hold: { reason: 'budget_exhausted' } }),
  ];
  const view = jobView({ job: job({ state: 'running' }), batches });
  expect(view).toMatchObject({
    phase: 'running',
    requests: { total: 2000, done: 1141 },
    batches: 3,
    waitsFor: 'budget_exhausted',
  });
  expect(describeJob(view)).toBe(
    '1,141 of 2,000 requests · 3 batches: 1 collected, 1 in_progress, 1 planned · waiting (budget_exhausted)',
  );
});

test('what OpenAI reports of a batch that runs again never makes more requests done than there are', () => {
  const progress = { total: 10, completed: 10, failed: 0 };
  const batches = [
    batch({ round: 0, requests: 10, state: 'collected', results: results(9, 0) }),
    batch({
      round: 1,
      requests: 1,
      state: 'submitted',
      remote: remoteOf({ status: 'finalizing', progress }),
    }),
  ];
  expect(jobView({ job: job({ state: 'running' }), batches }).requests).toEqual({ total: 10, done: 10 });
});

test('of a duplicate it shows its owner, also where the record of that one is gone', () => {
  const duplicate = job({ state: 'duplicate', duplicateOf: 'owner' });
  const view = jobView({ job: duplicate, owner: { ...jobOf('owner'), state: 'running' }, batches: [] });
  expect(view).toMatchObject({ phase: 'waiting_for_owner', owner: { jobId: 'owner', phase: 'running' } });
  expect(jobView({ job: duplicate, batches: [] }).owner).toMatchObject({ jobId: 'owner', phase: 'dropped' });
});

test('a batch that was cut is replaced by its parts: it is not collected, and nothing was sent once more', () => {
  const batches = cutBatches('j');
  const records = { job: job({ state: 'running' }), batches };
  const view = jobView(records);
  expect(view).toMatchObject({ requests: { total: 20, done: 1 }, batches: 20 });
  expect(describeJob(view)).toBe('1 of 20 requests · 20 batches: 1 collected, 19 planned');
});

test('a batch that was to be cut, and whose job was cancelled before, is collected; so is one that was sent', () => {
  const [parent] = cutBatches('j') as [BatchRecord];
  const cancelled = { ...parent, results: results(0, 20) };
  const { recut: _, ...expired } = { ...parent, remote: remoteOf({ status: 'expired' }) };
  expect([parent, cancelled, expired].map(isCut)).toEqual([true, false, false]);
  const left = { ...expired, stop: { nextTier: 'flex' as const } };
  const { remote: __, ...unsent } = left;
  expect([left, unsent].map(isCut)).toEqual([false, true]);
});

test('a batch that ended before it was sent is withdrawn; one that OpenAI ended is not', () => {
  const unsent = batch({ state: 'ended', ending: endingOf({ status: 'failed' }) });
  const failed = batch({ state: 'ended', ending: endingOf({ status: 'failed' }), remote: remoteOf() });
  const called = batch({ state: 'ended', ending: endingOf({ status: 'completed' }), tier: 'flex' });
  const { states } = jobView({ job: job({ state: 'running' }), batches: [unsent, failed, called] });
  expect(Object.fromEntries(states)).toEqual({ withdrawn: 1, ended: 2 });
});
