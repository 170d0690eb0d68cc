/** Files that S3 has and does not give: tried for a time, with a recorded reason, then rejected with it. */

import { afterEach, describe, expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { ObjectUnreadableError } from '../../../src/core/base/errors.ts';
import { claimPrefixes } from '../../../src/core/drops/claim-prefixes.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const BUCKET = 'bucket';
const KEY = 'input/a.jsonl';

const running: Pipeline[] = [];
afterEach(async () => {
  for (const started of running.splice(0)) await started.stop();
});

/** A pipeline whose S3 refuses some calls about some keys; counts the refusals. */
async function start(calls: readonly ('head' | 'read' | 'pin')[], key = KEY, options = {}) {
  const p = await startPipeline(options);
  running.push(p);
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
