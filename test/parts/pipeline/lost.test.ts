/** Batches that OpenAI loses, forgets or keeps in a state for ever (Q1, Q2, Q13 of local/openai-emulator/faults). */

import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { remedyFor } from '../../../src/core/lifecycle/lost.ts';
import type { BatchRecord, BatchStatus } from '../../../src/core/model/batch.ts';
import type { RemoteBatch } from '../../../src/core/ports/provider.ts';
import { sampleOfLive } from '../../../src/core/steps/poll/sample.ts';
import { turnOf } from '../../../src/core/steps/poll/turn-of.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];
const LIMITS = { validatingHours: 12, pastExpiryHours: 2, finalizingHours: 24 };

async function dropped(options: PipelineOptions = {}): Promise<Pipeline> {
  const p = await startTestPipeline(options);
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.drain();
  return p;
}

const onLost = (value: 'hold' | 'resubmit') =>
  settingsSchema.parse({ routes: [{ ...BATCH_ONLY, name: 'r', prefix: 'input/', onLost: value }] });

async function onlyBatch(p: Pipeline): Promise<BatchRecord> {
  for await (const batch of p.deps.jobs.listAtOpenAI()) return batch;
  throw new Error('no batch is at OpenAI');
}

/** Stands between the pipeline and what OpenAI says of its batches; `undefined` hides one. */
function seeBatches(p: Pipeline, seen: (batch: RemoteBatch) => RemoteBatch | undefined): void {
  const { getBatch, listBatches } = p.deps.batches;
  p.deps.batches.getBatch = async (id) => {
    const batch = await getBatch.call(p.deps.batches, id);
    return batch && seen(batch);
  };
  p.deps.batches.listBatches = async (after) => {
    const page = await listBatches.call(p.deps.batches, after);
    return { ...page, batches: page.batches.flatMap((batch) => seen(batch) ?? []) };
  };
}

describe('remedyFor', () => {
  const at = (hours: number): number => 1_000_000 + hours * HOUR_MS;
  it.each<[BatchStatus, BatchStatus, number, number, ReturnType<typeof remedyFor>]>([
    // seen before, seen now, when first seen, now
    ['validating', 'validating', 0, 11.9, undefined],
    ['validating', 'validating', 0, 12, 'cancel'],
    ['validating', 'validating', 20, 26, 'cancel'],
    ['validating', 'in_progress', 0, 20, undefined],
    ['in_progress', 'in_progress', 0, 25.9, undefined],
    ['in_progress', 'in_progress', 0, 26, 'cancel'],
    ['in_progress', 'finalizing', 0, 47, undefined],
    ['finalizing', 'finalizing', 1, 47.9, undefined],
    ['finalizing', 'finalizing', 1, 48, 'lost'],
    ['finalizing', 'finalizing', 30, 53, undefined],
    ['finalizing', 'finalizing', 30, 54, 'lost'],
    ['cancelling', 'cancelling', 1, 47, undefined],
    ['cancelling', 'cancelling', 1, 48, 'lost'],
    ['in_progress', 'completed', 0, 99, undefined],
  ])('a batch seen as %s, now %s since hour %d at hour %d: %s', (before, status, since, now, expected) => {
    const remote = { status, createdAt: at(0) };
    const batch = { status: before, statusAt: at(since) };
    expect(remedyFor(batch, remote, LIMITS, at(now))).toBe(expected);
    expect(remedyFor(batch, { ...remote, expiresAt: at(24) }, LIMITS, at(now))).toBe(expected);
  });

  it('a batch of a longer completion window is left alone for as long, where its end is not said', () => {
    const batch = { status: 'in_progress' as const, statusAt: at(0) };
    const remote = { status: 'in_progress' as const, createdAt: at(0) };
    const remedyAt = (hour: number) => remedyFor(batch, remote, LIMITS, at(hour), 72 * HOUR_MS);
    expect([26, 73.9, 74].map(remedyAt)).toEqual([undefined, undefined, 'cancel']);
  });
});

describe('turnOf', () => {
  it('gives every item its turn within as many runs as it takes', () => {
    fc.assert(
      fc.property(fc.nat({ max: 60 }), fc.integer({ min: 1, max: 20 }), fc.nat(), (count, most, turn) => {
        const items = Array.from({ length: count }, (_, index) => index);
        const runs = Math.ceil(count / most);
        const seen = Array.from({ length: runs }, (_, run) => turnOf(items, most, turn + run));
        for (const taken of seen) {
          expect(taken.length).toBe(Math.min(most, count));
          expect(new Set(taken).size).toBe(taken.length);
        }
        if (count <= most) expect(seen.flat().sort((a, b) => a - b)).toEqual(items);
      }),
    );
    const items = Array.from({ length: 250 }, (_, index) => index);
    expect(new Set([7, 8, 9].flatMap((turn) => turnOf(items, 100, turn))).size).toBe(250);
  });
});

