/**
 * Asks OpenAI how the live batches are, and restarts overdue work: messages get lost, workers die, waits
 * run out. Every write is conditional, so two pollers at once do no harm; the lease only saves the work.
 */

import type { Settings } from '../../../contract/settings.ts';
import { KeyUnusableError } from '../../base/errors.ts';
import { ownText, reasonOf } from '../../base/own-text.ts';
import { whileLeased } from '../../lifecycle/lease.ts';
import { unreachable } from '../../lifecycle/lost.ts';
import { isPast } from '../../lifecycle/pages.ts';
import { CLOCK_SKEW_MS, partOf } from '../../lifecycle/time-limits.ts';
import { apiKeyOf, type BatchRecord } from '../../model/batch.ts';
import type { Ambient, Deadline, Sleep } from '../../ports/ambient.ts';
import type { DropTurnStore } from '../../ports/drops.ts';
import type { Inputs, ObjectStore, OwnersStore, WorkFiles } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { PauseStore } from '../../ports/pauses.ts';
import type { BatchService, ByKey, RemoteBatch } from '../../ports/provider.ts';
import type { CommonRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore, ListingStore, ShutdownStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { WebhookStore } from '../../ports/webhooks.ts';
import type { Prices } from '../../pricing/prices.ts';
import { dispatch } from '../../scheduling/dispatch.ts';
import { healReservations } from '../../scheduling/heal-reservations.ts';
import { observeBatch } from '../../scheduling/observe-batch.ts';
import { stepDown } from '../../scheduling/step-down.ts';
import { noteUnreported, type UnreportedDeps } from '../../scheduling/unreported.ts';
import { cleanWork } from './clean-work.ts';
import { listInputs } from './list-inputs.ts';
import { listModels } from './list-models.ts';
import { type ReconcileDeps, reconcile } from './reconcile.ts';
import { pricesAgeDays, type Sample, type Sampler, sampleOfLive } from './sample.ts';
import { batchesToLookAt, type SlowLooksDeps } from './slow-looks.ts';
import { startDrops } from './start-drops.ts';
import { attempt, POLL_LEASE, sweep } from './sweep.ts';
import { turnOf } from './turn-of.ts';

type Batches = Pick<
  BatchService,
  'getBatch' | 'cancelBatch' | 'listBatches' | 'listFiles' | 'deleteFile' | 'listModels'
>;

export interface PollDeps extends ReconcileDeps, SlowLooksDeps, UnreportedDeps {
  stackName: string;
  settings: Pick<Settings, 'stuck' | 'quota' | 'routes' | 'layout' | 'takeOver' | 'webhooks'>;
  webhooks: Pick<WebhookStore, 'getHealth' | 'changeHealth'>;
  /** How long the files of a job stay below `work/` after it has ended. */
  workKeptMs: number;
  objects: Pick<ObjectStore, 'get' | 'put'> & WorkFiles;
  inputs: Pick<Inputs, 'listVersions'>;
  prices: Prices;
  jobs: JobStore;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  pauses: Pick<PauseStore, 'getPauses'>;
  listing: ListingStore;
  drops: DropTurnStore;
  shutdowns: ShutdownStore;
  owners: OwnersStore;
  batches: ByKey<Batches>;
  rules: CommonRules;
  outbox: Outbox;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Sleep;
  telemetry: Telemetry;
  sampler: Sampler;
}

/** Batches asked for one by one in a run, for those that no page showed; each key has its share of them. */
const MAX_SINGLE_READS = 100;
/**
 * How long the lease of a poll that died keeps the next ones away (ms). Shorter than a worker's: two polls at once do
 * no harm, they only do the work twice.
 */
const POLL_LEASE_MS = 90_000;

/** One run: at most one at a time does anything. */
export async function poll(deps: PollDeps): Promise<void> {
  const { jobs, ambient } = deps;
  const now = ambient.now();
  const until = now + POLL_LEASE_MS;
  const token = await jobs.acquireLease(POLL_LEASE, now, until);
  // Another one is running. Not logged: on a laptop that would be twice a second.
  if (token === undefined) return;
  const held = {
    what: ownText`the poll`,
    until,
    leaseMs: POLL_LEASE_MS,
    renew: (_now: number, renewedUntil: number) => jobs.renewLease(POLL_LEASE, token, renewedUntil),
  };
  try {
    await whileLeased(deps, held, () => runSteps(deps, token));
  } finally {
    await jobs.releaseLease(POLL_LEASE, token);
  }
}

/** How much of what is left of a run a step that asks OpenAI may take: the steps after it need some, too. */
const STEP_SHARE = 1 / 2;

/** The same dependencies; every call to OpenAI ends by a time of its own. */
function withDeadline(deps: PollDeps, deadline: Deadline): PollDeps {
  return { ...deps, batches: { withKey: (name) => deps.batches.withKey(name, deadline) } };
}

async function runSteps(deps: PollDeps, token: number): Promise<void> {
  const failures: unknown[] = [];
  const sample: Sample = {};
  // First: it needs nothing but the table and the queues, so that no service outside can keep what is lost from being
  // found.
  Object.assign(sample, await sweep(deps, failures));
  await attempt(failures, () => startDrops(deps));
  await readBatches(deps, token, failures, sample);
  const forReconcile = withDeadline(deps, partOf(deps.deadline, STEP_SHARE));
  await attempt(failures, () => reconcile(forReconcile, token));
  await attempt(failures, () => healReservations(deps));
  await attempt(failures, async () => Object.assign(sample, await dispatch(deps)));
  if (deps.sampler.takeTurn(deps.ambient.now())) {
    const age = pricesAgeDays(deps.prices, deps.ambient.now());
    deps.telemetry.record('pipeline.sampled', { ...sample, pricesAgeDays: age });
  }
  await attempt(failures, () => listModels(withDeadline(deps, partOf(deps.deadline, STEP_SHARE))));
  await attempt(failures, () => cleanWork(deps));
  // Last: it takes what time is left.
  await attempt(failures, () => listInputs(deps));
  // Thrown only now: what one batch or service refuses must not keep all others from being moved.
  if (failures.length > 0) throw failures[0];
}

/**
 * Reads the live batches of each key, with that key alone: what one of them cannot be used for stops none of the
 * others.
 */
async function readBatches(
  deps: PollDeps,
  token: number,
  failures: unknown[],
  sample: Sample,
): Promise<void> {
  const live = new Map<string, BatchRecord>();
  await attempt(failures, async () => {
    for await (const batch of deps.jobs.listAtOpenAI()) live.set(batch.remote!.openaiBatchId, batch);
    Object.assign(sample, sampleOfLive(live.values(), deps.ambient.now()), { silentWebhooks: 0 });
  });
  const hurried = new Set(
    [...live.values()].flatMap(({ jobId, ladder }) => (ladder?.deadlineAt ? [jobId] : [])),
  );
  for (const jobId of hurried) {
    await attempt(failures, async () => {
      // What is to be cancelled is, in the pass that follows.
      for (const batch of await stepDown(deps, await deps.jobs.listBatches(jobId)))
        if (live.has(batch.remote?.openaiBatchId ?? '')) live.set(batch.remote!.openaiBatchId, batch);
    });
  }
  const byKey: [string, BatchRecord[]][] = [];
  for (const [apiKey, ofKey] of Map.groupBy(live.values(), apiKeyOf)) {
    let batches = ofKey;
    await attempt(failures, async () => {
      const looks = await batchesToLookAt(deps, apiKey, ofKey, token);
      batches = looks.batches;
      if (looks.isSilent) sample.silentWebhooks = (sample.silentWebhooks ?? 0) + 1;
    });
    if (batches.length > 0) byKey.push([apiKey, batches]);
  }
  const most = Math.ceil(MAX_SINGLE_READS / byKey.length);
  const deadline = partOf(deps.deadline, STEP_SHARE);
  // Each key has its turn to be the first, and a part of the time: one whose service hangs must not use up that of
  // the others.
  for (const [index, [apiKey, batches]] of turnOf(byKey, byKey.length, token).entries()) {
    const ofKey = new Map(batches.map((batch) => [batch.remote!.openaiBatchId, batch]));
    const part = partOf(deadline, 1 / (byKey.length - index));
    await readWithKey(withDeadline(deps, part), apiKey, ofKey, { most, token, deadline: part }, failures);
  }
}

/**
 * One pass over the list pages serves every live batch of a project; only what no page shows is asked for alone. The
 * first pass is with the current version of the key, and mostly shows them all; others follow for batches that are left
 * and were made with another version.
 */
async function readWithKey(
  deps: PollDeps,
  apiKey: string,
  live: Map<string, BatchRecord>,
  { most, token, deadline }: { most: number; token: number; deadline: Deadline },
  failures: unknown[],
): Promise<void> {
  const api = deps.batches.withKey(apiKey);
  let current: string | undefined;
  await attempt(failures, async () => {
    current = await readPages(deps, api, live, undefined, failures);
  });
  const versions = new Set([...live.values()].flatMap(({ attempt }) => attempt?.keyVersion ?? []));
  for (const version of versions) {
    if (version !== current) await attempt(failures, () => readPages(deps, api, live, version, failures));
  }
  // With nothing to say, nothing: on a laptop that would be twice a second.
  if (live.size > 0) deps.telemetry.record('batches.queried', { apiKey, batches: live.size });
  for (const batch of turnOf([...live.values()], most, token)) {
    if (deadline.remainingMs() <= 0) {
      deps.telemetry.record('poll.shortened', { apiKey });
      return;
    }
    await attempt(failures, async () => {
      const remote = await api.getBatch(batch.remote!.openaiBatchId, batch.attempt?.keyVersion);
      if (remote === undefined) await unreachable(deps, batch, deps.settings.stuck);
      else await observeLooked(deps, batch, remote);
    });
  }
}

/**
 * Records what the list pages show to one version of the key, the current one by default, and takes it out of `live`.
 * @returns which version it was.
 */
async function readPages(
  deps: PollDeps,
  api: Batches,
  live: Map<string, BatchRecord>,
  keyVersion: string | undefined,
  failures: unknown[],
): Promise<string | undefined> {
  const mayShow = [...live.values()].filter(
    (batch) => keyVersion === undefined || batch.attempt?.keyVersion === keyVersion,
  );
  const oldest = mayShow.reduce(
    (least, { remote }) => Math.min(least, remote!.submittedAt),
    Number.POSITIVE_INFINITY,
  );
  let usedVersion = keyVersion;
  let after: string | undefined;
  let inVain = 0;
  try {
    while (live.size > 0) {
      const page = await api.listBatches(after, keyVersion);
      usedVersion = page.keyVersion;
      const missing = live.size;
      for (const remote of page.batches) {
        const batch = live.get(remote.id);
        if (batch === undefined) continue;
        live.delete(remote.id);
        await attempt(failures, () => observeLooked(deps, batch, remote));
      }
      // Newest first is practice, not promise: stop early only at a page that is too old from end to end.
      if (isPast(page.batches, oldest - CLOCK_SKEW_MS) || page.next === undefined) break;
      // One that is held for weeks must not cost every page since: at most as many in vain as there are to be asked
      // for.
      inVain = live.size === missing ? inVain + 1 : 0;
      if (inVain >= live.size) break;
      after = page.next;
    }
  } catch (error) {
    if (!(error instanceof KeyUnusableError)) throw error;
    // Its batches are asked for one by one, with the current key.
    deps.telemetry.record('version.refused', { keyVersion, reason: reasonOf(error) });
  }
  return usedVersion;
}

async function observeLooked(deps: PollDeps, batch: BatchRecord, remote: RemoteBatch): Promise<void> {
  if (await observeBatch(deps, batch, remote))
    await noteUnreported(deps, batch, { openaiBatchId: remote.id });
}
