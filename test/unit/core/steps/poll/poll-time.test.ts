/** The poll is the only clock: what is outside and hangs must not keep the rest of a run from being done. */

import { expect, test } from 'vitest';
import { defaultSettings } from '../../../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../../../src/contract/time.ts';
import type { Deadline } from '../../../../../src/core/ports/ambient.ts';
import type { BatchApi } from '../../../../../src/core/ports/provider.ts';
import { Prices } from '../../../../../src/core/pricing/prices.ts';
import { type PollDeps, poll } from '../../../../../src/core/steps/poll/poll.ts';
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
import { batchOf } from '../../../../support/records.ts';
import { expectListedEvents, noTelemetry } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const NOW = 1_790_000_000_000;
const RUN_MS = 5 * MINUTE_MS;

/** A poll of five minutes, with a batch at OpenAI for each of the keys, and one that lost its message. */
async function start(hanging: ReadonlySet<string>) {
  let now = NOW + 60 * MINUTE_MS;
  const endsAt = now + RUN_MS;
  const ambient = { now: () => now, nonce: () => 'nonce' };
  const jobs = new MemoryJobs();
  const told: string[] = [];
  /** What is asked hangs until its caller gives up, and takes all the time that it was given. */
  const apiOf = (name: string, deadline: Deadline | undefined): BatchApi => {
    const api = new MemoryBatches(ambient);
    api.listBatches = async () => {
      told.push(`list ${name}`);
      if (!hanging.has(name)) return { batches: [] };
      now += deadline!.remainingMs();
      throw new Error('took longer');
    };
    api.getBatch = async (id) => {
      told.push(`get ${id}`);
      throw new Error('is not reached');
    };
    return api;
  };
  const outbox = new MemoryOutbox();
  const objects = new MemoryObjects({ bucket: 'bucket' }, ambient);
  const deps: PollDeps = {
    stackId: 'stack',
    stackName: 'stack',
    owners: new MemoryOwners(),
    settings: defaultSettings(),
    objects,
    inputs: objects,
    listing: new MemoryListing(),
    jobs,
    drops: new MemoryDropTurns(jobs),
    quota: new MemoryQuota(jobs),
    prices: new Prices(OPENAI_PRICES),
    rules: OPENAI_RULES,
    suspensions: new MemorySuspensions(),
    pauses: new MemoryPauses(),
    shutdowns: new MemoryShutdowns(),
    webhooks: new MemoryWebhooks(),
    batches: { withKey: apiOf },
    outbox: Object.assign(outbox, {
      collect: async () => {
        told.push('swept');
      },
    }),
    ambient,
    deadline: { remainingMs: () => endsAt - now },
    heartbeat: noHeartbeat,
    sampler: new Sampler(),
    workKeptMs: 30 * 24 * 60 * MINUTE_MS,
    telemetry: noTelemetry,
  };
  for (const [index, apiKey] of ['a', 'b'].entries())
    await jobs.createBatch(
      batchOf('live', index, {
        state: 'submitted',
        apiKey,
        remote: {
          openaiBatchId: `batch_${apiKey}`,
          submittedAt: NOW,
          status: 'validating',
          statusAt: NOW,
        },
      }),
    );
  await jobs.createBatch(
    batchOf('lost', 0, { state: 'ended', ending: { status: 'completed', endedAt: NOW } }),
  );
  return { deps, told, leftMs: () => endsAt - now };
}

test('what was lost is swept up before anything outside is asked', async () => {
  const { deps, told } = await start(new Set(['a', 'b', 'default']));
  await expect(poll(deps)).rejects.toThrow('took longer');
  expect(told[0]).toBe('swept');
});

test('a key whose service hangs uses up neither the time of another key nor that of the steps that follow', async () => {
  for (const hanging of ['a', 'b']) {
    const { deps, told, leftMs } = await start(new Set([hanging]));
    await expect(poll(deps)).rejects.toThrow();
    const other = hanging === 'a' ? 'b' : 'a';
    expect(told).toContain(`list ${other}`);
    expect(told).toContain(`get batch_${other}`);
    // With it nothing is asked once its time is over.
    expect(told).not.toContain(`get batch_${hanging}`);
    expect(leftMs()).toBeGreaterThan(MINUTE_MS);
    expect(await deps.listing.getListing()).toBeDefined();
  }
});
