/**
 * What the name of a dropped object says: markers are no jobs, unfinished uploads wait for their last name, and a key
 * that is too long is answered.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { layoutSchema } from '../../../src/contract/layout.ts';
import { hasRoomForResults, MAX_KEY_BYTES, publishedKeys } from '../../../src/core/files/keys.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { chatLine, type Pipeline } from '../../support/pipeline.ts';
import { expectListedEvents } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const BUCKET = 'bucket';
const LONG = `input/${'x'.repeat(1_000 - 'input/.jsonl'.length)}.jsonl`;

const jobOf = async (p: Pipeline, key: string) =>
  p.deps.jobs.getJob(jobIdOf((await p.deps.objects.head(BUCKET, key))!));

test('an empty object that marks a folder for Hadoop is no job, and leaves no receipt', async () => {
  const p = await startTestPipeline();
  await p.drop('input/nightly_$folder$', '');
  await p.run();
  expect(await jobOf(p, 'input/nightly_$folder$')).toBeUndefined();
  expect(p.deps.objects.keys()).toEqual(['input/nightly_$folder$']);
});

test('a file of the same name that has something in it is run', async () => {
  const p = await startTestPipeline();
  await p.drop('input/nightly_$folder$', chatLine('a'));
  await p.run();
  expect((await p.receipt('input/nightly_$folder$')).result).toBe('succeeded');
});

test('a file that is uploaded under a temporary name and then renamed is bought once', async () => {
  const p = await startTestPipeline();
  for (const end of ['.filepart', '.part', '.tmp', '.partial', '']) {
    p.emulator.clock.advance(1_000);
    await p.drop(`input/a.jsonl${end}`, chatLine('a'));
  }
  await p.run();
  expect((await p.emulator.ledger.all()).length).toBe(1);
  expect((await p.receipt('input/a.jsonl')).result).toBe('succeeded');
  expect(p.deps.events.sent.length).toBe(1);
});

test('a key without room for the names of its results is rejected, in a receipt under a shorter name and an event', async () => {
  const p = await startTestPipeline();
  await p.drop(LONG, chatLine('a'));
  await p.run();
  const job = (await jobOf(p, LONG))!;
  expect(job).toMatchObject({ state: 'rejected', rejection: { code: 'key_too_long' } });
  const key = job.receiptKey!;
  expect(Buffer.byteLength(key)).toBeLessThanOrEqual(MAX_KEY_BYTES);
  expect(key.startsWith('receipts/xxxxxxxx') && key.endsWith(`.${job.jobId}.json`)).toBe(true);
  const receipt = JSON.parse(Buffer.from((await p.deps.objects.get(key))!).toString('utf8'));
  expect(receipt).toMatchObject({
    result: 'rejected',
    rejection: { code: 'key_too_long' },
    input: { key: LONG },
  });
  expect(receipt.rejection.message).toMatch(
    /^The key has 1000 bytes, .* Drop the file again under a shorter key\.$/,
  );
  expect(p.deps.events.sent).toMatchObject([{ key: LONG, result: 'rejected', files: { receipt: key } }]);
  expect((await p.emulator.ledger.all()).length).toBe(0);
  expect(p.failures).toEqual([]);
});

test('names of results never exceed what S3 allows once they carry the id of their job, and distinguish two jobs', () => {
  const layout = layoutSchema.parse({});
  const unit = fc.constantFrom('a', 'ü', '名', '😀', '/', '.');
  const key = fc
    .string({ unit, minLength: 1, maxLength: 400 })
    .map((text) => `input/${text.repeat(3)}.jsonl`);
  fc.assert(
    fc.property(key, (inputKey) => {
      const [one, other] = ['1', '2'].map((digit) => publishedKeys(layout, inputKey, digit.repeat(32)));
      for (const name of Object.values(one!)) {
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(MAX_KEY_BYTES);
        expect(name.isWellFormed() && !name.includes('\uFFFD')).toBe(true);
      }
      expect(new Set([...Object.values(one!), ...Object.values(other!)]).size).toBe(8);
      const plain = Object.values(publishedKeys(layout, inputKey)).every(
        (name) => Buffer.byteLength(name) <= MAX_KEY_BYTES,
      );
      if (hasRoomForResults(layout, inputKey)) expect(plain).toBe(true);
    }),
  );
});
