/** In which order waiting batches have their turn, whatever room there is. */

import { expect, test } from 'vitest';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { batchIdOf } from '../../../../src/core/model/batch-id.ts';
import { nextQueue, queuesOf } from '../../../../src/core/scheduling/queues.ts';
import { tokensLedgerOf } from '../../../../src/core/scheduling/scopes.ts';
import { batchOf } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;
const MODEL = 'gpt-6-luna';

function batch(jobId: string, round: number, place: number, changes: Partial<BatchRecord> = {}): BatchRecord {
  const at = { batchId: batchIdOf(round, place), round };
  return batchOf(jobId, place, { ...at, model: MODEL, requests: 10, bytes: 400, ...changes });
}

type Held = Parameters<typeof queuesOf>[1];

/** The batches as they have their turn, each on its way from then on. */
function turns(batches: readonly BatchRecord[], held: Held = []): string[] {
  const queues = queuesOf(batches, held);
  const order: string[] = [];
  for (let queue = nextQueue(queues); queue !== undefined; queue = nextQueue(queues)) {
    const { jobId, batchId } = queue.batches.shift()!;
    queue.onTheirWay++;
    order.push(`${jobId}/${batchId}`);
  }
  return order;
}

test('jobs take turns, the older one first', () => {
  const young = { jobCreatedAt: NOW - 1 };
  const old = { jobCreatedAt: NOW - 2 };
  const waiting = [
    batch('b', 0, 0, young),
    batch('b', 0, 1, young),
    batch('a', 0, 0, old),
    batch('a', 0, 1, old),
  ];
  const ids = [batchIdOf(0, 0), batchIdOf(0, 1)];
  expect(turns(waiting)).toEqual(ids.flatMap((id) => [`a/${id}`, `b/${id}`]));
});

test('a job with batches on their way waits for one that has none', () => {
  const amounts = [{ ledger: tokensLedgerOf({ model: MODEL }), amount: 1 }];
  const waiting = [batch('a', 0, 1, { jobCreatedAt: NOW - 1 }), batch('b', 0, 0)];
  expect(turns(waiting, [{ jobId: 'a', amounts }])).toEqual([`b/${batchIdOf(0, 0)}`, `a/${batchIdOf(0, 1)}`]);
});

test('of one job, later rounds go first, then places in order', () => {
  const waiting = [batch('a', 0, 10), batch('a', 0, 9), batch('a', 1, 0)];
  expect(turns(waiting)).toEqual([batchIdOf(1, 0), batchIdOf(0, 9), batchIdOf(0, 10)].map((id) => `a/${id}`));
});

test('slices and batches of one job are in queues of their own', () => {
  const queues = queuesOf([batch('a', 0, 0), batch('a', 0, 1, { tier: 'flex' })], []);
  expect(queues.map(({ isOfSlices, batches }) => [isOfSlices, batches.length])).toEqual([
    [false, 1],
    [true, 1],
  ]);
});
