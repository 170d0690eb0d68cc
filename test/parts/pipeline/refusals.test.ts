/**
 * What a refusal costs in time: of a create, of a batch as a whole, and of a batch that is above the limit that OpenAI
 * tells.
 */

import { describe, expect, test } from 'vitest';
import { MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { CreateRefusedError } from '../../../src/core/base/errors.ts';
import { isShortWait, refusalWaitMs } from '../../../src/core/scheduling/refusal-wait.ts';
import { tokensLedgerOf } from '../../../src/core/scheduling/scopes.ts';
import { cutAfterRefusal } from '../../../src/core/scheduling/token-limit.ts';
import { collect } from '../../../src/core/steps/collect/collect.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { submit } from '../../../src/core/steps/submit/submit.ts';
import { chatLine, type Pipeline } from '../../support/pipeline.ts';
import { jobWrite } from '../../support/records.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const MODEL = 'gpt-6-luna';
const LEDGER = tokensLedgerOf({ model: MODEL });

test('waits begin within a minute, double, and end at an hour; the first four are short', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(refusalWaitMs);
  expect(waits.map((wait) => wait / SECOND_MS)).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
  expect(waits.map(isShortWait)).toEqual([true, true, true, true, false, false, false, false, false]);
});

describe('a create that OpenAI refuses', () => {
  /** Delivers the submit message, and each that follows it after its delay. */
  async function deliver(p: Pipeline, times: number): Promise<number[]> {
    const delays: number[] = [];
    for (let time = 0; time < times; time++) {
      const queued = p.deps.outbox.messages.shift();
      if (queued === undefined) break;
      const { message, delayMs } = queued;
      if (delayMs !== undefined) {
        delays.push(delayMs);
        p.emulator.clock.advance(delayMs);
      }
      await submit(p.deps, message as never);
    }
    return delays;
  }
  function refuseCreates(p: Pipeline, isRefused: () => boolean): void {
    const create = p.deps.batches.createBatch.bind(p.deps.batches);
    p.deps.batches.createBatch = async (batch) => {
      if (isRefused()) throw new CreateRefusedError('no', 400, 'odd');
      return create(batch);
    };
  }
  const onlyBatch = async (p: Pipeline) => {
    const [reservation] = await Array.fromAsync(p.deps.quota.listReservations());
    return (await p.deps.jobs.getBatch(reservation!.jobId, reservation!.batchId))!;
  };

  test('for 15 seconds is created half a minute later, with what was reserved for it, and a new file', async () => {
    const p = await startTestPipeline();
    const begun = p.emulator.clock.now();
    refuseCreates(p, () => p.emulator.clock.now() < begun + 15 * SECOND_MS);
    await p.drop('input/a.jsonl', chatLine('a'));
    expect(await deliver(p, 5)).toEqual([30 * SECOND_MS]);
    const batch = await onlyBatch(p);
    expect(batch).toMatchObject({ state: 'submitted', history: { attempts: 2 } });
    expect(batch.remote!.submittedAt - begun).toBeLessThan(MINUTE_MS);
    expect(await p.deps.quota.getLedger(LEDGER)).toMatchObject({ reserved: batch.tokens });
    // The file that was refused is not left behind.
    expect((await Array.fromAsync(p.client.files.list())).map(({ id }) => id)).toEqual([
      batch.attempt?.inputFileId,
    ]);
    await p.run();
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded' });
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  });

  test('again and again backs off, and gives back what is reserved for it once the waits are long', async () => {
    const p = await startTestPipeline();
    refuseCreates(p, () => true);
    await p.drop('input/a.jsonl', chatLine('a'));
    const { jobId, batchId } = await onlyBatch(p);
    const delays = await deliver(p, 9);
    expect(delays.map((delay) => delay / MINUTE_MS)).toEqual([0.5, 1, 2, 4]);
    const batch = (await p.deps.jobs.getBatch(jobId, batchId))!;
    expect(batch).toMatchObject({ state: 'planned', history: { refusals: 5 } });
    expect(batch.wait!.notBefore! - p.emulator.clock.now()).toBe(8 * MINUTE_MS);
    expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
    expect(await Array.fromAsync(p.client.files.list())).toEqual([]);
  });

  test('is looked at by the sweep, should the message be lost', async () => {
    const p = await startTestPipeline();
    const begun = p.emulator.clock.now();
    refuseCreates(p, () => p.emulator.clock.now() < begun + 15 * SECOND_MS);
    await p.drop('input/a.jsonl', chatLine('a'));
    await deliver(p, 1);
    await p.run();
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded' });
  });

  test('does not hold up the end of a job that is cancelled meanwhile', async () => {
    const p = await startTestPipeline();
    refuseCreates(p, () => true);
    await p.drop('input/a.jsonl', chatLine('a'));
    const { jobId } = await onlyBatch(p);
    await deliver(p, 1);
    const job = (await p.deps.jobs.getJob(jobId))!;
    await p.deps.jobs.moveJob(jobId, jobWrite(job.state, { cancelledAt: 1 }), p.emulator.clock.now());
    await p.run(2);
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ errorsByCode: { cancelled: 1 } });
    expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
  });
});

