/** Steps of a job that fail: what is recorded of them, and when they are given up. */

import { describe, expect, test } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import { afterFailure, isGivenUp } from '../../../../src/core/lifecycle/job-failure.ts';
import type { Failing } from '../../../../src/core/model/job.ts';
import { jobIdOf } from '../../../../src/core/model/job-id.ts';
import { chatLine } from '../../../support/pipeline.ts';
import { expectListedEvents } from '../../../support/telemetry.ts';
import { startTestPipeline } from '../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const BUCKET = 'bucket';
const KEY = 'input/a.jsonl';

describe('the record', () => {
  test('says when the next try is: at once three times, then ever later up to an hour, and every six hours after a day', () => {
    let failing: Failing | undefined;
    let now = 0;
    const rests: number[] = [];
    for (let index = 0; index < 34; index += 1) {
      failing = afterFailure(failing, new CorruptWorkFileError('no'), now);
      rests.push((failing.nextAt - now) / MINUTE_MS);
      now = Math.max(failing.nextAt, now + MINUTE_MS);
    }
    expect(rests.slice(0, 9)).toEqual([0, 0, 0, 5, 10, 20, 40, 60, 60]);
    expect(rests.slice(9, 30).filter((rest) => rest === 60).length).toBeGreaterThan(15);
    expect(rests.slice(-2)).toEqual([360, 360]);
    expect(failing).toMatchObject({ since: 0, tries: 34, reason: 'no' });
  });

  test('gives up only after a day and ten tries', () => {
    const failing = { since: 0, reason: 'no', nextAt: 0 };
    expect(isGivenUp({ ...failing, tries: 9 }, 30 * HOUR_MS)).toBe(false);
    expect(isGivenUp({ ...failing, tries: 500 }, 23 * HOUR_MS)).toBe(false);
    expect(isGivenUp({ ...failing, tries: 10 }, 24 * HOUR_MS)).toBe(true);
    expect(isGivenUp(undefined, 0)).toBe(false);
  });

  test('begins again with what fails long after it failed last', () => {
    const before = { since: 0, tries: 12, reason: 'no', nextAt: HOUR_MS };
    expect(afterFailure(before, new Error('x'), 40 * HOUR_MS)).toEqual({
      since: 40 * HOUR_MS,
      tries: 1,
      reason: 'Error',
      nextAt: 40 * HOUR_MS,
    });
  });
});

/** A pipeline with a dropped file, whose S3 does not take files of a kind while `isOn`. */
async function start(keys: RegExp) {
  const p = await startTestPipeline({});
  const fault = { isOn: true };
  const { objects } = p.deps;
  const fail = () => {
    throw new CorruptWorkFileError('the bucket does not take what is written');
  };
  const openWrite = objects.openWrite.bind(objects);
  objects.openWrite = (key, ...rest) => (fault.isOn && keys.test(key) ? fail() : openWrite(key, ...rest));
  const put = objects.put.bind(objects);
  objects.put = async (key, ...rest) => (fault.isOn && keys.test(key) ? fail() : put(key, ...rest));
  await put(KEY, Buffer.from(chatLine('a')));
  const { versions } = await objects.listKey(KEY);
  const { versionId } = versions[0]!;
  p.deps.outbox.messages.push({
    queue: 'ingest',
    message: { v: 1, bucket: BUCKET, key: KEY, ...(versionId === undefined ? {} : { versionId }) },
  });
  return { p, fault, jobId: jobIdOf(versions[0]!) };
}

test('a file that ingest fails over for a day is rejected, with what failed, and nothing of it was sent', async () => {
  const { p, jobId } = await start(/^work\/.*manifest/);
  await p.run(1);
  expect(await p.deps.jobs.getJob(jobId)).toMatchObject({
    state: 'ingesting',
    ingest: { starts: 0 },
    failing: { reason: 'the bucket does not take what is written' },
  });
  await p.run(30);
  const receipt = await p.receipt(KEY);
  expect(receipt).toMatchObject({ result: 'rejected', rejection: { code: 'ingest_failed' } });
  expect(receipt.rejection!.message).toMatch(
    /^The file could not be ingested for 2\d hours \(\d+ tries\): the bucket does not take what is written\. Nothing of it was sent\./,
  );
  expect(await p.emulator.ledger.all()).toEqual([]);
});

test('a file that ingest fails over for an hour is run, and its record is clean', async () => {
  const { p, fault, jobId } = await start(/^work\/.*manifest/);
  await p.run(1);
  fault.isOn = false;
  await p.run(3);
  expect((await p.receipt(KEY)).result).toBe('succeeded');
  expect((await p.deps.jobs.getJob(jobId))?.failing).toBeUndefined();
});

test('results that cannot be published are never given up: the record says why, and they are once they can be', async () => {
  const { p, fault, jobId } = await start(/^output\//);
  await p.run(60);
  const held = await p.deps.jobs.getJob(jobId);
  expect(held).toMatchObject({ state: 'running', failing: { reason: expect.any(String) } });
  expect(isGivenUp(held?.failing, p.emulator.clock.now())).toBe(true);
  fault.isOn = false;
  await p.run(8);
  expect((await p.receipt(KEY)).result).toBe('succeeded');
  expect((await p.deps.jobs.getJob(jobId))?.failing).toBeUndefined();
});
