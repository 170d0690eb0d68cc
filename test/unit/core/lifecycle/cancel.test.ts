/** Cancelling a job at every point of its life: nothing is sent any more, and what was paid for is kept. */
import { expect, test } from 'vitest';
import type { FaultRule } from '../../../../local/openai-emulator/emulator.ts';
import { cancelJob } from '../../../../src/core/lifecycle/cancel.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../../support/pipeline.ts';
import { expectListedEvents } from '../../../support/telemetry.ts';
import { startTestPipeline } from '../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];
const LATER_MS = 5 * 60_000;

async function dropped(options: PipelineOptions = {}): Promise<{ p: Pipeline; jobId: string }> {
  const p = await startTestPipeline(options);
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
    if (item.kind === 'job') return { p, jobId: item.jobId };
  throw new Error('no job');
}

/** Every request has one outcome; says which are answered and what became of the others. */
async function outcomes(p: Pipeline) {
  const output = (await p.output(KEY)).map((line) => line.custom_id as string);
  const errors = (await p.errors(KEY)).map((line) => [line.custom_id, line.error?.code] as [string, string]);
  expect([...output, ...errors.map(([id]) => id)].sort()).toEqual(IDS);
  return { output, errors: Object.fromEntries(errors), receipt: await p.receipt(KEY) };
}
const all = (code: string) => Object.fromEntries(IDS.map((id) => [id, code]));

test('a job that waits to be sent ends without a request at OpenAI, and with a receipt', async () => {
  const { p, jobId } = await dropped({ limits: { requests: 2 } });
  expect(await cancelJob(p.deps, jobId)).toMatchObject({ state: 'cancelling' });
  await p.run();
  const { output, errors, receipt } = await outcomes(p);
  expect(output).toEqual([]);
  expect(errors).toEqual(all('cancelled'));
  expect(receipt).toMatchObject({ result: 'failed', counts: { requests: 6, failed: 6 } });
  expect(receipt.timings.cancelledAt).toBeDefined();
  expect(await p.emulator.ledger.all()).toEqual([]);
  expect((await p.client.batches.list()).data).toEqual([]);
  expect((await p.retry(KEY))!.split('\n').length).toBe(7);
});

test('a job whose messages are all lost ends as well, by the sweep', async () => {
  const { p, jobId } = await dropped({ limits: { requests: 2 } });
  p.deps.outbox.messages.splice(0);
  await cancelJob(p.deps, jobId);
  p.deps.outbox.messages.splice(0);
  await p.run();
  expect((await outcomes(p)).errors).toEqual(all('cancelled'));
});

test('batches at OpenAI are cancelled there, and what they had finished is kept', async () => {
  const { p, jobId } = await dropped();
  await p.drain();
  p.emulator.clock.advance(85_000);
  expect(await cancelJob(p.deps, jobId)).toMatchObject({ state: 'cancelling' });
  expect(await cancelJob(p.deps, jobId)).toMatchObject({ state: 'cancelling' });
  await p.run();
  const { output, errors, receipt } = await outcomes(p);
  expect(output.length).toBeGreaterThan(0);
  expect(output.length).toBeLessThan(6);
  expect(new Set(Object.values(errors))).toEqual(new Set(['batch_cancelled']));
  expect(receipt.batches.map(({ status }) => status)).toEqual(['cancelled']);
  expect(receipt.result).toBe('partial');
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});

test('a batch that is finalizing is left to end, because it was paid for', async () => {
  const faults: FaultRule[] = [{ effect: { kind: 'batch.duration', seconds: 60 } }];
  const { p, jobId } = await dropped({ emulator: { faults, timings: { finalizingMs: 600_000 } } });
  await p.drain();
  p.emulator.clock.advance(5 * 60_000);
  expect((await p.client.batches.list()).data.map(({ status }) => status)).toEqual(['finalizing']);
  await cancelJob(p.deps, jobId);
  await p.run();
  expect((await outcomes(p)).output).toEqual(IDS);
});

test('a cancel that OpenAI does not answer is repeated by the poll', async () => {
  const faults: FaultRule[] = [
    { match: { route: 'POST /v1/batches/*/cancel' }, times: 1, effect: { kind: 'http.status', status: 503 } },
    { effect: { kind: 'batch.duration', seconds: 7_200 } },
  ];
  const { p, jobId } = await dropped({ emulator: { faults } });
  await p.drain();
  p.emulator.clock.advance(LATER_MS);
  await expect(cancelJob(p.deps, jobId)).rejects.toThrow('503');
  await p.run();
  expect((await outcomes(p)).receipt.batches.map(({ status }) => status)).toEqual(['cancelled']);
});

test('a batch whose create was not answered is found first, then cancelled', async () => {
  const faults: FaultRule[] = [
    { match: { route: 'POST /v1/batches' }, times: 1, effect: { kind: 'http.reset', when: 'after' } },
    { effect: { kind: 'batch.duration', seconds: 7_200 } },
  ];
  const { p, jobId } = await dropped({ emulator: { faults } });
  await p.drain();
  await cancelJob(p.deps, jobId);
  await p.run();
  const { errors, receipt } = await outcomes(p);
  expect(errors).toEqual(all('batch_cancelled'));
  expect(receipt.batches.map(({ status }) => status)).toEqual(['cancelled']);
});

test('a batch whose create came to nothing is not created again once its job is cancelled', async () => {
  const faults: FaultRule[] = [
    { match: { route: 'POST /v1/batches' }, times: 1, effect: { kind: 'http.reset', when: 'before' } },
  ];
  const { p, jobId } = await dropped({ emulator: { faults } });
  await p.drain();
  await cancelJob(p.deps, jobId);
  await p.run();
  expect((await outcomes(p)).errors).toEqual(all('cancelled'));
  expect((await p.client.batches.list()).data).toEqual([]);
});

test('a job that has ended cannot be cancelled, one that never was is not known', async () => {
  const { p, jobId } = await dropped();
  await p.run();
  expect(await cancelJob(p.deps, jobId)).toMatchObject({ state: 'ended' });
  expect(await cancelJob(p.deps, 'nobody')).toBeUndefined();
  expect((await outcomes(p)).output).toEqual(IDS);
});

test('a job that is cancelled while it is read ends with a receipt for all of its requests', async () => {
  let isCancelled = false;
  const p = await startTestPipeline({
    intercept: async (call, effect) => {
      const result = await effect();
      if (call === 'objects.read' && !isCancelled) {
        isCancelled = true;
        for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
          if (item.kind === 'job')
            expect(await cancelJob(p.deps, item.jobId)).toMatchObject({ state: 'cancelling' });
      }
      return result;
    },
  });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.run();
  expect(isCancelled).toBe(true);
  expect((await outcomes(p)).errors).toEqual(all('cancelled'));
  expect(await p.emulator.ledger.all()).toEqual([]);
});

test('deleting an input cancels nothing', async () => {
  const { p } = await dropped();
  await p.drain();
  await p.deps.objects.remove(KEY);
  await p.run();
  expect((await outcomes(p)).output).toEqual(IDS);
});