test('a batch that failed at OpenAI for a passing reason is admitted again a minute later', async () => {
  const errors = [{ code: 'server_error', message: 'try again' }];
  const p = await startTestPipeline({
    emulator: { faults: [{ times: 1, effect: { kind: 'batch.fail', errors } }] },
  });
  await p.drop('input/a.jsonl', chatLine('a'));
  await p.drain();
  p.emulator.clock.advance(5 * MINUTE_MS);
  await poll(p.deps);
  const { message } = p.deps.outbox.messages.find(({ queue }) => queue === 'collect')!;
  p.deps.outbox.messages.length = 0;
  await collect(p.deps, message as never);
  expect(p.deps.outbox.messages.splice(0)).toEqual([{ queue: 'collect', message, delayMs: MINUTE_MS }]);
  // Too early: nothing happens.
  await collect(p.deps, message as never);
  expect(p.deps.outbox.messages).toEqual([]);
  p.emulator.clock.advance(MINUTE_MS);
  await collect(p.deps, message as never);
  expect(p.deps.outbox.messages).toMatchObject([{ queue: 'submit' }]);
});

describe('a batch above the limit that OpenAI reports', () => {
  const content = 'word '.repeat(50);
  const fileOf = (lines: number): string =>
    Array.from({ length: lines }, (_, index) => chatLine(`r${index}`, { model: MODEL, content })).join('\n');
  const refusalsOf = async (p: Pipeline): Promise<number> =>
    (await Array.fromAsync(p.client.batches.list())).filter(({ status }) => status === 'failed').length;

  test('is cut after one refusal, though we count fewer tokens than OpenAI, and its parts do not wait', async () => {
    // About 70 tokens a request by OpenAI's count, half of that by ours: 8 requests are 560 of 400, and we think 290.
    const p = await startTestPipeline({ emulator: { limits: { enqueuedTokens: 400 } } });
    p.deps.tokenizerOf = async () => (text: string) => text.length / 10;
    const begun = p.emulator.clock.now();
    await p.drop('input/a.jsonl', fileOf(8));
    await p.run(200);
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded', counts: { succeeded: 8 } });
    expect(await refusalsOf(p)).toBe(1);
    const batches = await Array.fromAsync(p.client.batches.list());
    // Seen by the first poll; the first part follows at once.
    const second = batches.map(({ created_at }) => created_at * SECOND_MS - begun).sort((a, b) => a - b)[1]!;
    expect(second).toBeLessThanOrEqual(5 * MINUTE_MS + SECOND_MS);
    expect(await p.deps.quota.getLedger(LEDGER)).toMatchObject({ reserved: 0, limit: 400 });
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  });

  const batch = {
    tokens: 900,
    bytes: 1,
    requests: 10,
    admission: { reservation: 'r', sentAlone: true },
  } as const;
  test.each([
    ['above the limit by our own count', { ...batch, tokens: 1_500, admission: undefined as never }, 800, 9],
    ['sent while nothing else was enqueued', batch, 450, 0],
    ['sent while something else was enqueued', { ...batch, admission: undefined as never }, undefined, 0],
    ['joined by others since', batch, undefined, 1],
    ['of one request', { ...batch, requests: 1 }, undefined, 0],
    ['so small that others must have taken the room', { ...batch, tokens: 124 }, undefined, 0],
  ])('%s', (_, refused, expected, reserved) => {
    expect(cutAfterRefusal({ reserved }, refused, 1_000)).toBe(expected);
    expect(cutAfterRefusal({ reserved }, refused, undefined)).toBeUndefined();
  });

  test('is cut into the same parts by a worker that takes over between what is learned and the cut', async () => {
    const p = await startTestPipeline({ emulator: { limits: { enqueuedTokens: 400 } } });
    p.deps.tokenizerOf = async () => (text: string) => text.length / 10;
    await p.drop('input/a.jsonl', fileOf(8));
    await p.drain();
    p.emulator.clock.advance(5 * MINUTE_MS);
    await poll(p.deps);
    const { message } = p.deps.outbox.messages.find(({ queue }) => queue === 'collect')!;
    p.deps.outbox.messages.length = 0;
    const put = p.deps.objects.put.bind(p.deps.objects);
    p.deps.objects.put = async () => {
      throw new Error('dies');
    };
    await expect(collect(p.deps, message as never)).rejects.toThrow('dies');
    p.deps.objects.put = put;
    // Meanwhile the ledger has filled up with others.
    const other = {
      ...(await p.deps.jobs.getBatch(...keyOf(message)))!,
      jobId: 'other',
      state: 'planned',
    } as const;
    await p.deps.jobs.createBatch(other);
    const demand = { ledger: LEDGER, amount: 100, limit: 400 };
    expect(await p.deps.quota.admit(other, 'theirs', [demand], p.emulator.clock.now())).toBe('admitted');
    await collect(p.deps, message as never);
    const collected = (await p.deps.jobs.getBatch(...keyOf(message)))!;
    expect(collected).toMatchObject({ state: 'collected', results: { outcome: { retried: 8 } } });
    expect(collected.recut?.tokens).toBeGreaterThan(0);
    for (const part of collected.results!.next!)
      expect(part.tokens).toBeLessThanOrEqual(collected.recut!.tokens!);
    expect((await p.deps.quota.getLedger(LEDGER))?.pausedUntil).toBeUndefined();
  });
});

function keyOf(message: object): [string, string] {
  const { jobId, batchId } = message as { jobId: string; batchId: string };
  return [jobId, batchId];
}
