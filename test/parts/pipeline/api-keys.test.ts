/**
 * Routes with API keys of their own, each of a project of its own, over the OpenAI emulator: what is wrong with one
 * key, or used up by it, is no matter of the others, and nothing ever goes with another key than that of its route.
 */

import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/faults.ts';
import type { ApiKeys, ApiKeyValue } from '../../../src/adapters/api-key.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { ApiKeyMissingError } from '../../../src/core/base/errors.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { inputFilename } from '../../../src/core/lifecycle/ownership.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const OWN = 'input/own.jsonl';
const TEAM = 'input/team/a.jsonl';
/** By what a request carries, the project that OpenAI takes it for. */
const PROJECTS = { 'sk-test': 'proj_own', 'sk-team': 'proj_team' };
const ROUTES = [
  { ...BATCH_ONLY, name: 'own', prefix: 'input/' },
  { ...BATCH_ONLY, name: 'team', prefix: 'input/team/', apiKey: 'team' },
];

/** A key that a test sets and takes away. */
class SettableKey implements ApiKeys {
  value: ApiKeyValue | undefined;

  constructor(key?: string) {
    this.value = key === undefined ? undefined : { key, versionId: 'version-1' };
  }

  async read(): Promise<ApiKeyValue> {
    if (this.value === undefined) throw new ApiKeyMissingError('the secret holds no key');
    return this.value;
  }

  readAgain = this.read;

  async readVersion(versionId: string): Promise<ApiKeyValue | undefined> {
    return this.value?.versionId === versionId ? this.value : undefined;
  }
}

const LATE_FILES: FaultRule = { effect: { kind: 'batch.files_named_late', seconds: 5_400 } };

async function start(options: PipelineOptions & { routes?: unknown[]; quota?: object } = {}) {
  const { routes = ROUTES, quota = {}, ...rest } = options;
  const team = new SettableKey('sk-team');
  const settings = settingsSchema.parse({ routes, quota });
  const p = await startTestPipeline({
    settings,
    otherKeys: { team },
    emulator: { apiKeys: PROJECTS },
    ...rest,
  });
  const seenBy = (apiKey: string) => new OpenAI({ apiKey, baseURL: p.emulator.endpoint, logLevel: 'off' });
  return {
    p,
    team,
    /** Jobs whose batches a key sees, one for each batch. */
    jobsSeenBy: async (apiKey: string) =>
      (await seenBy(apiKey).batches.list()).data.map(({ metadata }) => metadata!.batchdrop_job),
    filesSeenBy: async (apiKey: string) => (await seenBy(apiKey).files.list()).data,
    uploadWith: (apiKey: string, filename: string) =>
      seenBy(apiKey).files.create({ file: new File([chatLine('x')], filename), purpose: 'batch' }),
    /** The only batch that waits. */
    async waiting() {
      const [batch, ...others] = await Array.fromAsync(p.deps.jobs.listWaiting());
      expect(others).toEqual([]);
      return batch;
    },
    async dropBoth() {
      await p.drop(OWN, ['a', 'b'].map((id) => chatLine(id)).join('\n'));
      await p.drop(TEAM, ['c', 'd'].map((id) => chatLine(id)).join('\n'));
    },
  };
}

async function jobIdOf(p: Pipeline, key: string): Promise<string> {
  return (await p.receipt(key)).jobId;
}

test('each job is sent, read and cleared away with the key of its route, and with no other', async () => {
  const { p, jobsSeenBy, filesSeenBy, dropBoth } = await start();
  await dropBoth();
  await p.run();
  expect(await jobsSeenBy('sk-test')).toEqual([await jobIdOf(p, OWN)]);
  expect(await jobsSeenBy('sk-team')).toEqual([await jobIdOf(p, TEAM)]);
  for (const key of Object.keys(PROJECTS)) expect(await filesSeenBy(key)).toEqual([]);
  expect((await p.deps.jobs.listBatches(await jobIdOf(p, OWN)))[0]).not.toHaveProperty('apiKey');
  expect((await p.deps.jobs.listBatches(await jobIdOf(p, TEAM)))[0]).toMatchObject({ apiKey: 'team' });
  expect(p.failures).toEqual([]);
});

