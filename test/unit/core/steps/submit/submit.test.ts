/** What submit does about a create whose answer was lost, and about turns. */

import { expect, test } from 'vitest';
import { HOUR_MS } from '../../../../../src/contract/time.ts';
import { CreateRefusedError } from '../../../../../src/core/base/errors.ts';
import type { RemoteBatch } from '../../../../../src/core/ports/provider.ts';
import { createTurnsOf } from '../../../../../src/core/scheduling/scopes.ts';
import { submit } from '../../../../../src/core/steps/submit/submit.ts';
import { batchWrite } from '../../../../support/records.ts';
import { NOW, startSubmit } from '../../../../support/submit.ts';
import { expectListedEvents } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

test('a fenced batch is found on the last page of a list in no order, behind old batches that look newest first', async () => {
  const { deps, batches, read, message } = await startSubmit({
    state: 'submitting',
    attempt: { nonce: 'mine', inputFileId: 'file-1', intentAt: NOW - HOUR_MS, fencedAt: NOW - HOUR_MS / 2 },
  });
  const old = (id: string, daysAgo: number): RemoteBatch => ({
    id,
    status: 'completed',
    inputFileId: `file-of-${id}`,
    metadata: {},
    createdAt: NOW - daysAgo * 24 * HOUR_MS,
  });
  const ours: RemoteBatch = {
    ...old('batch_ours', 0),
    status: 'in_progress',
    metadata: { batchdrop_stack: 'stack', batchdrop_nonce: 'mine' },
    createdAt: NOW - HOUR_MS,
  };
  batches.listBatches = async (after) =>
    after === undefined ? { batches: [old('a', 3), old('b', 4)], next: 'b' } : { batches: [ours] };
  await submit(deps, message);
  expect(await read()).toMatchObject({ state: 'submitted', remote: { openaiBatchId: 'batch_ours' } });
});

test('a batch is not created before it has a turn, and keeps its file meanwhile', async () => {
  const { deps, batches, clock, read, message } = await startSubmit({
    state: 'uploaded',
    attempt: { nonce: 'mine', inputFileId: 'file-1' },
  });
  expect(await deps.quota.takeTurn(createTurnsOf('default'), 1, NOW)).toBe(0);
  await submit(deps, message);
  const waiting = await read();
  expect(waiting).toMatchObject({ state: 'uploaded', attempt: { inputFileId: 'file-1' } });
  expect(waiting.wait?.notBefore).toBeGreaterThan(NOW + HOUR_MS);
  expect((await batches.listBatches()).batches).toEqual([]);
  clock.now = waiting.wait!.notBefore!;
  await submit(deps, message);
  expect(await read()).toMatchObject({ state: 'submitted' });
});

test('a batch that the ladder left while its create was refused for a young file is not created any more', async () => {
  const { deps, batches, clock, read, message } = await startSubmit({
    state: 'uploaded',
    attempt: { nonce: 'mine', inputFileId: 'file-1' },

    ladder: { tiers: ['batch', 'flex'], deadlineAt: NOW + HOUR_MS },
  });
  let creates = 0;
  batches.createBatch = async () => {
    creates++;
    // As the sweep does meanwhile, once no time is left for a batch.
    const left = { stop: { nextTier: 'flex', cancelRequestedAt: NOW } } as const;
    await deps.jobs.moveBatch(await read(), batchWrite('submitting', left), NOW);
    throw new CreateRefusedError('not ready', 400, undefined, 'file_not_ready');
  };
  await submit(deps, message);
  const waiting = await read();
  expect(waiting).toMatchObject({ state: 'uploaded', attempt: { inputFileId: 'file-1' } });
  clock.now = waiting.wait!.notBefore!;
  await submit(deps, message);
  expect(await read()).toMatchObject({ state: 'ended', stop: { nextTier: 'flex' } });
  expect(creates).toBe(1);
});
