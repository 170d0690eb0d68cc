/** What a person sees who lists jobs, in the state of a local stack. */
import { expect, test } from 'vitest';
import { type JobsOptions, jobs } from '../../../../cli/commands/jobs.ts';
import { UsageError } from '../../../../cli/view/exit.ts';
import type { JobRow } from '../../../../cli/view/jobs-view.ts';
import { DAY_MS, HOUR_MS } from '../../../../src/contract/time.ts';
import { jobEnd } from '../../../support/contracts/job-index.suite.ts';
import { jobOf } from '../../../support/records.ts';
import { printed, stoppedState } from '../../../support/stopped-state.ts';

const NOW = Date.UTC(2026, 10, 30, 12);

function live(jobId: string, droppedAt: number, route = 'films') {
  const job = jobOf(jobId);
  const input = { ...job.input, lastModified: droppedAt };
  return { ...job, input, route: { ...job.route, name: route }, createdAt: droppedAt };
}

async function listing() {
  const state = await stoppedState(async ({ jobs: records, index, ignoredDrops }) => {
    await records.createJob(live('older', NOW - 3 * DAY_MS));
    await records.createJob({ ...live('newer', NOW - HOUR_MS, 'books'), state: 'running' });
    await index.recordEnd(jobEnd('done', { key: 'input/done.jsonl', endedAt: NOW - HOUR_MS }));
    await index.recordEnd(
      jobEnd('refused', {
        key: 'input/refused.jsonl',
        endedAt: NOW - DAY_MS,
        result: 'rejected',
        rejection: 'empty_file',
      }),
    );
    const ignored = { v: 1, why: 'not_matched', route: 'films' } as const;
    await ignoredDrops.note({ ...ignored, key: 'input/a.csv', at: NOW - HOUR_MS });
    await ignoredDrops.note({ v: 1, why: 'no_route', key: 'input/z.jsonl', at: NOW - HOUR_MS / 2 });
    await ignoredDrops.note({ ...ignored, key: 'input/b.csv', at: NOW - 30 * HOUR_MS });
    await ignoredDrops.note({ ...ignored, key: 'input/c.csv', at: NOW - 3 * DAY_MS });
    await index.recordEnd(jobEnd('long ago', { key: 'input/long.jsonl', endedAt: NOW - 3 * DAY_MS }));
  });
  const lines = printed();
  const run = async (options: Partial<JobsOptions> = {}): Promise<string> => {
    const all = { local: true, state, since: 2 * DAY_MS, limit: 50, ...options };
    expect(await jobs(all, NOW)).toBe(0);
    return lines.splice(0).join('\n');
  };
  const ids = async (options: Partial<JobsOptions>): Promise<string[]> =>
    (JSON.parse(await run({ ...options, json: true })) as JobRow[]).map(({ jobId }) => jobId);
  return { run, ids };
}

test('lists live jobs, then ended ones within the time asked for, the newest first, as a table and as JSON', async () => {
  const { run, ids } = await listing();
  expect(await run()).toBe(
    [
      'STATE      WHEN     KEY                  JOB      REQUESTS            COST  ROUTE',
      'running    1 h ago  input/newer.jsonl    newer                              books',
      'checking   3 d ago  input/older.jsonl    older                              films',
      'succeeded  1 h ago  input/done.jsonl     done            3  $0.00000000001  films',
      'rejected   1 d ago  input/refused.jsonl  refused         3  $0.00000000001  films',
    ].join('\n'),
  );
  expect(await ids({ since: 4 * DAY_MS })).toEqual(['newer', 'older', 'done', 'refused', 'long ago']);
});

test('lists those of a state, a route or a prefix, and so many at most', async () => {
  const { run, ids } = await listing();
  expect(await ids({ status: 'live' })).toEqual(['newer', 'older']);
  expect(await ids({ status: 'ended' })).toEqual(['done', 'refused']);
  expect(await ids({ status: 'rejected' })).toEqual(['refused']);
  expect(await ids({ status: 'checking' })).toEqual(['older']);
  expect(await ids({ route: 'books' })).toEqual(['newer']);
  expect(await ids({ prefix: 'input/re' })).toEqual(['refused']);
  expect(await ids({ limit: 3 })).toEqual(['newer', 'older', 'done']);
  expect(await run({ prefix: 'none' })).toMatch(/^No such job\. Ended ones are looked for/);
});

