/** How long after a restore, and how far back, the batches of a project are held against the records. */
import { describe, expect, test } from 'vitest';
import { settingsSchema } from '../../../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../../../src/contract/time.ts';
import type { RemoteBatch } from '../../../../../src/core/ports/provider.ts';
import { type ReconcileDeps, reconcile } from '../../../../../src/core/steps/poll/reconcile.ts';
import { MemoryJobs } from '../../../../support/memory/jobs.ts';

import { MemoryOutbox } from '../../../../support/memory/outbox.ts';
import { memoryStore } from '../../../../support/memory-store.ts';
import { batchOf } from '../../../../support/records.ts';
import { BATCH_ONLY } from '../../../../support/routes.ts';
import { noTelemetry } from '../../../../support/telemetry.ts';

const NOW = Date.UTC(2026, 10, 1);

/** A poll over a project with one batch of ours each hour, one a page, the newest first. */
function pollWith(windows: (string | undefined)[]) {
  const clock = { now: NOW };
  const jobs = new MemoryJobs();
  const read: number[] = [];
  const remoteAt = (hours: number): RemoteBatch => ({
    id: `batch_${hours}`,
    status: 'in_progress',
    inputFileId: 'file_1',
    metadata: {
      batchdrop_stack: 'stack-1',
      batchdrop_job: 'job',
      batchdrop_batch: `0-${String(hours).padStart(5, '0')}`,
      batchdrop_nonce: 'n',
    },
    createdAt: NOW - hours * HOUR_MS,
  });
  const deps: ReconcileDeps = {
    stackId: 'stack-1',
    settings: settingsSchema.parse({
      routes: windows.map((completionWindow, index) => ({
        ...BATCH_ONLY,
        name: `r${index}`,
        prefix: `input/${index}/`,
        completionWindow,
      })),
    }),
    objects: memoryStore(),
    jobs,
    batches: {
      withKey: () => ({
        async listBatches(after) {
          const hours = after === undefined ? 0 : Number(after);
          read.push(hours);
          return { batches: [remoteAt(hours)], next: String(hours + 1), keyVersion: 'v1' };
        },
        deleteFile: async () => {},
      }),
    },
    outbox: new MemoryOutbox(),
    ambient: { now: () => clock.now, nonce: () => 'nonce' },
    deadline: { remainingMs: () => HOUR_MS },
    telemetry: noTelemetry,
  };
  /** Whether the lists were read by a poll that is so many hours later. */
  const reads = async (hours: number, poll: number): Promise<boolean> => {
    clock.now = NOW + hours * HOUR_MS;
    read.length = 0;
    await reconcile(deps, poll);
    return read.length > 0;
  };
  return { deps, jobs, read, reads };
}

/** Two polls, of which the table has forgotten the second. */
async function restored(windows: (string | undefined)[]) {
  const polls = pollWith(windows);
  for (const poll of [1, 2]) await reconcile(polls.deps, poll);
  expect(polls.read).toEqual([]);
  return polls;
}

describe.each([
  { windows: [undefined], hours: 48 },
  { windows: ['24h'], hours: 48 },
  { windows: ['1h', undefined], hours: 48 },
  { windows: ['3d', '24h'], hours: 96 },
  { windows: ['24h', '7d'], hours: 192 },
])('with the completion windows $windows', ({ windows, hours }) => {
  test(`the lists are read for ${hours} hours after a restore`, async () => {
    const { reads } = await restored(windows);
    expect(await reads(0, 2)).toBe(true);
    expect(await reads(hours - 1, 3)).toBe(true);
    expect(await reads(hours, 4)).toBe(false);
  });

  test(`a batch that was created ${hours} hours ago is taken up, and older pages are not read`, async () => {
    const { deps, jobs, read } = await restored(windows);
    const id = `0-${String(hours).padStart(5, '0')}`;
    await jobs.createBatch(batchOf('job', hours, { batchId: id, state: 'planned' }));
    await reconcile(deps, 2);
    expect(await jobs.getBatch('job', id)).toMatchObject({
      state: 'submitted',
      remote: { openaiBatchId: `batch_${hours}` },
    });
    // The first page that is too old from end to end is the last: clocks may differ by up to an hour.
    expect(read.at(-1)).toBeGreaterThan(hours);
    expect(read.at(-1)).toBeLessThanOrEqual(hours + 2);
  });
});

test('without a restore no list is read', async () => {
  const { reads } = pollWith(['3d']);
  for (const poll of [1, 2, 3]) expect(await reads(2 * poll, poll)).toBe(false);
});
