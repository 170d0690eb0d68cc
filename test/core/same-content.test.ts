/** A producer that puts the same file again pays nothing for it. */
import { afterEach, expect, test } from 'vitest';
import { MemoryJobs } from '../../src/adapters/memory/jobs.ts';
import { settingsSchema } from '../../src/contract/settings.ts';
import { cancelJob } from '../../src/core/cancel.ts';
import { originalOf } from '../../src/core/ingest/same-content.ts';
import { jobIdOf } from '../../src/core/job-id.ts';
import type { Job } from '../../src/core/model.ts';
import { chatLine, type Pipeline, type PipelineOptions, startPipeline } from '../support/pipeline.ts';
import { BATCH_ONLY } from '../support/routes.ts';

const KEY = 'input/a.jsonl';
const TEXT = ['a', 'b'].map((id) => chatLine(id)).join('\n');
const HOUR_MS = 60 * 60_000;

const running: Pipeline[] = [];
afterEach(async () => {
  for (const started of running.splice(0)) await started.stop();
});
async function pipeline(options: PipelineOptions = {}): Promise<Pipeline> {
  const p = await startPipeline(options);
  running.push(p);
  return p;
}
async function drop(p: Pipeline, text = TEXT, key = KEY): Promise<string> {
  p.emulator.clock.advance(1_000);
  await p.drop(key, text);
  return jobIdOf((await p.deps.objects.head('bucket', key))!);
}
const executions = async (p: Pipeline): Promise<number> => (await p.emulator.ledger.all()).length;

test.each([true, false])(
  'the same content again while its job is live is its duplicate (versions: %s)',
  async (isVersioned) => {
    const p = await pipeline({ isVersioned });
    const first = await drop(p);
    const second = await drop(p);
    expect(second).not.toBe(first);
    await p.run();
    expect(await p.deps.jobs.getJob(second)).toMatchObject({ state: 'duplicate', duplicateOf: first });
    expect(await executions(p)).toBe(2);
    expect((await p.receipt(KEY)).jobId).toBe(first);
    expect((await p.output(KEY)).length).toBe(2);
    expect(p.deps.events.sent.length).toBe(1);
  },
);

test('the same content again within a day of success is a duplicate, after a day it is run', async () => {
  const p = await pipeline();
  const first = await drop(p);
  await p.run();
  p.emulator.clock.advance(20 * HOUR_MS);
  expect(await p.deps.jobs.getJob(await drop(p))).toMatchObject({ state: 'duplicate', duplicateOf: first });
  p.emulator.clock.advance(5 * HOUR_MS);
  const third = await drop(p);
  await p.run();
  expect(await p.deps.jobs.getJob(third)).toMatchObject({ state: 'completed', result: 'succeeded' });
  expect(await executions(p)).toBe(4);
});

test('other content, another key and a route that says run are run', async () => {
  const settings = settingsSchema.parse({
    routes: [
      { ...BATCH_ONLY, name: 'skip', prefix: 'input/' },
      { ...BATCH_ONLY, name: 'run', prefix: 'input/run/', sameContent: 'run' },
    ],
  });
  const p = await pipeline({ settings });
  const ids = [
    await drop(p),
    await drop(p, `${TEXT}\n`),
    await drop(p, TEXT, 'input/b.jsonl'),
    await drop(p, TEXT, 'input/run/a.jsonl'),
    await drop(p, TEXT, 'input/run/a.jsonl'),
  ];
  await p.run();
  for (const id of ids) expect((await p.deps.jobs.getJob(id))?.state).toBe('completed');
  expect(await executions(p)).toBe(10);
});

test('content whose job failed in part, was rejected or was cancelled may be dropped again', async () => {
  const faults = [
    { times: 1, match: { custom_id: '^a$' }, effect: { kind: 'line.status', status: 400 } },
  ] as const;
  const p = await pipeline({ emulator: { faults } });
  const partial = await drop(p);
  await p.run();
  const again = await drop(p);
  await p.run();
  expect((await p.deps.jobs.getJob(partial))?.result).toBe('partial');
  expect((await p.deps.jobs.getJob(again))?.result).toBe('succeeded');
  const rejected = await drop(p, '\n', 'input/empty.jsonl');
  await p.run();
  const rejectedAgain = await drop(p, '\n', 'input/empty.jsonl');
  await p.run();
  for (const id of [rejected, rejectedAgain]) expect((await p.deps.jobs.getJob(id))?.state).toBe('rejected');
  const cancelled = await drop(p, chatLine('c'), 'input/c.jsonl');
  await cancelJob(p.deps, cancelled);
  const instead = await drop(p, chatLine('c'), 'input/c.jsonl');
  await p.run();
  expect((await p.deps.jobs.getJob(instead))?.result).toBe('succeeded');
});

test('the message of a duplicate may come twice, or be lost after any step', async () => {
  const p = await pipeline({ twice: true });
  const first = await drop(p);
  const second = await drop(p);
  await p.notify(KEY);
  await p.run();
  expect(await p.deps.jobs.getJob(second)).toMatchObject({ state: 'duplicate', duplicateOf: first });
  expect(await executions(p)).toBe(2);
});

test('the order in which the table gives the members of a default is no other content', async () => {
  const jobs = new MemoryJobs();
  const p = await pipeline();
  const id = await drop(p);
  const job = (await p.deps.jobs.getJob(id))!;
  const withBody = (jobId: string, body: Record<string, string | Record<string, number>>): Job => ({
    ...job,
    jobId,
    state: 'running',
    route: { ...job.route, defaults: { body } },
  });
  const first = withBody('first', { model: 'gpt-5-nano', text: { a: 1, b: 2 } });
  await jobs.claimJob(first);
  expect(await originalOf(jobs, first)).toBeUndefined();
  const again = withBody('again', { text: { b: 2, a: 1 }, model: 'gpt-5-nano' });
  expect(await originalOf(jobs, again)).toBe('first');
  const other = withBody('other', { text: { b: 1, a: 2 }, model: 'gpt-5-nano' });
  expect(await originalOf(jobs, other)).toBeUndefined();
});
