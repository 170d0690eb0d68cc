/** What a person sees of a stack in which something is wrong: in the state of a local stack that does not run. */
import { expect, test } from 'vitest';
import { batchOf, jobOf } from '../../../support/records.ts';
import { batchdrop } from '../../../support/run-script.ts';
import { stoppedState } from '../../../support/stopped-state.ts';

const JOB = 'a'.repeat(32);

test('what is wrong is said with its command and ends with 1; what a stopped stack does not serve is only looked at', async () => {
  const state = await stoppedState(async ({ jobs, suspensions }) => {
    await jobs.createJob(jobOf(JOB, { state: 'running' }));
    await jobs.createBatch(batchOf(JOB, 0, { hold: { at: 0, reason: 'server_error' } }));
    await jobs.createJob(
      jobOf('b'.repeat(32), { state: 'completed', receiptKey: 'receipts/b.json', forgettingAt: 1 }),
    );
    await suspensions.suspend('default/gpt-6-luna', 'model_not_found', 'created', Date.now());
  });

  const { status, stdout } = await batchdrop('doctor', '--local', '--state', state);
  expect(status).toBe(1);
  const flags = `--local --state ${state}`;
  expect(stdout).toContain('BAD   Bucket notifications: bucket drops does not tell EventBridge');
  expect(stdout).toContain('BAD   Suspensions: default/gpt-6-luna is suspended since');
  expect(stdout).toContain(`$ batchdrop resume --scope default/gpt-6-luna ${flags}`);
  expect(stdout).toContain(`BAD   Held batches: 1 batch held for a person, of job ${JOB}: server_error`);
  expect(stdout).toContain(`$ batchdrop explain ${JOB} ${flags}`);
  expect(stdout).toContain(`BAD   Removals: the removal of job ${'b'.repeat(32)}`);
  expect(stdout).toContain(`$ batchdrop forget ${'b'.repeat(32)} ${flags}`);
  expect(stdout).toMatch(/look {2}Version: could not be looked at/);
  expect(stdout).toMatch(/look {2}Queues: could not be looked at/);
  const json = JSON.parse((await batchdrop('doctor', '--json', '--local', '--state', state)).stdout);
  expect(json).toMatchObject({
    kind: 'stopped',
    checks: expect.arrayContaining([expect.objectContaining({ check: 'held' })]),
  });
});

test('a record of a newer version is a finding of its own: upgrade the CLI', async () => {
  const state = await stoppedState(async ({ jobs }) => {
    await jobs.createJob(jobOf(JOB, { state: 'running' }));
    await jobs.createBatch({ ...batchOf(JOB), v: 2 as never });
  });

  const { status, stdout } = await batchdrop('doctor', '--local', '--state', state);
  expect(status).toBe(1);
  expect(stdout).toContain('BAD   Versions of records: a newer version of batchdrop is deployed');
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('has version 2, this deployment reads version 1');
});
