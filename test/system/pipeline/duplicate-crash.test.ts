/** Kills the pipeline before and after the calls by which a duplicate is made and ended: it is bought once and answered once. */
import { expect, test } from 'vitest';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { chatLine, type Interceptor, startPipeline } from '../../support/pipeline.ts';

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

class KilledError extends Error {}

/** Drops the same file twice; at the call number `at`, of those that count, the process dies. */
async function run(at: number, when: 'before' | 'after', isVersioned: boolean, ends: 'succeeded' | 'failed') {
  const calls: string[] = [];
  let isDead = false;
  const intercept: Interceptor = async (call, effect) => {
    if (isDead) throw new KilledError(call);
    if (CALLS.has(call)) calls.push(call);
    if (!CALLS.has(call) || calls.length - 1 !== at) return effect();
    if (when === 'after') await effect();
    isDead = true;
    throw new KilledError(call);
  };
  const faults =
    ends === 'failed'
      ? ([{ times: 1, match: { custom_id: '^a$' }, effect: { kind: 'line.status', status: 400 } }] as const)
      : [];
  const p = await startPipeline({
    isVersioned,
    intercept,
    onInvocation: () => {
      isDead = false;
    },
    emulator: { faults },
  });
  try {
    const ids: string[] = [];
    for (let drops = 0; drops < 2; drops++) {
      p.emulator.clock.advance(1_000);
      await p.deps.objects.put(KEY, Buffer.from(TEXT));
      ids.push(jobIdOf((await p.deps.objects.head('bucket', KEY))!));
      // S3's event comes back until it has been handled.
      for (let isHandled = false; !isHandled; ) {
        isDead = false;
        isHandled = await p.notify(KEY).then(
          () => true,
          () => false,
        );
      }
    }
    await p.run(40);
    const jobs = await Promise.all(ids.map((id) => p.deps.jobs.getJob(id)));
    const executions = (await p.emulator.ledger.all()).length;
    const told = new Set(p.deps.events.sent.map(({ jobId }) => jobId)).size;
    const owner = jobs[1]?.duplicateOf === ids[0] ? 'the first' : jobs[1]?.duplicateOf;
    return { calls, end: { results: jobs.map((job) => job?.result), owner, executions, told } };
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
    const calm = await run(-1, 'before', isVersioned, ends);
    expect(calm.end).toEqual(EXPECTED[ends]);
    for (const when of ['before', 'after'] as const) {
      for (const [at, call] of calm.calls.entries()) {
        const { end } = await run(at, when, isVersioned, ends);
        expect(end, `killed ${when} call ${at}, ${call}`).toEqual(EXPECTED[ends]);
      }
    }
  },
);
