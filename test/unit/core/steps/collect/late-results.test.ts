/**
 * Results that come late, and files that hold less than they should: nothing is bought twice, and nothing waits for
 * long.
 */

import { describe, expect, test } from 'vitest';
import type { FaultRule } from '../../../../../local/openai-emulator/faults.ts';
import { MINUTE_MS, SECOND_MS } from '../../../../../src/contract/time.ts';
import type { BatchRecord } from '../../../../../src/core/model/batch.ts';
import { nextLookMs } from '../../../../../src/core/steps/collect/late-results.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../../../support/pipeline.ts';
import { expectListedEvents } from '../../../../support/telemetry.ts';
import { startTestPipeline } from '../../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const REQUESTS = 20;
const TEXT = Array.from({ length: REQUESTS }, (_, index) => chatLine(`r${index}`)).join('\n');

/** A pipeline with what its calls of OpenAI were, and when they were made. */
async function start(rules: readonly FaultRule[], options: PipelineOptions = {}) {
  const calls: { name: string; at: number }[] = [];
  const p: Pipeline = await startTestPipeline({
    ...options,
    emulator: { faults: rules },
    intercept: async (name, effect) => {
      calls.push({ name, at: p?.emulator.clock.now() ?? 0 });
      return effect();
    },
  });
  return { p, countOf: (name: string) => calls.filter((call) => call.name === name).length };
}

async function batchesOf({ deps }: Pipeline, jobId: string): Promise<BatchRecord[]> {
  return deps.jobs.listBatches(jobId);
}

const COUNTS: readonly [string, FaultRule[]][] = [
  ['absent', [{ effect: { kind: 'batch.patch', operations: [{ op: 'remove', path: '/request_counts' }] } }]],
  [
    'null',
    [
      {
        effect: {
          kind: 'batch.patch',
          operations: [{ op: 'replace', path: '/request_counts', value: null }],
        },
      },
    ],
  ],
  [
    'zeros',
    [
      {
        effect: { kind: 'batch.patch', operations: [{ op: 'replace', path: '/request_counts/*', value: 0 }] },
      },
    ],
  ],
  [
    'texts',
    [
      {
        effect: {
          kind: 'batch.patch',
          operations: [{ op: 'replace', path: '/request_counts/*', value: 'x' }],
        },
      },
    ],
  ],
  ['right', []],
];

describe.each(COUNTS)('with counts that are %s', (_name, counts) => {
  test.each([30, 60])(
    'files that are named %i s late are waited for, and done soon after',
    async (seconds) => {
      const { p, countOf } = await start([
        ...counts,
        { effect: { kind: 'batch.files_named_late', seconds } },
      ]);
      await p.drop(KEY, TEXT);
      await p.run();
      const receipt = await p.receipt(KEY);
      expect(receipt).toMatchObject({ result: 'succeeded', counts: { succeeded: REQUESTS } });
      expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
      const [batch] = await batchesOf(p, receipt.jobId);
      // The poll that sees its end comes every five minutes; the looks that follow it, after seconds.
      expect(batch!.updatedAt - batch!.ending!.endedAt).toBeLessThan(2 * seconds * SECOND_MS);
      expect(countOf('batches.createBatch')).toBe(1);
      expect(countOf('batches.readFile')).toBe(1);
      expect(p.failures).toEqual([]);
    },
  );

  test('a first download that ends between two lines is no whole file', async () => {
    const { p } = await start([
      ...counts,
      { effect: { kind: 'file.late', file: 'output', as: 'half', seconds: 600 } },
    ]);
    await p.drop(KEY, TEXT);
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', counts: { succeeded: REQUESTS } });
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
    expect(p.failures).toEqual([]);
  });

  test('lines that never come are run again after an hour, and counted', async () => {
    const { p, countOf } = await start([
      ...counts,
      { match: { custom_id: '^r[12]$' }, times: 1, per: 'custom_id', effect: { kind: 'line.missing' } },
    ]);
    await p.drop(KEY, TEXT);
    await p.run();
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({
      result: 'succeeded',
      possiblyBilledTwice: { missing_from_results: 2 },
    });
    expect((await p.emulator.ledger.boughtTwice()).length).toBe(2);
    const [first] = await batchesOf(p, receipt.jobId);
    const waitedMs = first!.updatedAt - first!.ending!.endedAt;
    expect(waitedMs).toBeGreaterThanOrEqual(60 * MINUTE_MS);
    expect(waitedMs).toBeLessThan(61 * MINUTE_MS);
    // The output of each of the two batches, once: nothing was fetched that had not changed.
    expect(countOf('batches.readFile')).toBe(2);
    expect(first).not.toHaveProperty('lateResults');
    // Not one message failed.
    expect(p.failures).toEqual([]);
  });
});

