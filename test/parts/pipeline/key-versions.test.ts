/**
 * What becomes of batches when the API key is replaced: two keys, two projects, Secrets Manager and OpenAI over HTTP.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import OpenAI from 'openai';
import { afterEach, expect, test } from 'vitest';
import { startSecrets } from '../../../local/services/secrets/secrets.ts';
import { ApiKey } from '../../../src/adapters/api-key.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import { OpenAIRequestError } from '../../../src/providers/openai/request-error.ts';
import { createSecretsManagerClient } from '../../../src/runtime/clients.ts';
import { chatLine, type PipelineOptions, startPipeline } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c'];
const ARN = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:batchdrop-key';
const OLD = 'sk-old';
const NEXT = 'sk-next';
const TWO_PROJECTS = { [OLD]: 'proj_a', [NEXT]: 'proj_b' };
const ONE_PROJECT = { [OLD]: 'proj_a', [NEXT]: 'proj_a' };

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(projects: Record<string, string>, options: PipelineOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-keys-'));
  closing.push(() => rm(dir, { recursive: true, force: true }));
  const secrets = await startSecrets({ file: join(dir, 'secrets.json') });
  closing.push(() => secrets.close());
  secrets.ensureSecret({ name: 'batchdrop-key', arn: ARN });
  const client = createSecretsManagerClient({
    endpoint: secrets.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
  });
  closing.push(() => client.destroy());
  const setKey = async (value: string, version: string) => {
    // A version's id has 32 characters at least; the client checks nothing else of it.
    const ClientRequestToken = version.padEnd(32, '-');
    await client.send(new PutSecretValueCommand({ SecretId: ARN, SecretString: value, ClientRequestToken }));
    return ClientRequestToken;
  };
  const oldVersion = await setKey(OLD, 'old');
  const time = { now: () => 0 };
  const keys = new ApiKey(client, { secretId: ARN }, () => time.now());
  const p = await startPipeline({ ...options, keys, emulator: { apiKeys: projects } });
  time.now = () => p.emulator.clock.now();
  closing.push(() => p.stop());
  return {
    p,
    oldVersion,
    setKey,
    /** What a project holds, as one of its keys sees it. */
    seenBy: (apiKey: string) => new OpenAI({ apiKey, baseURL: p.emulator.endpoint, logLevel: 'off' }),
    drop: async () => {
      await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
      p.failures.push(...(await p.drain()));
    },
    batch: async (): Promise<BatchRecord> => {
      const [batch] = await p.deps.jobs.listBatches(
        (await p.receipt(KEY).catch(() => undefined))?.jobId ?? '',
      );
      if (batch !== undefined) return batch;
      for await (const live of p.deps.jobs.listAtOpenAI()) return live;
      for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
        if (item.kind === 'batch') return item.batch;
      throw new Error('there is no batch');
    },
  };
}

const onLost = (value: 'hold' | 'resubmit') =>
  settingsSchema.parse({ routes: [{ ...BATCH_ONLY, name: 'r', prefix: 'input/', onLost: value }] });

test('a batch is read, fetched and cleared away with the key that made it, when the next key is of another project', async () => {
  const { p, oldVersion, setKey, seenBy, drop, batch } = await start(TWO_PROJECTS);
  await drop();
  expect(await batch()).toMatchObject({ state: 'submitted', attempt: { keyVersion: oldVersion } });
  await setKey(NEXT, 'next');
  p.emulator.clock.advance(10 * 60_000);
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
  expect((await seenBy(OLD).files.list()).data).toEqual([]);
  expect((await seenBy(NEXT).batches.list()).data).toEqual([]);
  expect(p.failures).toEqual([]);
});

test('batches of two keys at once are both listed, and what is new is sent with the new key', async () => {
  const { p, setKey, seenBy, drop } = await start(TWO_PROJECTS);
  await drop();
  const next = await setKey(NEXT, 'next');
  p.emulator.clock.advance(10 * 60_000);
  await p.drop('input/b.jsonl', chatLine('only'));
  await p.drain();
  const single: string[] = [];
  const { getBatch } = p.deps.batches;
  p.deps.batches.getBatch = (id, version) => {
    single.push(id);
    return getBatch.call(p.deps.batches, id, version);
  };
  await p.run();
  expect((await p.receipt(KEY)).result).toBe('succeeded');
  const other = await p.receipt('input/b.jsonl');
  expect(other.result).toBe('succeeded');
  expect((await p.deps.jobs.listBatches(other.jobId))[0]).toMatchObject({ attempt: { keyVersion: next } });
  expect((await seenBy(NEXT).batches.list()).data.length).toBe(1);
  expect(single).toEqual([]);
});

test('a key that was replaced and revoked is no loss where the next one is of the same project', async () => {
  const { p, setKey, drop } = await start(ONE_PROJECT);
  await drop();
  await setKey(NEXT, 'next');
  p.emulator.setFaults({ apiKeys: { [NEXT]: 'proj_a' } });
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
  expect(p.failures).toEqual([]);
});

test('a batch whose key was revoked, with the next one of another project, is unreachable and held, never sent again', async () => {
  const { p, setKey, drop, batch } = await start(TWO_PROJECTS);
  await drop();
  await setKey(NEXT, 'next');
  p.emulator.setFaults({ apiKeys: { [NEXT]: 'proj_b' } });
  await p.run(20, HOUR_MS / 2);
  const unreachable = await batch();
  expect(unreachable).toMatchObject({
    state: 'submitted',
    wait: { lastError: 'the provider does not know the batch' },
  });
  expect(unreachable.remote?.unreachableSince).toBeDefined();
  expect(unreachable.hold?.reason).toBeUndefined();
  await p.run(20, HOUR_MS / 2);
  expect(await batch()).toMatchObject({ state: 'submitted', hold: { reason: 'lost_batch' } });
  expect(p.failures).toEqual([]);
  // The old project is opened again: its answers are still there, and count.
  p.emulator.setFaults({ apiKeys: TWO_PROJECTS });
  await p.run();
  expect((await p.receipt(KEY)).result).toBe('succeeded');
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
});

