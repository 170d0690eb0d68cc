/** Without versions, a key names one object: what is forgotten is told apart from what is dropped there meanwhile. */
import { expect, test } from 'vitest';
import { jobIdOf } from '../../../../../src/core/model/job-id.ts';
import { collect } from '../../../../../src/core/steps/collect/collect.ts';
import { finalize } from '../../../../../src/core/steps/finalize/finalize.ts';
import { chatLine, type Interceptor, type Pipeline } from '../../../../support/pipeline.ts';
import { startTestPipeline } from '../../../../support/test-pipeline.ts';

const KEY = 'input/a.jsonl';
const INVALID = '{"custom_id":"broken","method":"POST"}';
const FIRST = [chatLine('alpha-1'), INVALID].join('\n');
// As long as the first one, and with the same invalid line: its errors have the same bytes, and so the same ETag.
const SECOND = [chatLine('gamma-1'), INVALID].join('\n');
const RESULTS = ['output/a.jsonl', 'errors/a.jsonl', 'retry/a.jsonl', 'receipts/a.json'];

/** What happens around the calls of the ports: told of each, before and after its effect. */
type Around = (call: string, when: 'before' | 'after') => Promise<void>;

class KilledError extends Error {}

async function started() {
  let around: Around | undefined;
  const intercept: Interceptor = async (call, effect) => {
    await around?.(call, 'before');
    const result = await effect();
    await around?.(call, 'after');
    return result;
  };
  const p = await startTestPipeline({ isVersioned: false, intercept });
  return {
    p,
    /** While it is set, calls are told to it. */
    during: async <Result>(own: Around, act: () => Promise<Result>): Promise<Result> => {
      around = own;
      try {
        return await act();
      } finally {
        around = undefined;
      }
    },
  };
}

async function dropped(p: Pipeline, body: string): Promise<string> {
  p.emulator.clock.advance(60_000);
  await p.drop(KEY, body);
  return jobIdOf((await p.deps.objects.head('bucket', KEY))!);
}

async function forgotten(p: Pipeline, jobId: string): Promise<void> {
  for (let times = 0; times < 5; times += 1) {
    const answer = await p.operate({ action: 'forget', jobId }).catch((error: Error) => error);
    if (!(answer instanceof Error) && 'state' in answer) return;
    // Until the lease of a dead worker has run out.
    p.emulator.clock.advance(10 * 60_000);
  }
  throw new Error(`job ${jobId} is not forgotten after five times`);
}

/** What is left of both jobs, once nothing moves any more. */
async function leftOf(p: Pipeline, first: string, second: string) {
  const bodies = await Promise.all(
    p.deps.objects.keys().map(async (key) => `${key}: ${Buffer.from((await p.deps.objects.get(key))!)}`),
  );
  const receipt = await p.receipt(KEY);
  return {
    ofFirst: bodies.filter((each) => each.includes('alpha-1') || each.startsWith(`work/${first}/`)),
    record: await p.deps.jobs.getJob(first),
    second: (await p.deps.jobs.getJob(second))?.state,
    receipt: receipt.jobId === second,
    results: RESULTS.filter((key) => p.deps.objects.keys().includes(key)),
    output: (await p.output(KEY)).map(({ custom_id }) => custom_id),
    errors: (await p.errors(KEY)).map(({ custom_id }) => custom_id),
  };
}

const EXPECTED = {
  ofFirst: [],
  record: undefined,
  second: 'completed',
  receipt: true,
  results: RESULTS,
  output: ['gamma-1'],
  errors: ['broken'],
};

/** The calls of one act of forgetting that nothing disturbs. */
async function callsOf(prepared: (p: Pipeline) => Promise<string>): Promise<string[]> {
  const { p, during } = await started();
  const jobId = await prepared(p);
  const calls: string[] = [];
  const note: Around = async (call, when) => {
    if (when === 'before') calls.push(call);
  };
  await during(note, () => p.operate({ action: 'forget', jobId }));
  return calls;
}

/** The first job has ended; of the second one, all is done but to finalize it. */
async function withSecondNearItsEnd(
  p: Pipeline,
  during: <R>(own: Around, act: () => Promise<R>) => Promise<R>,
) {
  const first = await dropped(p, FIRST);
  await p.run();
  const killed: Around = async (call) => {
    if (call === 'jobs.acquirePublication') throw new KilledError(call);
  };
  const second = await during(killed, async () => {
    const jobId = await dropped(p, SECOND);
    await p.run(1);
    return jobId;
  });
  expect(await p.deps.jobs.getJob(second)).toMatchObject({ state: 'running' });
  return { first, second };
}

async function ranFirst(p: Pipeline): Promise<string> {
  const first = await dropped(p, FIRST);
  await p.run();
  return first;
}