test('a wait continues by the sweep when each delayed message is lost', async () => {
  const { p } = await start([{ effect: { kind: 'batch.files_named_late', seconds: 900 } }]);
  const collect = p.deps.outbox.collect.bind(p.deps.outbox);
  p.deps.outbox.collect = async (message, delivery) => {
    if (delivery?.delayMs === undefined) await collect(message);
  };
  await p.drop(KEY, TEXT);
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded' });
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  expect(p.failures).toEqual([]);
});

test('a message that comes before its wait is over does nothing', async () => {
  const { p, countOf } = await start([{ effect: { kind: 'batch.files_named_late', seconds: 1_200 } }]);
  await p.drop(KEY, TEXT);
  await p.run(0.2);
  const [job] = p.deps.outbox.messages;
  expect(job).toBeUndefined();
  const [batch] = await Array.fromAsync(p.deps.jobs.listOverdue(Number.MAX_SAFE_INTEGER)).then((items) =>
    items.flatMap((item) => (item.kind === 'batch' ? [item.batch] : [])),
  );
  expect(batch).toMatchObject({ state: 'ended', download: { lateResults: 0 } });
  expect(batch!.wait?.notBefore).toBeGreaterThan(p.emulator.clock.now());
  const before = countOf('batches.getBatch');
  await p.deps.outbox.collect({ v: 1, jobId: batch!.jobId, batchId: batch!.batchId });
  await p.drain();
  expect(countOf('batches.getBatch')).toBe(before);
});

describe('looks', () => {
  test('come after seconds at first, then after half of the time waited, and the last one after an hour', () => {
    const looks: number[] = [];
    for (let waitedMs = 0; waitedMs < 60 * MINUTE_MS; ) {
      waitedMs += nextLookMs(waitedMs);
      looks.push(waitedMs);
    }
    expect(looks.slice(0, 4).map((waitedMs) => waitedMs / SECOND_MS)).toEqual([5, 10, 15, 22.5]);
    expect(looks.at(-1)).toBe(60 * MINUTE_MS);
    expect(looks.length).toBeLessThan(25);
    for (const [index, waitedMs] of looks.entries())
      expect(waitedMs - (looks[index - 1] ?? 0)).toBeLessThanOrEqual(6 * MINUTE_MS);
  });

  test('continue every half hour where OpenAI does not know the batch', () => {
    expect(nextLookMs(60 * MINUTE_MS)).toBe(30 * MINUTE_MS);
    expect(nextLookMs(10 * 60 * MINUTE_MS)).toBe(30 * MINUTE_MS);
  });
});

test('a batch that OpenAI cannot be asked for ends in the end; what its files lack is not run again', async () => {
  const p = await startTestPipeline({
    emulator: { faults: [{ match: { custom_id: '^r[12]$' }, effect: { kind: 'line.missing' } }] },
    intercept: (call, effect) => {
      if (call === 'batches.getBatch') throw new Error('500');
      return effect();
    },
  });
  await p.drop(KEY, TEXT);
  await p.run(48);
  expect(await p.receipt(KEY)).toMatchObject({
    result: 'partial',
    counts: { succeeded: REQUESTS - 2, failed: 2 },
    errorsByCode: { result_unreadable: 2 },
    possiblyBilledTwice: {},
  });
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});
