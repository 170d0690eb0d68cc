/** What operators may ask for, and what they are answered. */
import { expect, test, vi } from 'vitest';
import { OPERATE_ACTIONS } from '../../../../../src/contract/operate.ts';
import { operate } from '../../../../../src/core/steps/operate/operate.ts';
import { chatLine, OPERATOR, type Pipeline, type PipelineOptions } from '../../../../support/pipeline.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../../../support/telemetry.ts';
import { startTestPipeline } from '../../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c', 'd'];

async function dropped(options: PipelineOptions = {}) {
  const events: SeenEvent[] = [];
  const p = await startTestPipeline({ telemetry: telemetryTo((event) => events.push(event)), ...options });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  return { p, events, jobId: await onlyJob(p) };
}

async function onlyJob(p: Pipeline): Promise<string> {
  for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
    if (item.kind === 'job') return item.jobId;
  throw new Error('no job');
}

const actsOf = async (p: Pipeline, jobId: string) => (await p.deps.jobs.getJob(jobId))?.acts;

test.each([
  ['no JSON', '{"v":1,', 'no JSON'],
  ['another version', '{"v":2,"action":"cancel","jobId":"j"}', 'v: '],
  ['an unknown action', '{"v":1,"action":"explode","jobId":"j"}', 'action: '],
  ['a job id that is none', '{"v":1,"action":"cancel","jobId":"a/b"}', 'jobId: '],
  ['a member that is not known', '{"v":1,"action":"cancel","jobId":"j","force":true}', 'force'],
])('%s is refused with what this stack understands', async (_what, body, problem) => {
  const p = await startTestPipeline();
  const { status, answer } = await operate(p.deps, { body, by: OPERATOR });
  expect(status).toBe(400);
  expect(answer).toMatchObject({
    ok: false,
    code: 'not_understood',
    message: expect.stringContaining(problem),
    knows: { v: [1], actions: OPERATE_ACTIONS },
  });
});

test.each([undefined, ''])('a request of nobody is refused, and nothing is done (%j)', async (by) => {
  const { p, jobId } = await dropped();
  const { status, answer } = await operate(p.deps, {
    body: JSON.stringify({ v: 1, action: 'cancel', jobId }),
    by,
  });
  expect({ status, code: !answer.ok && answer.code }).toEqual({ status: 403, code: 'no_caller' });
  expect((await p.deps.jobs.getJob(jobId))?.cancelledAt).toBeUndefined();
});

test.each(['cancel', 'resume', 'retry', 'forget'])(
  'to %s a job that does not exist is refused',
  async (action) => {
    const p = await startTestPipeline();
    expect(await p.operate({ action, jobId: 'f'.repeat(32) })).toMatchObject({
      status: 404,
      code: 'no_such_job',
    });
  },
);

test('cancelling keeps who did it, and leaves batches at OpenAI to the poll', async () => {
  const { p, jobId, events } = await dropped();
  await p.drain();
  p.emulator.clock.advance(85_000);
  expect(await p.operate({ action: 'cancel', jobId, reason: 'wrong file' })).toMatchObject({
    status: 200,
    state: 'cancelling',
    duplicates: [],
  });
  expect(events).toContainEqual({ name: 'job.cancelled', fields: expect.objectContaining({ by: OPERATOR }) });
  const at = p.emulator.clock.now();
  // A second time changes nothing, so nothing more is kept.
  await p.operate({ action: 'cancel', jobId });
  expect(await actsOf(p, jobId)).toEqual([{ action: 'cancel', by: OPERATOR, at, reason: 'wrong file' }]);
  expect((await p.client.batches.list()).data.map(({ status }) => status)).toEqual(['in_progress']);
  await p.run(30, 1_000);
  const { counts } = await p.receipt(KEY);
  const answered = await p.emulator.ledger.all();
  // What was paid for is kept.
  expect(counts).toMatchObject({ requests: 4, succeeded: answered.length, failed: 4 - answered.length });
  // What was cancelled is no failure of the stack: no alarm counts it.
  expect(events).toContainEqual({
    name: 'job.completed',
    fields: expect.objectContaining({ failed: counts.failed, failedUncancelled: 0 }),
  });
  expect((await p.client.batches.list()).data.map(({ status }) => status)).toEqual(['cancelled']);
  expect(await p.operate({ action: 'cancel', jobId })).toMatchObject({ status: 200, state: 'ended' });
});

