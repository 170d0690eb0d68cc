/** What a poll asks and writes: as much as there is live, whatever there ever was. */

import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../../../src/contract/time.ts';
import type { BatchRecord } from '../../../../../src/core/model/batch.ts';
import { batchIdOf } from '../../../../../src/core/model/batch-id.ts';
import { Prices } from '../../../../../src/core/pricing/prices.ts';
import { poll } from '../../../../../src/core/steps/poll/poll.ts';
import { Sampler } from '../../../../../src/core/steps/poll/sample.ts';
import { OPENAI_PRICES } from '../../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { MemoryBatches } from '../../../../support/memory/batches.ts';
import { MemoryDropTurns } from '../../../../support/memory/drop-turns.ts';
import { noHeartbeat } from '../../../../support/memory/heartbeat.ts';
import { MemoryJobs } from '../../../../support/memory/jobs.ts';
import { MemoryListing } from '../../../../support/memory/listing.ts';
import { MemoryObjects } from '../../../../support/memory/objects.ts';
import { MemoryOutbox } from '../../../../support/memory/outbox.ts';
import { MemoryOwners } from '../../../../support/memory/owners.ts';
import { MemoryPauses } from '../../../../support/memory/pauses.ts';
import { MemoryQuota } from '../../../../support/memory/quota.ts';
import { MemoryShutdowns } from '../../../../support/memory/shutdowns.ts';
import { MemorySuspensions } from '../../../../support/memory/suspensions.ts';
import { MemoryWebhooks } from '../../../../support/memory/webhooks.ts';
import { batchOf, remoteOf } from '../../../../support/records.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const JOB_ID = 'job';

function start() {
  let now = Date.UTC(2026, 0, 1);
  const asked = { pages: 0, single: 0 };
  const written: string[] = [];
  const events: SeenEvent[] = [];
  const ambient = { now: () => now, nonce: () => 'nonce' };
  class WatchedJobs extends MemoryJobs {
    override moveBatch(...parameters: Parameters<MemoryJobs['moveBatch']>) {
      written.push(parameters[1].name);
      return super.moveBatch(...parameters);
    }
  }
  class WatchedBatches extends MemoryBatches {
    override getBatch(id: string) {
      asked.single++;
      return super.getBatch(id);
    }
    override listBatches(after?: string) {
      asked.pages++;
      return super.listBatches(after);
    }
  }
  const jobs = new WatchedJobs();
  const batches = new WatchedBatches(ambient);
  const deps = {
    stackId: 'stack',
    stackName: 'stack',
    owners: new MemoryOwners(),
    settings: defaultSettings(),
    workKeptMs: 30 * 24 * 60 * MINUTE_MS,
    inputs: new MemoryObjects({ bucket: 'bucket' }, ambient),
    listing: new MemoryListing(),
    objects: new MemoryObjects({ bucket: 'bucket' }, ambient),
    jobs,
    drops: new MemoryDropTurns(jobs),
    quota: new MemoryQuota(jobs),
    prices: new Prices(OPENAI_PRICES),
    rules: OPENAI_RULES,
    suspensions: new MemorySuspensions(),
    pauses: new MemoryPauses(),
    shutdowns: new MemoryShutdowns(),
    webhooks: new MemoryWebhooks(),
    batches,
    outbox: new MemoryOutbox(),
    ambient,
    deadline: { remainingMs: () => 5 * MINUTE_MS },
    heartbeat: noHeartbeat,
    sampler: new Sampler(),
    telemetry: telemetryTo((event) => events.push(event)),
  };
  let made = 0;
  return {
    ...deps,
    asked,
    written,
    samples: () => events.filter(({ name }) => name === 'pipeline.sampled').map(({ fields }) => fields),
    pass: (minutes: number) => {
      now += minutes * MINUTE_MS;
    },
    /** A batch in the project; of ours, if it is to be polled. */
    create: async (isOurs: boolean): Promise<BatchRecord> => {
      const remote = await batches.createBatch({
        inputFileId: 'file',
        endpoint: '/v1/responses',
        metadata: {},
      });
      const batch = batchOf(JOB_ID, made++, {
        state: 'submitted',
        model: 'gpt-6-luna',
        requests: 1_000,
        bytes: 1_000,
        createdAt: now,
        updatedAt: now,
        remote: { openaiBatchId: remote.id, submittedAt: now, status: 'validating', statusAt: now },
      });
      if (isOurs) await jobs.createBatch(batch);
      return batch;
    },
    poll: () => poll(deps),
  };
}

describe('what a poll says of the state of the pipeline', () => {
  it('is one event a run, of what it read anyway: what is at OpenAI, overdue, waiting and suspended', async () => {
    const stack = start();
    await stack.poll();
    const idle = {
      ...{ overdue: 0, oldestOverdueMs: 0, atOpenAI: 0, unreachable: 0, late: 0, silentWebhooks: 0 },
      ...{ waiting: 0, waitingFor: {}, oldestWaitingMs: 0, suspended: {}, pricesAgeDays: 0 },
    };
    expect(stack.samples()).toEqual([idle]);
    for (let made = 0; made < 3; made++) await stack.create(true);
    stack.pass(5);
    await stack.poll();
    expect(stack.samples().at(-1)).toEqual({ ...idle, atOpenAI: 3 });
    await stack.poll();
    expect(stack.samples()).toHaveLength(2);
  });

  it('leaves out what it could not read, and what it read is there', async () => {
    const stack = start();
    stack.jobs.listOverdue = () => {
      throw new Error('the table does not answer');
    };
    await expect(stack.poll()).rejects.toThrow('the table does not answer');
    const [sample] = stack.samples();
    expect(sample).toMatchObject({ atOpenAI: 0, waiting: 0 });
    expect(sample).not.toHaveProperty('overdue');
  });
});