test('the same batch is run again once it must have ended where its route says so, and the receipt says so', async () => {
  const { p, setKey, drop } = await start(TWO_PROJECTS, { settings: onLost('resubmit') });
  await drop();
  await setKey(NEXT, 'next');
  p.emulator.setFaults({ apiKeys: { [NEXT]: 'proj_b' } });
  await p.run(25, HOUR_MS / 2);
  expect((await p.emulator.ledger.all()).length).toBeLessThanOrEqual(IDS.length);
  await p.run();
  const receipt = await p.receipt(KEY);
  expect(receipt.result).toBe('succeeded');
  expect(Object.values(receipt.possiblyBilledTwice).reduce((sum, count) => sum + count, 0)).toBe(IDS.length);
});

test('while no key is accepted nothing is concluded', async () => {
  const { p, drop, batch } = await start(TWO_PROJECTS, { settings: onLost('resubmit') });
  await drop();
  p.emulator.setFaults({ apiKeys: {} });
  await p.run(40, HOUR_MS / 2);
  expect(await batch()).toMatchObject({ state: 'submitted' });
  expect((await batch()).remote?.unreachableSince).toBeUndefined();
  expect(p.failures.every((error) => error instanceof OpenAIRequestError && error.status === 401)).toBe(true);
  p.emulator.setFaults({ apiKeys: TWO_PROJECTS });
  await p.run();
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
});

test('a key that is replaced between upload and create: the batch is created with the key that sees the file', async () => {
  let replace: () => Promise<unknown> = async () => {};
  const { p, setKey, seenBy, drop } = await start(TWO_PROJECTS, {
    intercept: async (call, effect) => {
      if (call === 'batches.createBatch') await replace();
      return effect();
    },
  });
  replace = async () => {
    replace = async () => {};
    await setKey(NEXT, 'next');
    p.emulator.clock.advance(10 * 60_000);
  };
  await drop();
  await p.run();
  expect((await p.receipt(KEY)).result).toBe('succeeded');
  expect((await seenBy(OLD).batches.list()).data.length).toBe(1);
  expect((await seenBy(NEXT).batches.list()).data).toEqual([]);
});

test('a key that is revoked between upload and create: the file goes up again with the new key, and one batch is made', async () => {
  let revoke: () => Promise<unknown> = async () => {};
  const { p, setKey, seenBy, drop } = await start(TWO_PROJECTS, {
    intercept: async (call, effect) => {
      if (call === 'batches.createBatch') await revoke();
      return effect();
    },
  });
  revoke = async () => {
    revoke = async () => {};
    await setKey(NEXT, 'next');
    p.emulator.setFaults({ apiKeys: { [NEXT]: 'proj_b' } });
  };
  await drop();
  await p.run();
  expect((await p.receipt(KEY)).result).toBe('succeeded');
  expect((await seenBy(NEXT).batches.list()).data.length).toBe(1);
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
});

/** Loses the answer of the first create, after which `then` happens. */
async function unanswered(projects: Record<string, string>, options: PipelineOptions, then: string[]) {
  let calls = 0;
  const made = await start(projects, {
    ...options,
    intercept: async (call, effect) => {
      const result = await effect();
      if (call !== 'batches.createBatch' || calls++ > 0) return result;
      await made.setKey(NEXT, 'next');
      made.p.emulator.setFaults({
        apiKeys: Object.fromEntries(Object.entries(projects).filter(([key]) => then.includes(key))),
      });
      throw new Error('the answer is lost');
    },
  });
  await made.drop();
  return made;
}

test('a create without an answer is looked for with the key that made it', async () => {
  const { p } = await unanswered(TWO_PROJECTS, {}, [OLD, NEXT]);
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
});

test('a create without an answer whose key was revoked is found with another key of its project', async () => {
  const { p } = await unanswered(ONE_PROJECT, {}, [NEXT]);
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
});

test('a create without an answer that no key can look for is held, not made again, and continues once a key can', async () => {
  const { p, batch } = await unanswered(TWO_PROJECTS, {}, [NEXT]);
  await p.run(40, HOUR_MS / 2);
  expect(await batch()).toMatchObject({ state: 'submitting', hold: { reason: 'unknown_create' } });
  p.emulator.setFaults({ apiKeys: TWO_PROJECTS });
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect((await p.emulator.ledger.all()).length).toBe(IDS.length);
});

test('a create without an answer that no key can look for goes the way of a lost batch where its route says so', async () => {
  const { p } = await unanswered(TWO_PROJECTS, { settings: onLost('resubmit') }, [NEXT]);
  await p.run(60, HOUR_MS / 2);
  const receipt = await p.receipt(KEY);
  expect(receipt.result).toBe('succeeded');
  expect(Object.values(receipt.possiblyBilledTwice).reduce((sum, count) => sum + count, 0)).toBe(IDS.length);
  const [first] = await p.deps.jobs.listBatches(receipt.jobId);
  expect(first!.ending!.lostAt! - first!.attempt!.intentAt!).toBeGreaterThanOrEqual(26 * HOUR_MS);
});