test('what a batch leaves for the next round goes with its key, too', async () => {
  const { p, jobsSeenBy } = await start({
    emulator: {
      apiKeys: PROJECTS,
      faults: [{ match: {}, times: 1, effect: { kind: 'batch.expire', done: 2 } }],
    },
  });
  await p.drop(TEAM, ['c', 'd', 'e', 'f'].map((id) => chatLine(id)).join('\n'));
  await p.run(60);
  const { jobId, batches } = await p.receipt(TEAM);
  expect(batches.length).toBeGreaterThan(1);
  expect(await jobsSeenBy('sk-team')).toEqual(batches.map(() => jobId));
  expect(await jobsSeenBy('sk-test')).toEqual([]);
});

test('requests that are called one by one are called with the key of their route', async () => {
  const tiers = ['standard'];
  const { p } = await start({ routes: ROUTES.map((route) => ({ ...route, tiers })) });
  p.emulator.setFaults({ apiKeys: { 'sk-team': 'proj_team' } });
  await p.drop(TEAM, chatLine('c'));
  await p.run(1);
  expect((await p.receipt(TEAM)).result).toBe('succeeded');
  await p.drop(OWN, chatLine('a'));
  await p.run(1);
  expect(await p.deps.suspensions.getSuspension('default')).toMatchObject({ reason: 'invalid_api_key' });
  expect(await p.deps.suspensions.getSuspension('team')).toBeUndefined();
});