test('lists those that a person has cancelled, live and ended, whatever came of them', async () => {
  const state = await stoppedState(async ({ jobs: records, index }) => {
    await records.createJob({ ...live('ending', NOW - HOUR_MS), state: 'running', cancelledAt: NOW - 1_000 });
    await records.createJob({ ...live('running', NOW - HOUR_MS), state: 'running' });
    const cancelled = { result: 'failed', endedAt: NOW - HOUR_MS, cancelledAt: NOW - 2 * HOUR_MS } as const;
    await index.recordEnd(jobEnd('stopped', { key: 'input/stopped.jsonl', ...cancelled }));
    await index.recordEnd(jobEnd('failed', { key: 'input/failed.jsonl', result: 'failed', endedAt: NOW }));
    const duplicate = { result: 'rejected', rejection: 'cancelled', endedAt: NOW - 2 * HOUR_MS } as const;
    await index.recordEnd(jobEnd('again', { key: 'input/again.jsonl', ...duplicate }));
  });
  const [lines, options] = [printed(), { local: true, state, since: DAY_MS, limit: 50 }];
  await jobs({ ...options, status: 'cancelled' }, NOW);
  const rows = lines.splice(0).join('\n').split('\n').slice(1);
  expect(rows.map((row) => row.split(/ {2,}/)[0])).toEqual([
    'running (cancelled)',
    'failed (cancelled)',
    'rejected (cancelled)',
  ]);
  await jobs({ ...options, status: 'failed', json: true }, NOW);
  expect(JSON.parse(lines.join('\n'))).toMatchObject([
    { jobId: 'failed', state: 'failed' },
    { jobId: 'stopped', state: 'failed', cancelledAt: NOW - 2 * HOUR_MS },
  ]);
});

test('a state that there is not is refused with those that there are', async () => {
  await expect(jobs({ local: true, state: '/nowhere', since: 1, limit: 1, status: 'lost' })).rejects.toThrow(
    new UsageError(
      '--status lost: there is live, ended, cancelled, waiting_for_turn, checking, unreadable, running, finishing, waiting_for_owner, succeeded, partial, failed, rejected, duplicate',
    ),
  );
});

test('with --ignored, drops that are not run are listed with why, the newest first', async () => {
  const { run } = await listing();
  expect(await run({ ignored: true })).toBe(
    [
      'WHY          WHEN        KEY            ROUTE',
      'no_route     30 min ago  input/z.jsonl',
      'not_matched  1 h ago     input/a.csv    films',
      'not_matched  1 d ago     input/b.csv    films',
      '',
      'no_route     ignored: no route has a prefix that the key begins with',
      'not_matched  ignored: it matches no glob in match of route "films"',
    ].join('\n'),
  );
  const keys = async (options: Partial<JobsOptions>): Promise<string[]> =>
    (JSON.parse(await run({ ...options, ignored: true, json: true })) as { key: string }[]).map(
      ({ key }) => key,
    );
  expect(await keys({ since: 4 * DAY_MS, route: 'films' })).toEqual([
    'input/a.csv',
    'input/b.csv',
    'input/c.csv',
  ]);
  expect(await keys({ prefix: 'input/b' })).toEqual(['input/b.csv']);
  expect(await keys({ limit: 1 })).toEqual(['input/z.jsonl']);
  expect(await run({ ignored: true, prefix: 'none' })).toMatch(/^No such drop\. They are kept for 14 days/);
});

test('a state together with --ignored is refused', async () => {
  const options = { local: true, state: '/nowhere', since: 1, limit: 1, ignored: true };
  await expect(jobs({ ...options, status: 'failed' })).rejects.toThrow(
    '--status goes with jobs: a drop that is ignored has none',
  );
});
