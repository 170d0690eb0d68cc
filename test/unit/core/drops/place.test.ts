/** Where a version stands among those of its key: whichever ids S3 gives, its own order counts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { orderOf, placeOf } from '../../../../src/core/drops/place.ts';
import { jobIdOf } from '../../../../src/core/model/job-id.ts';
import type { ObjectHead } from '../../../../src/core/model/objects.ts';
import { MemoryJobs } from '../../../support/memory/jobs.ts';
import { MemoryObjects } from '../../../support/memory/objects.ts';

const BUCKET = 'bucket';
const KEY = 'input/a.jsonl';

/** Seconds between puts, and what is put: `undefined` is a delete marker. */
const puts = fc.array(
  fc.record({ gap: fc.nat({ max: 1 }), body: fc.option(fc.constantFrom('X', 'Y'), { nil: undefined }) }),
  { minLength: 1, maxLength: 12 },
);

test('jobs of a key are ordered as their versions were stored, and each names the one before it', async () => {
  await fc.assert(
    fc.asyncProperty(puts, fc.integer({ min: 1, max: 4 }), async (steps, pageSize) => {
      const clock = { now: 1_790_000_000_000 };
      const objects = new MemoryObjects({ bucket: BUCKET, pageSize }, { now: () => clock.now });
      const deps = { inputs: objects, jobs: new MemoryJobs() };
      const stored: ObjectHead[] = [];
      await objects.put(`${KEY}.gz`, Buffer.from('another key'));
      for (const { gap, body } of steps) {
        clock.now += gap * 1_000;
        if (body === undefined) await objects.remove(KEY);
        else {
          await objects.put(KEY, Buffer.from(body));
          stored.push((await objects.head(BUCKET, KEY))!);
        }
      }
      // Whichever is looked at first.
      const places = await Promise.all(stored.map((input) => placeOf(deps, input)));
      const orders = stored.map((input, index) => orderOf({ input, ...places[index]! }));
      expect(orders.toSorted()).toEqual(orders);
      expect(new Set(orders).size).toBe(orders.length);
      expect(places.map(({ predecessor }) => predecessor?.jobId)).toEqual(
        stored.map((_, index) => (index === 0 ? undefined : jobIdOf(stored[index - 1]!))),
      );
    }),
  );
});

test('a version that is gone for good when it is looked for has no place', async () => {
  const objects = new MemoryObjects({ bucket: BUCKET }, { now: () => 1_790_000_000_000 });
  await objects.put(KEY, Buffer.from('X'));
  const input = (await objects.head(BUCKET, KEY))!;
  objects.destroy(KEY);
  expect(await placeOf({ inputs: objects, jobs: new MemoryJobs() }, input)).toEqual({});
});
