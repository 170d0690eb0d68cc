/**
 * Inputs that S3 gave while they were checked, and does not give any more when their requests are to be sent or
 * accounted for.
 */

import { expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/faults.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { ObjectUnreadableError } from '../../../src/core/base/errors.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const KEY = 'input/a.jsonl';
const REQUESTS = 4;
const TEXT = Array.from({ length: REQUESTS }, (_, index) => chatLine(`r${index}`)).join('\n');

/** A file that was planned; from then on S3 refuses to give it while `refusal.isOn`. */
async function start(tier: 'batch' | 'flex', rules: readonly FaultRule[] = []) {
  const p = await startTestPipeline({
    settings: settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'r', prefix: 'input/', tiers: [tier], maxTries: 1 }],
    }),
    emulator: { faults: rules },
  });
  await p.drop(KEY, TEXT);
  const refusal = { isOn: true };
  const { objects } = p.deps;
  const read = objects.read.bind(objects);
  objects.read = async (source, ...range) => {
    if (refusal.isOn && source.key === KEY)
      throw new ObjectUnreadableError('S3 answers 403 InvalidObjectState.', KEY, 'InvalidObjectState');
    return read(source, ...range);
  };
  return { p, refusal };
}

test.each(['batch', 'flex'] as const)(
  'what cannot be sent in %s for three days fails, with the reason',
  async (tier) => {
    const { p } = await start(tier);
    await p.run(60, 10 * 60_000);
    expect((await p.client.files.list()).data).toEqual([]);
    await p.run(20, 10 * 60_000);
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({
      result: 'failed',
      counts: { failed: REQUESTS },
      errorsByCode: { input_unreadable: REQUESTS },
    });
    const { droppedAt, completedAt } = receipt.timings;
    expect(Date.parse(completedAt) - Date.parse(droppedAt)).toBeLessThan(75 * HOUR_MS);
    expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
  },
);

test.each(['batch', 'flex'] as const)(
  'what cannot be sent in %s ends soon after its job was cancelled',
  async (tier) => {
    const { p } = await start(tier);
    await p.run(3);
    await cancelJob(p.deps, jobIdOf((await p.deps.objects.head('bucket', KEY))!));
    await p.run(1.5);
    expect(await p.receipt(KEY)).toMatchObject({ errorsByCode: { cancelled: REQUESTS } });
  },
);

test.each(['batch', 'flex'] as const)('what can be read again in time is sent in %s', async (tier) => {
  const { p, refusal } = await start(tier);
  await p.run(48, 10 * 60_000);
  refusal.isOn = false;
  await p.run(30);
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded' });
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});

test('results do not wait for an input that cannot be read', async () => {
  const { p, refusal } = await start('batch', [
    { match: { custom_id: '^r0$' }, effect: { kind: 'line.missing' } },
    { match: { custom_id: '^r1$' }, effect: { kind: 'line.status', status: 400 } },
  ]);
  refusal.isOn = false;
  await p.drain();
  refusal.isOn = true;
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ counts: { succeeded: REQUESTS - 2, failed: 2 } });
  expect((await p.errors(KEY)).map(({ line }) => line)).toEqual([1, 2]);
});
