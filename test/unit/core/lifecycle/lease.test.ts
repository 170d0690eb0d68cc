/** A lease while a worker uses it: renewed beside the work, and looked at before each side effect. */

import { expect, test } from 'vitest';
import { toWaiting } from '../../../../src/core/lifecycle/batch-transitions.ts';
import {
  LEASE_MARGIN_MS,
  LEASE_MS,
  LeaseLostError,
  leaseUntil,
  RENEW_EVERY_MS,
} from '../../../../src/core/lifecycle/lease.ts';
import { LeasedBatch } from '../../../../src/core/lifecycle/leased.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Sleep } from '../../../../src/core/ports/ambient.ts';
import { MemoryBatches } from '../../../support/memory/batches.ts';
import { MemoryJobs } from '../../../support/memory/jobs.ts';
import { MemoryObjects } from '../../../support/memory/objects.ts';
import { batchOf, batchWrite } from '../../../support/records.ts';
import { expectListedEvents, telemetryTo } from '../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const NOW = 1_790_000_000_000;
const KEY = { jobId: 'job', batchId: '0-00000' };

/** A claimed batch, and a clock whose every beat is called for. */
async function start() {
  const clock = { now: NOW };
  const ambient = { now: () => clock.now, nonce: () => 'nonce' };
  const jobs = new MemoryJobs();
  const warnings: string[] = [];
  let beat = (): void => {};
  const heartbeat: Sleep = (_ms, signal) =>
    new Promise((resolve) => {
      beat = resolve;
      if (signal?.aborted) resolve();
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  const deps = {
    jobs,
    objects: new MemoryObjects({ bucket: 'bucket' }, ambient),
    batches: new MemoryBatches(ambient),
    ambient,
    heartbeat,
    telemetry: telemetryTo(({ name }) => warnings.push(name)),
  };
  await jobs.createBatch(batchOf(KEY.jobId, 0, { state: 'admitted' }));
  const forLong = { jobs, ambient, deadline: { remainingMs: () => 15 * 60_000 } };
  const batch = (await LeasedBatch.lease(forLong, KEY, 'admitted'))!;
  return {
    deps,
    batch,
    warnings,
    read: async (): Promise<BatchRecord> => (await jobs.getBatch(KEY.jobId, KEY.batchId))!,
    pass: async (ms: number): Promise<void> => {
      clock.now += ms;
      beat();
      for (let turns = 0; turns < 20; turns++) await Promise.resolve();
    },
    other: (now: number) => jobs.leaseBatch(KEY, 'admitted', 'other', now, now + LEASE_MS),
  };
}

test('work that takes hours keeps its claim, which is short all the while', async () => {
  const { deps, batch, read, pass, other } = await start();
  await batch.work(deps, async (leased) => {
    for (let beats = 0; beats < 500; beats++) {
      await pass(RENEW_EVERY_MS);
      expect(await other(deps.ambient.now())).toBeUndefined();
    }
    expect((await read()).lease?.until).toBe(deps.ambient.now() + LEASE_MS);
    await leased.objects.put('work/late', new Uint8Array(1));
  });
});

test('a worker that was stopped for longer than its lease begins no side effect, and every one is looked at', async () => {
  const { deps, batch } = await start();
  await batch.work(deps, async ({ objects, batches }) => {
    const writer = objects.openWrite('work/open');
    const stopped = deps.ambient.now() + LEASE_MS - LEASE_MARGIN_MS;
    deps.ambient.now = () => stopped;
    const upload = { filename: 'f', bytes: 0, body: (async function* () {})() };
    const create = { inputFileId: 'f', endpoint: '/v1/responses', metadata: {} };
    const effects: (() => Promise<unknown>)[] = [
      () => objects.put('work/a', new Uint8Array(1)),
      () => objects.remove('work/a'),
      () => writer.close(),
      () => batches.uploadFile(upload),
      () => batches.createBatch(create),
      () => batches.cancelBatch('b'),
      () => batches.deleteFile('f'),
    ];
    for (const effect of effects) await expect(effect()).rejects.toThrow(LeaseLostError);
    // Reading does no harm.
    expect(await objects.get('work/a')).toBeUndefined();
    expect((await batches.listBatches()).batches).toEqual([]);
  });
});

test('a worker that another one has followed begins no side effect, though its own time is not up', async () => {
  const { deps, batch, pass, other, warnings } = await start();
  await batch.work(deps, async ({ objects }) => {
    expect(await other(NOW + LEASE_MS)).toBeDefined();
    await pass(RENEW_EVERY_MS);
    await expect(objects.put('work/a', new Uint8Array(1))).rejects.toThrow(LeaseLostError);
  });
  expect(warnings).toEqual(['lease.lost']);
});

test('a renewal that fails is repeated, and the work is stopped before the lease runs out if none succeeds', async () => {
  const { deps, batch, pass, warnings } = await start();
  const renew = deps.jobs.renewBatch.bind(deps.jobs);
  const away = async (): Promise<boolean> => {
    throw new Error('the table is away');
  };
  deps.jobs.renewBatch = away;
  await batch.work(deps, async ({ objects }) => {
    await pass(RENEW_EVERY_MS);
    await pass(RENEW_EVERY_MS);
    await objects.put('work/a', new Uint8Array(1));
    deps.jobs.renewBatch = renew;
    await pass(RENEW_EVERY_MS);
    deps.jobs.renewBatch = away;
    for (let beats = 0; beats < 4; beats++) await pass(RENEW_EVERY_MS);
    await expect(objects.put('work/b', new Uint8Array(1))).rejects.toThrow(LeaseLostError);
  });
  expect(new Set(warnings)).toEqual(new Set(['renewal.failed']));
});

test('what follows once the claim was given back is not stopped, and nothing is renewed any more', async () => {
  const { deps, batch, read, pass, warnings } = await start();
  await batch.work(deps, async ({ batches }) => {
    await batch.move(toWaiting(batch.record, { lastError: 'refused' }));
    await pass(LEASE_MS);
    await batches.deleteFile('left over');
  });
  expect((await read()).lease?.until).toBeUndefined();
  expect(warnings).toEqual([]);
});

test('a worker that lives shorter than a lease claims for its life, renews nothing, and begins nothing after it', async () => {
  const { deps, warnings, pass } = await start();
  const now = deps.ambient.now();
  const until = leaseUntil(now, { remainingMs: () => 3_000 });
  expect(until).toBe(now + 8_000);
  expect(leaseUntil(now, { remainingMs: () => 15 * 60_000 })).toBe(now + LEASE_MS);
  await deps.jobs.moveBatch(KEY, batchWrite('admitted', {}, { clear: ['lease'] }), now);
  const short = { ...deps, deadline: { remainingMs: () => 3_000 } };
  const batch = (await LeasedBatch.lease(short, KEY, 'admitted'))!;
  await batch.work(deps, async ({ objects }) => {
    await pass(7_999);
    await objects.put('work/in-time', new Uint8Array(1));
    await pass(1);
    await expect(objects.put('work/late', new Uint8Array(1))).rejects.toThrow(LeaseLostError);
  });
  expect((await deps.jobs.getBatch(KEY.jobId, KEY.batchId))!.lease?.until).toBe(until);
  expect(warnings).toEqual([]);
});