test('a suspension is lifted by hand, and what waits for it is tried at once', async () => {
  const { p, events } = await dropped();
  await p.deps.suspensions.suspend('default', 'insufficient_quota', 'collected', p.emulator.clock.now());
  const reason = 'billing is paid,\nsays Ann';
  expect(await p.operate({ action: 'lift', scope: 'default', reason })).toMatchObject({ state: 'lifted' });
  expect(events).toContainEqual({
    name: 'suspension.lifted',
    fields: expect.objectContaining({ by: OPERATOR, reason: 'billing is paid, says Ann' }),
  });
  expect(await p.operate({ action: 'lift', scope: 'default' })).toMatchObject({ state: 'not_suspended' });
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded' });
});

test('a pause says who paused it, and a second one leaves it as it is', async () => {
  const { p } = await dropped();
  const first = await p.operate({ action: 'pause', route: 'default', reason: 'bad prompts' });
  expect(first).toMatchObject({
    state: 'paused',
    pause: { route: 'default', by: OPERATOR, reason: 'bad prompts' },
  });
  const other = 'arn:aws:iam::123456789012:user/other';
  expect(await p.operate({ action: 'pause', route: 'default' }, other)).toMatchObject({
    state: 'paused_before',
    pause: { by: OPERATOR, reason: 'bad prompts' },
  });
  expect(await p.operate({ action: 'unpause', route: 'default' }, other)).toMatchObject({
    state: 'unpaused',
  });
  expect(await p.operate({ action: 'unpause', route: 'default' })).toMatchObject({ state: 'not_paused' });
  expect(await p.operate({ action: 'pause', route: 'nightly' })).toMatchObject({
    status: 404,
    code: 'no_such_route',
    message: expect.stringContaining('default'),
  });
});

test('the last twenty acts on a job are kept', async () => {
  const { p, jobId } = await dropped();
  for (let index = 0; index < 25; index += 1) {
    const batches = await p.deps.jobs.listBatches(jobId);
    await p.deps.jobs.moveBatch(
      batches[0]!,
      {
        name: 'held',
        from: batches[0]!.state,
        to: 'planned',
        set: { hold: { reason: 'http_400', at: index } },
        clear: [],
      },
      index,
    );
    await p.operate({ action: 'resume', jobId, reason: `time ${index}` });
  }
  const acts = await actsOf(p, jobId);
  expect(acts).toHaveLength(20);
  expect(acts?.at(-1)?.reason).toBe('time 24');
});

test('a worker that dies while it releases a batch has kept who released it', async () => {
  const { p, jobId } = await dropped();
  const [batch] = await p.deps.jobs.listBatches(jobId);
  const hold = { reason: 'http_400', at: 1 };
  await p.deps.jobs.moveBatch(
    batch!,
    { name: 'held', from: batch!.state, to: 'planned', set: { hold }, clear: [] },
    1,
  );
  const moveBatch = vi.spyOn(p.deps.jobs, 'moveBatch');
  moveBatch.mockRejectedValueOnce(new Error('killed'));
  await expect(p.operate({ action: 'resume', jobId, reason: 'fixed' })).rejects.toThrow('killed');
  expect(await actsOf(p, jobId)).toMatchObject([{ action: 'resume', by: OPERATOR, reason: 'fixed' }]);
  expect(await p.operate({ action: 'resume', jobId })).toMatchObject({ released: [batch!.batchId] });
});

test('a lost batch that a person gives up says who did so', async () => {
  const { p, jobId, events } = await dropped();
  await p.drain();
  const [batch] = await p.deps.jobs.listBatches(jobId);
  expect(batch!.state).toBe('submitted');
  const hold = { reason: 'lost_batch', at: 1 };
  await p.deps.jobs.moveBatch(
    batch!,
    { name: 'held', from: 'submitted', to: 'submitted', set: { hold }, clear: [] },
    1,
  );
  const { batchId } = batch!;
  const resume = { action: 'resume', jobId, acknowledge: 'may_pay_twice' };
  expect(await p.operate(resume)).toMatchObject({ givenUp: [batchId] });
  expect(events).toContainEqual({
    name: 'batch.abandoned',
    fields: expect.objectContaining({ jobId, batchId, by: OPERATOR }),
  });
});
