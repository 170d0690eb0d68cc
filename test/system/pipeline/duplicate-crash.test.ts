/**
 * Kills the pipeline before and after the calls by which a duplicate is made and ended: it is bought once and answered
 * once.
 */
import { expect, test } from 'vitest';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { type Crash, expectSameAtEachCrash, notifyUntilHandled, withoutCrash } from '../../support/crash.ts';
import { chatLine, startPipeline } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const TEXT = chatLine('a');
const CALLS: ReadonlySet<string> = new Set([
  'inputs.listKey',
  'jobs.createJob',
  'jobs.recordLatest',
  'jobs.leaseJob',
  'jobs.addDuplicate',
  'jobs.listDuplicates',
  'jobs.moveJob',
  'objects.put',
  'outbox.finalize',
  'events.completed',
]);

const counts = (call: string): boolean => CALLS.has(call);

/** Drops the same file twice. */
async function runJobs(crash: Crash, isVersioned: boolean, ends: 'succeeded' | 'failed') {
  const faults =
    ends === 'failed'
      ? ([{ times: 1, match: { custom_id: '^a$' }, effect: { kind: 'line.status', status: 400 } }] as const)
      : [];
  const p = await startPipeline({
    ...crash,
    isVersioned,
    emulator: { faults },
  });
  try {
    const ids: string[] = [];
    for (let drops = 0; drops < 2; drops++) {
      p.emulator.clock.advance(1_000);
      await p.deps.objects.put(KEY, Buffer.from(TEXT));
      ids.push(jobIdOf((await p.deps.objects.head('bucket', KEY))!));
      await notifyUntilHandled(p, KEY, crash);
    }
    await p.run(40);
    const jobs = await Promise.all(ids.map((id) => p.deps.jobs.getJob(id)));
    const executions = (await p.emulator.ledger.all()).length;
    const told = new Set(p.deps.events.sent.map(({ jobId }) => jobId)).size;
    const owner = jobs[1]?.duplicateOf === ids[0] ? 'the first' : jobs[1]?.duplicateOf;
    return { results: jobs.map((job) => job?.result), owner, executions, told };
  } finally {
    await p.stop();
  }
}

const EXPECTED = {
  succeeded: { results: ['succeeded', 'duplicate'], owner: 'the first', executions: 1, told: 2 },
  failed: { results: ['failed', 'succeeded'], owner: undefined, executions: 2, told: 2 },
};

test.each([
  [true, 'succeeded'],
  [false, 'succeeded'],
  [true, 'failed'],
] as const)(
  'killed anywhere (versions are kept: %s; the owner %s)',
  { timeout: 240_000 },
  async (isVersioned, ends) => {
    const run = (crash: Crash) => runJobs(crash, isVersioned, ends);
    const calm = await withoutCrash(run, counts);
    expect(calm.result).toEqual(EXPECTED[ends]);
    for (const when of ['before', 'after'] as const)
      await expectSameAtEachCrash({ calls: calm.calls, when, counts }, run, EXPECTED[ends]);
  },
);
