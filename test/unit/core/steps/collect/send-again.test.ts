/** The order in which a refused batch is given up and sent again. */
import { expect, test } from 'vitest';
import { LeasedBatch } from '../../../../../src/core/lifecycle/leased.ts';
import type { BatchRecord } from '../../../../../src/core/model/batch.ts';
import { sendAgain } from '../../../../../src/core/steps/collect/send-again.ts';
import { attemptOf, batchOf, endingOf, remoteOf } from '../../../../support/records.ts';
import { noTelemetry } from '../../../../support/telemetry.ts';

const NOW = 1_000;
const AGAIN = { waitMs: 0, code: 'no_room', reason: 'OpenAI refused the batch: no_room' };
const ENDED = batchOf('job', 0, {
  state: 'ended',
  admission: { reservation: 'reserved' },
  attempt: attemptOf(),
  remote: remoteOf({ status: 'failed' }),
  ending: endingOf({ status: 'failed' }),
});

/** Sends the batch again, where another worker may have it by then. @returns what was done, in order. */
async function sendRefused(isTakenOver: boolean): Promise<string[]> {
  const done: string[] = [];
  const ambient = { now: () => NOW, nonce: () => 'worker' };
  const lease = { holder: 'worker', until: NOW + 60_000 };
  const jobs = {
    leaseBatch: async (): Promise<BatchRecord> => ({ ...ENDED, lease }),
    moveBatch: async (batch: BatchRecord) => {
      done.push('write');
      return isTakenOver ? undefined : { ...batch, state: 'planned' };
    },
  };
  const leasing = { jobs, ambient, deadline: { remainingMs: () => 60_000 } };
  const batch = await LeasedBatch.lease(leasing as never, ENDED, 'ended');
  const deps = {
    batches: { deleteFile: async () => void done.push('delete') },
    quota: { settle: async () => done.push('settle') > 0 },
    ambient,
    telemetry: noTelemetry,
  };
  await sendAgain(deps, batch!, AGAIN).catch((error: Error) => done.push(error.name));
  return done;
}

test('a refused batch is written first, then its reservation is settled, then its file is deleted', async () => {
  expect(await sendRefused(false)).toEqual(['write', 'settle', 'delete']);
});

test('a batch that another worker took over keeps its reservation, which that worker may have to book a cost on', async () => {
  expect(await sendRefused(true)).toEqual(['write', 'TakenOverError']);
});