describe.each([
  ['refused', 'invalid_api_key'],
  ['not set', 'api_key_missing'],
])('a key that is %s', (what, reason) => {
  const breakIt = ({ p, team }: Awaited<ReturnType<typeof start>>): void => {
    if (what === 'refused') p.emulator.setFaults({ apiKeys: { 'sk-test': 'proj_own' } });
    else team.value = undefined;
  };
  const fix = ({ p, team }: Awaited<ReturnType<typeof start>>): void => {
    p.emulator.setFaults({ apiKeys: PROJECTS });
    team.value = { key: 'sk-team', versionId: 'version-1' };
  };

  test('holds up its own files alone, and once it is set right they run', async () => {
    const stack = await start();
    const { p, jobsSeenBy, waiting, dropBoth } = stack;
    breakIt(stack);
    await dropBoth();
    await p.run(10);
    expect((await p.receipt(OWN)).result).toBe('succeeded');
    expect(await waiting()).toMatchObject({ apiKey: 'team', hold: { reason } });
    expect(await p.deps.suspensions.getSuspension('team')).toMatchObject({ reason });
    expect(await p.deps.suspensions.getSuspension('default')).toBeUndefined();
    expect(await jobsSeenBy('sk-test')).toEqual([await jobIdOf(p, OWN)]);
    fix(stack);
    await p.run();
    expect(await p.receipt(TEAM)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
    expect(await jobsSeenBy('sk-team')).toEqual([await jobIdOf(p, TEAM)]);
    expect(await jobsSeenBy('sk-test')).toEqual([await jobIdOf(p, OWN)]);
    expect(await p.deps.suspensions.getSuspension('team')).toBeUndefined();
  });

  test('while its batches run at OpenAI does not keep the others from being read', async () => {
    const stack = await start();
    const { p, dropBoth } = stack;
    await dropBoth();
    await p.drain();
    breakIt(stack);
    await p.run(60, HOUR_MS);
    expect((await p.receipt(OWN)).result).toBe('succeeded');
    for await (const batch of p.deps.jobs.listAtOpenAI()) {
      expect(batch).toMatchObject({ apiKey: 'team', state: 'submitted' });
      expect(batch.remote?.unreachableSince).toBeUndefined();
    }
    fix(stack);
    await p.run();
    expect(await p.receipt(TEAM)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
    expect((await p.emulator.ledger.all()).length).toBe(4);
  });

  test.each([
    ['to be read', 'batches.readFile', []],
    ['to be asked for, because they are late', 'batches.getBatch', [LATE_FILES]],
  ])(
    'is waited for by results that take it %s, for days, and nothing of them is run again',
    async (_, at, faults) => {
      const stack = await start({
        emulator: { apiKeys: PROJECTS, faults },
        intercept: async (call, effect) => {
          if (call === at) breakOnce();
          return effect();
        },
      });
      let breakOnce = (): void => {
        breakIt(stack);
        breakOnce = () => {};
      };
      const { p } = stack;
      await p.drop(TEAM, ['c', 'd'].map((id) => chatLine(id)).join('\n'));
      await p.run(100, HOUR_MS);
      await expect(p.receipt(TEAM)).rejects.toThrow('is not there');
      const [item] = await Array.fromAsync(p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY));
      expect(item).toMatchObject({ kind: 'batch', batch: { state: 'ended', hold: { reason } } });
      fix(stack);
      await p.run();
      expect(await p.receipt(TEAM)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
      expect((await p.emulator.ledger.all()).length).toBe(2);
    },
  );

  test('keeps no leftover of another key from being deleted', async () => {
    const stack = await start();
    const { p, filesSeenBy, uploadWith } = stack;
    const leftover = inputFilename('stack-1', { jobId: 'gone', batchId: '0-00000' }, 'nonce');
    await uploadWith('sk-test', leftover);
    await uploadWith('sk-team', leftover);
    breakIt(stack);
    p.emulator.clock.advance(30 * HOUR_MS);
    await poll(p.deps);
    expect(await filesSeenBy('sk-test')).toEqual([]);
    fix(stack);
    p.emulator.clock.advance(2 * HOUR_MS);
    await poll(p.deps);
    expect(await filesSeenBy('sk-team')).toEqual([]);
  });
});

test('the key of the stack itself that is refused holds up no route with another one', async () => {
  const { p, dropBoth, waiting } = await start();
  p.emulator.setFaults({ apiKeys: { 'sk-team': 'proj_team' } });
  await dropBoth();
  await p.run(10);
  expect((await p.receipt(TEAM)).result).toBe('succeeded');
  expect(await waiting()).toMatchObject({ hold: { reason: 'invalid_api_key' } });
});

test('a job whose key a later deployment has no secret for waits, and continues once there is one again', async () => {
  const { p, jobsSeenBy, waiting } = await start();
  const { withKey } = p.deps.batches;
  const known = withKey('team');
  p.deps.batches.withKey = (name) => withKey(name === 'team' ? 'gone' : name);
  await p.drop(TEAM, chatLine('c'));
  await p.run(10);
  expect(await waiting()).toMatchObject({ state: 'planned', hold: { reason: 'api_key_unknown' } });
  expect(await p.deps.suspensions.getSuspension('team')).toMatchObject({ reason: 'api_key_unknown' });
  expect(await jobsSeenBy('sk-test')).toEqual([]);
  p.deps.batches.withKey = (name) => (name === 'team' ? known : withKey(name));
  await p.run();
  expect((await p.receipt(TEAM)).result).toBe('succeeded');
  expect(await jobsSeenBy('sk-test')).toEqual([]);
});

test('creates in an hour are counted by key', async () => {
  const { p, jobsSeenBy, dropBoth } = await start({ quota: { createsPerHour: 1 }, limits: { requests: 1 } });
  await dropBoth();
  await p.drain();
  expect(await jobsSeenBy('sk-test')).toHaveLength(1);
  expect(await jobsSeenBy('sk-team')).toHaveLength(1);
});

test('a job is cancelled at OpenAI with the key of its route', async () => {
  const { p, team } = await start();
  await p.drop(TEAM, chatLine('c'));
  await p.drain();
  const [batch] = await Array.fromAsync(p.deps.jobs.listAtOpenAI());
  await cancelJob(p.deps, batch!.jobId);
  const remote = await p.client
    .withOptions({ apiKey: team.value!.key })
    .batches.retrieve(batch!.remote!.openaiBatchId);
  expect(['cancelling', 'cancelled']).toContain(remote.status);
  await p.run();
  expect((await p.receipt(TEAM)).errorsByCode).toEqual({ batch_cancelled: 1 });
});

test('a batch that a restored table does not know is taken up with the key of its route, though the own key is refused', async () => {
  const { p, jobsSeenBy } = await start();
  await poll(p.deps);
  await p.drop(TEAM, chatLine('c'));
  const restores = [p.deps.jobs.snapshot(), p.deps.quota.snapshot()];
  await p.drain();
  await poll(p.deps);
  for (const restore of restores) restore();
  p.emulator.setFaults({ apiKeys: { 'sk-team': 'proj_team' } });
  p.emulator.clock.advance(10 * 60_000);
  await expect(poll(p.deps)).rejects.toThrow('GET /batches was answered 401');
  const [batch] = await Array.fromAsync(p.deps.jobs.listAtOpenAI());
  expect(batch).toMatchObject({
    apiKey: 'team',
    attempt: { keyVersion: 'version-1' },
    history: { adoptedAt: p.emulator.clock.now() },
  });
  await p.run();
  const { jobId, result } = await p.receipt(TEAM);
  expect(result).toBe('succeeded');
  expect(await jobsSeenBy('sk-team')).toEqual([jobId]);
});