test('a batch counts as unreachable from the second look in a row on that does not find it, and no longer once it is found', async () => {
  const faults: FaultRule[] = [{ effect: { kind: 'batch.stuck', state: 'in_progress' } }];
  const p = await dropped({ emulator: { faults } });
  let isHidden = true;
  seeBatches(p, (batch) => (isHidden ? undefined : batch));
  const counted = async () =>
    sampleOfLive(await Array.fromAsync(p.deps.jobs.listAtOpenAI()), p.emulator.clock.now()).unreachable;
  const seen: unknown[] = [];
  for (const hidden of [true, false, true, true, true, false]) {
    isHidden = hidden;
    // One poll.
    await p.run(0.01);
    seen.push(await counted());
  }
  expect(seen).toEqual([0, 0, 0, 1, 1, 0]);
});

test('a batch that is not found for a day is never run again, and its answers count once it is found', async () => {
  const p = await dropped();
  let isHidden = true;
  seeBatches(p, (batch) => (isHidden ? undefined : batch));
  await p.run(30);
  expect(await onlyBatch(p)).toMatchObject({
    remote: { unreachableSince: expect.any(Number) },
    hold: { reason: 'lost_batch' },
  });
  isHidden = false;
  await p.run(2);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
  const { possiblyBilledTwice, batches } = await p.receipt(KEY);
  expect(possiblyBilledTwice).toEqual({});
  expect(batches.length).toBe(1);
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});

test('a batch that vanished runs again only after it must have ended, and only if its route says so', async () => {
  const faults: FaultRule[] = [{ times: 1, effect: { kind: 'batch.vanish' } }];
  const p = await dropped({ settings: onLost('resubmit'), emulator: { faults } });
  await p.run(25);
  expect(await onlyBatch(p)).toMatchObject({ round: 0, remote: { unreachableSince: expect.any(Number) } });
  await p.run(10);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
  const { possiblyBilledTwice, batches } = await p.receipt(KEY);
  expect(possiblyBilledTwice).toEqual({ lost_batch: 6 });
  expect(batches.map(({ round, retried }) => [round, retried])).toEqual([
    [0, 6],
    [1, 0],
  ]);
});

test('a batch that vanishes each time ends its requests as lost, after one more run', async () => {
  const p = await dropped({
    settings: onLost('resubmit'),
    emulator: { faults: [{ effect: { kind: 'batch.vanish' } }] },
  });
  await p.run(80);
  const errors = await p.errors(KEY);
  expect(errors.map((line) => [line.custom_id, line.error.code, line.tries])).toEqual(
    IDS.map((id) => [id, 'lost_batch', 2]),
  );
  expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({ lost_batch: 6 });
});

test('the job of a lost batch can be cancelled, and ends with that batch given up', async () => {
  const p = await dropped({ emulator: { faults: [{ effect: { kind: 'batch.vanish' } }] } });
  await p.run(30);
  await cancelJob(p.deps, (await onlyBatch(p)).jobId);
  await p.run(2);
  expect((await p.errors(KEY)).map((line) => line.error.code)).toEqual(IDS.map(() => 'lost_batch'));
});

test('a batch that is stuck in validating is cancelled, and its requests run in the next round', async () => {
  const faults: FaultRule[] = [{ times: 1, effect: { kind: 'batch.stuck', state: 'validating' } }];
  const p = await dropped({ emulator: { faults } });
  await p.run(20);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
  const { batches, possiblyBilledTwice } = await p.receipt(KEY);
  expect(batches.map(({ status }) => status)).toEqual(['cancelled', 'completed']);
  expect(possiblyBilledTwice).toEqual({});
});

test('a batch that is shown in progress long after it expired is cancelled, and what it finished is kept', async () => {
  const p = await dropped({
    emulator: { faults: [{ effect: { kind: 'batch.duration', seconds: 200_000 } }] },
  });
  const [remote] = (await p.client.batches.list()).data;
  // What OpenAI shows is held back until it was asked to cancel.
  let isCancelled = false;
  const { cancelBatch } = p.deps.batches;
  p.deps.batches.cancelBatch = async (id) => {
    isCancelled = true;
    p.emulator.setFaults([]);
    await cancelBatch.call(p.deps.batches, id);
  };
  seeBatches(p, (batch) => {
    if (isCancelled || batch.id !== remote!.id) return batch;
    const { outputFileId: _output, errorFileId: _error, ...rest } = batch;
    return { ...rest, status: 'in_progress' };
  });
  await p.run(25);
  expect(isCancelled).toBe(false);
  await p.run(60);
  expect(isCancelled).toBe(true);
  expect((await p.receipt(KEY)).counts).toMatchObject({ requests: 6 });
  expect((await p.receipt(KEY)).batches[0]!.status).toBe('expired');
});

test('a batch that never comes out of finalizing is held, and ends if it does after all', async () => {
  const p = await dropped();
  let isHeld = true;
  seeBatches(p, (batch) => {
    if (!isHeld) return batch;
    const { outputFileId: _output, errorFileId: _error, ...rest } = batch;
    return { ...rest, status: 'finalizing' };
  });
  await p.run(47);
  expect((await onlyBatch(p)).hold?.reason).toBeUndefined();
  await p.run(3);
  expect((await onlyBatch(p)).hold?.reason).toBe('lost_batch');
  isHeld = false;
  await p.run(2);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
});