test('a re-drop that publishes between any two calls of the removal keeps its results, and nothing is left of the job', async () => {
  const calls = await callsOf(ranFirst);
  expect(calls.filter((call) => call === 'erasure.eraseVersions').length).toBeGreaterThan(4);
  for (const [at, call] of calls.entries()) {
    const { p, during } = await started();
    const { first, second } = await withSecondNearItsEnd(p, during);
    let seen = 0;
    const publish: Around = async (_call, when) => {
      if (when !== 'before' || seen++ !== at) return;
      // Behind the interceptor's back: another worker, at this very moment.
      await finalize(p.deps, { v: 1, jobId: second }).catch(() => {});
    };
    await during(publish, () => p.operate({ action: 'forget', jobId: first }).catch(() => {}));
    await forgotten(p, first);
    await p.run();
    expect(await leftOf(p, first, second), `before call ${at}, ${call}`).toEqual(EXPECTED);
  }
});

// To die at a read is to die before what follows it.
const isWrite = (call: string) => !/\.(head|read|list\w+|get\w+)$/.test(call);

test.each(['before', 'after'] as const)(
  'where the removal dies %s any call, a re-drop that runs before it is repeated keeps its results',
  async (when) => {
    const calls = (await callsOf(ranFirst)).filter(isWrite);
    for (const [at, call] of calls.entries()) {
      const { p, during } = await started();
      const first = await ranFirst(p);
      let seen = -1;
      const kill: Around = async (name, time) => {
        if (time === 'before' && isWrite(name)) seen += 1;
        if (seen > at || (seen === at && (when === 'before' || time === 'after'))) throw new KilledError();
      };
      await during(kill, () => p.operate({ action: 'forget', jobId: first }).catch(() => {}));
      const second = await dropped(p, SECOND);
      await p.run();
      await forgotten(p, first);
      expect(await leftOf(p, first, second), `${when} call ${at}, ${call}`).toEqual(EXPECTED);
    }
  },
);

test('an input that is put between any two calls of the removal stays, and runs', async () => {
  const calls = await callsOf(ranFirst);
  for (const [at, call] of calls.entries()) {
    const { p, during } = await started();
    const first = await ranFirst(p);
    let seen = 0;
    const put: Around = async (_call, when) => {
      if (when === 'before' && seen++ === at) await p.deps.objects.put(KEY, Buffer.from(SECOND));
    };
    await during(put, () => p.operate({ action: 'forget', jobId: first }).catch(() => {}));
    await forgotten(p, first);
    const head = await p.deps.objects.head('bucket', KEY);
    expect(head, `before call ${at}, ${call}`).toBeDefined();
    await p.notify(KEY);
    await p.run();
    expect(await leftOf(p, first, jobIdOf(head!)), `before call ${at}, ${call}`).toEqual(EXPECTED);
  }
});

test('a re-drop that dies between its results and its receipt publishes them again, whatever is forgotten', async () => {
  const { p, during } = await started();
  const { first, second } = await withSecondNearItsEnd(p, during);
  // It dies when its output is there, and its receipt is not.
  const kill: Around = async (call, when) => {
    if (call === 'objects.openWrite.close' && when === 'after') throw new KilledError();
  };
  await during(kill, () => finalize(p.seen, { v: 1, jobId: second }).catch(() => {}));
  p.emulator.clock.advance(10 * 60_000);
  await forgotten(p, first);
  await p.run();
  expect(await leftOf(p, first, second)).toEqual(EXPECTED);
});

test('names that only the forgotten job had are forgotten with it, and others stay', async () => {
  const { p } = await started();
  const first = await ranFirst(p);
  expect(p.deps.jobs.namesKept()).toEqual(['bucket/a', `bucket/${KEY}`]);
  await forgotten(p, first);
  expect(p.deps.jobs.namesKept()).toEqual([]);
  const second = await dropped(p, SECOND);
  await p.run();
  const third = await dropped(p, FIRST);
  await p.run();
  await forgotten(p, second);
  expect(p.deps.jobs.namesKept()).toEqual(['bucket/a', `bucket/${KEY}`]);
  expect(await p.receipt(KEY)).toMatchObject({ jobId: third });
});

test('a message to collect that comes again while its job is being removed fails nothing and records nothing', async () => {
  const { p } = await started();
  const jobId = await dropped(p, FIRST);
  await p.run();
  const [batch] = await p.deps.jobs.listBatches(jobId);
  const { planKey } = (await p.deps.jobs.getJob(jobId))!;
  // A removal that was cut off, or has not come to the records yet.
  await p.deps.objects.remove(planKey!);
  await collect(p.deps, { v: 1, jobId, batchId: batch!.batchId });
  expect(await p.deps.jobs.listBatches(jobId)).toEqual([batch]);
});

test('an act whose job another worker takes over on the way is refused as busy', async () => {
  const { p, during } = await started();
  const jobId = await dropped(p, FIRST);
  await p.run();
  for (const action of ['retry', 'forget'] as const) {
    let isTaken = false;
    const takeOver: Around = async (call, when) => {
      if (call !== 'jobs.moveJob' || when !== 'before' || isTaken) return;
      isTaken = true;
      p.emulator.clock.advance(10 * 60_000);
      const now = p.emulator.clock.now();
      expect(await p.deps.jobs.leaseJob(jobId, 'completed', 'another', now, now + 60_000)).toBeDefined();
    };
    expect(await during(takeOver, () => p.operate({ action, jobId }))).toMatchObject({ code: 'busy' });
    p.emulator.clock.advance(10 * 60_000);
  }
});