describe('what a poll asks', () => {
  it('is nothing where no batch is live', async () => {
    const stack = start();
    for (let index = 0; index < 250; index++) await stack.create(false);
    await stack.poll();
    expect(stack.asked).toEqual({ pages: 0, single: 0 });
  });

  it('is the pages of live batches, however many there were before', async () => {
    const stack = start();
    for (let index = 0; index < 3_000; index++) await stack.create(false);
    stack.pass(60);
    for (let index = 0; index < 250; index++) await stack.create(true);
    await stack.poll();
    expect(stack.asked).toEqual({ pages: 3, single: 0 });
  });

  it('is answered for more live batches than a call may have arguments', async () => {
    const stack = start();
    const batch = await stack.create(true);
    for (let index = 1; index < 130_000; index++)
      await stack.jobs.createBatch({
        ...batch,
        batchId: batchIdOf(1, index),
        remote: remoteOf({ openaiBatchId: `gone-${index}` }),
      });
    stack.batches.end(batch.remote!.openaiBatchId, { status: 'completed' });
    await stack.poll();
    expect(await stack.jobs.getBatch(JOB_ID, batch.batchId)).toMatchObject({ state: 'ended' });
  });

  it('is no more than one page in vain for a batch that has been there for weeks, and that batch alone', async () => {
    const stack = start();
    const held = await stack.create(true);
    for (let index = 0; index < 3_000; index++) {
      stack.pass(5);
      await stack.create(false);
    }
    stack.batches.end(held.remote!.openaiBatchId, { status: 'completed' });
    await stack.poll();
    expect(stack.asked).toEqual({ pages: 1, single: 1 });
    expect(await stack.jobs.getBatch(JOB_ID, held.batchId)).toMatchObject({ state: 'ended' });
  });

  it('is pages on and on while they show more batches of ours than it would have to ask for', async () => {
    const stack = start();
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 20; index++) await stack.create(true);
      for (let index = 0; index < 180; index++) await stack.create(false);
    }
    await stack.poll();
    expect(stack.asked.pages).toBeLessThanOrEqual(40);
    expect(stack.asked.single).toBe(0);
  });
});

describe('what a poll writes', () => {
  it('is the status as soon as it is another, and progress when it has moved by a twentieth', async () => {
    const stack = start();
    const { remote, batchId } = await stack.create(true);
    const { openaiBatchId } = remote!;
    const see = async (status: 'validating' | 'in_progress', completed: number): Promise<number> => {
      const before = stack.written.length;
      stack.pass(5);
      stack.batches.end(openaiBatchId, { status, progress: { total: 1_000, completed, failed: 0 } });
      await stack.poll();
      return stack.written.length - before;
    };
    expect(await see('validating', 0)).toBe(1);
    expect(await see('validating', 0)).toBe(0);
    expect(await see('in_progress', 3)).toBe(1);
    expect(await see('in_progress', 52)).toBe(0);
    expect(await see('in_progress', 53)).toBe(1);
    expect(await see('in_progress', 60)).toBe(0);
    expect(await stack.jobs.getBatch(JOB_ID, batchId)).toMatchObject({
      remote: { status: 'in_progress', progress: { total: 1_000, completed: 53, failed: 0 } },
    });
  });

  it('is all of it once the batch has ended', async () => {
    const stack = start();
    const { remote, batchId } = await stack.create(true);
    const { openaiBatchId } = remote!;
    const progress = { total: 1_000, completed: 1, failed: 0 };
    stack.batches.end(openaiBatchId, { status: 'in_progress', progress });
    await stack.poll();
    stack.batches.end(openaiBatchId, { status: 'expired', progress: { ...progress, completed: 2 } });
    await stack.poll();
    expect(await stack.jobs.getBatch(JOB_ID, batchId)).toMatchObject({
      state: 'ended',
      remote: { progress: { completed: 2 } },
    });
  });

  it('is as much of what is wrong with a batch as a table item has room for, in any script', async () => {
    const stack = start();
    const { remote, batchId } = await stack.create(true);
    const { openaiBatchId } = remote!;
    const text = `a${'\u{1F4B8}'.repeat(300)}`;
    const errors = Array.from({ length: 1_000 }, (_, index) => ({
      code: 'invalid_value',
      message: text,
      param: text,
      line: index + 1,
    }));
    stack.batches.end(openaiBatchId, { status: 'failed', errors });
    await stack.poll();
    const { ending, state } = (await stack.jobs.getBatch(JOB_ID, batchId))!;
    const recorded = ending!.errors!;
    expect(state).toBe('ended');
    expect(Buffer.byteLength(JSON.stringify(recorded))).toBeLessThan(300_000);
    expect(recorded.length).toBeGreaterThan(100);
    expect(recorded.every(({ message }) => message.isWellFormed())).toBe(true);
  });
});
