/** Files that S3 has and does not give: tried for a time, with a recorded reason, then rejected with it. */

import { describe, expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { ObjectUnreadableError } from '../../../src/core/base/errors.ts';
import { claimPrefixes } from '../../../src/core/drops/claim-prefixes.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { backoffSeconds } from '../../../src/runtime/queue-handler.ts';
import { chatLine, type Pipeline } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const BUCKET = 'bucket';
const KEY = 'input/a.jsonl';

/** A pipeline whose S3 refuses some calls about some keys; counts the refusals. */
async function start(calls: readonly ('head' | 'read' | 'pin')[], key = KEY, options = {}) {
  const p = await startTestPipeline(options);
  const refusal = { isOn: true, tries: 0 };
  const { objects } = p.deps;
  for (const call of calls) {
    const original = objects[call].bind(objects) as (...parameters: unknown[]) => Promise<never>;
    objects[call] = (async (...parameters: unknown[]) => {
      const about = call === 'head' ? parameters[1] : (parameters[0] as { key: string }).key;
      if (about === key && refusal.isOn) {
        refusal.tries += 1;
        throw new ObjectUnreadableError(
          'S3 answers 403 InvalidObjectState. Restore it.',
          key,
          'InvalidObjectState',
        );
      }
      return original(...parameters);
    }) as never;
  }
  await objects.put(KEY, Buffer.from(chatLine('a')));
  const { versions } = await objects.listKey(KEY);
  const [{ versionId } = {}] = versions;
  const location = { bucket: BUCKET, key: KEY, ...(versionId === undefined ? {} : { versionId }) };
  p.deps.outbox.messages.push({ queue: 'ingest', message: { v: 1, ...location } });
  return { p, refusal, jobId: jobIdOf(versions[0]!) };
}

describe.each([true, false])('a file that cannot be read (versions are kept: %s)', (isVersioned) => {
  const calls = isVersioned ? (['read'] as const) : (['pin'] as const);

  test('is rejected after three days, with what S3 said, and was tried with a back-off', async () => {
    const { p, refusal, jobId } = await start(calls, KEY, { isVersioned });
    await p.run(1);
    expect(await p.deps.jobs.getJob(jobId)).toMatchObject({
      state: 'ingesting',
      ingest: {
        starts: 0,
        unreadable: { code: 'InvalidObjectState', reason: expect.stringContaining('Restore it.') },
      },
    });
    await p.run(100);
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({ result: 'rejected', rejection: { code: 'input_unreadable' } });
    expect(receipt.rejection!.message).toMatch(
      /^The file could not be read in 72 hours \(\d+ tries\)\. S3 answers 403 InvalidObjectState\. Restore it\.$/,
    );
    expect(refusal.tries).toBeGreaterThan(60);
    expect(refusal.tries).toBeLessThan(90);
    const { droppedAt, completedAt } = receipt.timings;
    expect(Date.parse(completedAt) - Date.parse(droppedAt)).toBeLessThan(75 * HOUR_MS);
    expect(p.failures).toEqual([]);
  });

  test('ends within about an hour after its job was cancelled', async () => {
    const { p, jobId } = await start(calls, KEY, { isVersioned });
    await p.run(3);
    await cancelJob(p.deps, jobId);
    await p.run(1.5);
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({ result: 'rejected', rejection: { code: 'input_unreadable' } });
    expect(receipt.rejection!.message).toMatch(/^The file could not be read before its job was cancelled \(/);
  });

  test('runs within about an hour after it can be read, such as after a restore of 48 hours', async () => {
    const { p, refusal } = await start(calls, KEY, { isVersioned });
    await p.run(48);
    refusal.isOn = false;
    await p.run(2);
    expect((await p.receipt(KEY)).result).toBe('succeeded');
  });
});

test('how long a file is tried is a setting', async () => {
  const settings = settingsSchema.parse({
    inputs: { unreadableHours: 5 },
    routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
  });
  const { p } = await start(['read'], KEY, { settings });
  await p.run(7);
  expect((await p.receipt(KEY)).rejection?.message).toMatch(/in 5 hours/);
});

test.each([
  ['S3 tells nothing of', KEY],
  ['whose options S3 does not give', `${KEY}.options.json`],
])('a file %s has a receipt after three days, and leaves no failed message', async (_what, refused) => {
  const { p } = await start(['head', 'read'], refused);
  if (refused !== KEY) {
    await p.deps.objects.put(refused, Buffer.from('{}'));
    p.deps.outbox.messages.splice(0);
  }
  // The listing begins now, with the prefixes claimed, and knows what is put from now on.
  await claimPrefixes(p.deps);
  await p.deps.listing.putListing({ v: 1, generation: 1, since: 0, watermark: 0, nextAt: 0 });
  for (let hours = 0; hours < 80; hours++) {
    p.emulator.clock.advance(HOUR_MS);
    await p.run(0);
    await poll(p.deps);
    await p.run(1);
  }
  expect(p.failures).toEqual([]);
  const receipt = await p.receipt(KEY);
  expect(receipt).toMatchObject({ result: 'rejected', rejection: { code: 'input_unreadable' } });
  expect(await p.emulator.ledger.all()).toEqual([]);
});

describe('a file that S3 sends no event of, put before inputs were first listed', () => {
  /** Hour by hour: nothing else is busy that would keep the clock going. */
  async function pass(p: Pipeline, hours: number): Promise<void> {
    for (let hour = 0; hour < hours; hour++) {
      p.emulator.clock.advance(HOUR_MS);
      await p.run(0);
      await poll(p.deps);
      await p.run(1);
    }
  }

  test.each([
    ['once', false],
    ['twice', true],
  ])('has a receipt after three days (each message comes %s)', async (_times, twice) => {
    const { p, refusal } = await start(['head', 'read'], KEY, { twice });
    await pass(p, 80);
    expect(p.failures).toEqual([]);
    expect(await p.receipt(KEY)).toMatchObject({
      result: 'rejected',
      rejection: { code: 'input_unreadable' },
    });
    // However often a message comes, there is one look at a time.
    expect(refusal.tries).toBeLessThan(400);
  });

  test('runs once it can be read', async () => {
    const { p, refusal } = await start(['head', 'read']);
    await pass(p, 5);
    refusal.isOn = false;
    await pass(p, 3);
    await p.run(30);
    expect((await p.receipt(KEY)).result).toBe('succeeded');
  });

  test('is looked at again although the message for that could not be sent at first', async () => {
    let isFailing = true;
    const { p } = await start(['head', 'read'], KEY, {
      intercept: async (call: string, effect: () => Promise<never>) => {
        if (call !== 'outbox.ingest' || !isFailing) return effect();
        isFailing = false;
        throw new Error('503');
      },
    });
    const [message] = p.deps.outbox.messages;
    expect(await p.drain()).toEqual([new Error('503')]);
    // As a queue does after a failure.
    p.emulator.clock.advance(backoffSeconds(1) * 1_000);
    p.deps.outbox.messages.push(message!);
    await pass(p, 80);
    expect(await p.receipt(KEY)).toMatchObject({ rejection: { code: 'input_unreadable' } });
  });
});

test('a file that can be read does not wait for the version before it, of which S3 sends no event', async () => {
  const { p } = await start([]);
  const [{ versionId: unreadable } = {}] = (await p.deps.objects.listKey(KEY)).versions;
  const head = p.deps.objects.head.bind(p.deps.objects);
  p.deps.objects.head = async (bucket, key, versionId) => {
    if (versionId !== unreadable) return head(bucket, key, versionId);
    throw new ObjectUnreadableError('S3 answers 403 AccessDenied.', key, 'AccessDenied');
  };
  await p.drop(KEY, chatLine('a'));
  await p.run(30);
  expect((await p.receipt(KEY)).result).toBe('succeeded');
});

describe('a file that cannot be read, and whose content is dropped again', () => {
  /** The first version is refused, the second one is not. */
  async function startTwice(calls: readonly ('head' | 'read')[]) {
    const { p, jobId } = await start([]);
    const [{ versionId: first } = {}] = (await p.deps.objects.listKey(KEY)).versions;
    const refusal = { isOn: true };
    const refuse = (versionId: string | undefined): void => {
      if (versionId !== first || !refusal.isOn) return;
      throw new ObjectUnreadableError('S3 answers 403 AccessDenied.', KEY, 'AccessDenied');
    };
    const { objects } = p.deps;
    const [head, read] = [objects.head.bind(objects), objects.read.bind(objects)];
    if (calls.includes('head'))
      objects.head = async (bucket, key, versionId) => {
        refuse(versionId);
        return head(bucket, key, versionId);
      };
    objects.read = async (source, ...range) => {
      refuse(source.versionId);
      return read(source, ...range);
    };
    return { p, refusal, jobId, location: { bucket: BUCKET, key: KEY, versionId: first! } };
  }

  test('is not run when its event arrives at last, after the other version has run', async () => {
    const { p, refusal, jobId, location } = await startTwice(['head', 'read']);
    await p.run(1);
    await p.drop(KEY, chatLine('a'));
    await p.run(30);
    const { jobId: owner, result } = await p.receipt(KEY);
    expect(result).toBe('succeeded');
    refusal.isOn = false;
    p.deps.outbox.messages.push({ queue: 'ingest', message: { v: 1, ...location } });
    await p.run(30);
    expect(await p.emulator.ledger.all()).toHaveLength(1);
    expect((await p.receipt(KEY)).jobId).toBe(owner);
    const job = await p.deps.jobs.getJob(jobId);
    expect(job).toMatchObject({ state: 'rejected', rejection: { code: 'input_unreadable' } });
    expect(job?.rejection?.message).toMatch(
      /^The file could not be read before the same content was dropped again, which is run in its place \(1 try\)\. S3 answers 403/,
    );
  });

  test('does not keep the other version waiting', async () => {
    const { p, jobId } = await startTwice(['read']);
    await p.run(10);
    await p.drop(KEY, chatLine('a'));
    await p.run(4);
    const batches = await p.client.batches.list();
    expect(batches.data).toHaveLength(1);
    expect(await p.deps.jobs.getJob(jobId)).toMatchObject({
      state: 'rejected',
      rejection: { message: expect.stringMatching(/dropped again/) },
    });
    await p.run(30);
    expect((await p.receipt(KEY)).result).toBe('succeeded');
  });

  test('is looked at at once, and run if it can be read by then', async () => {
    const { p, refusal, jobId } = await startTwice(['read']);
    await p.run(20);
    refusal.isOn = false;
    await p.drop(KEY, chatLine('a'));
    await p.drain();
    expect(await p.deps.jobs.getJob(jobId)).toMatchObject({ state: 'running' });
    await p.run(30);
    expect(await p.emulator.ledger.all()).toHaveLength(1);
  });
});
