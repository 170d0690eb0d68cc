import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError, ObjectGoneError } from '../../../../src/core/base/errors.ts';
import { COALESCE_GAP_BYTES, type Range, readRanges } from '../../../../src/core/files/ranges.ts';
import type { ObjectStore } from '../../../../src/core/ports/objects.ts';
import { chunkSizesArbitrary, cut, streamOf } from '../../../support/bytes.ts';
import { BUCKET, memoryStore, putSource, watchReads } from '../../../support/memory-store.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

const KEY = 'input/a.jsonl';

/** The ranges put together again: what each gave, and in which order they ended. */
async function gather(
  objects: Pick<ObjectStore, 'read'>,
  source: { bucket: string; key: string },
  ranges: Range[],
) {
  const found: Buffer[] = ranges.map(() => Buffer.alloc(0));
  const ended: number[] = [];
  for await (const { index, bytes, last } of readRanges(objects, source, ranges)) {
    expect(ended).not.toContain(index);
    found[index] = Buffer.concat([found[index]!, bytes]);
    if (last) ended.push(index);
  }
  return { found, ended };
}

/** An object whose reads come in chunks of these sizes, each overwritten when the next is asked for. */
function choppedStore(bytes: Uint8Array, sizes: readonly number[]): Pick<ObjectStore, 'read'> {
  return {
    read: async (_source, start = 0, end = bytes.length) => streamOf(cut(bytes.subarray(start, end), sizes)),
  };
}

/** Ascending ranges that do not overlap. */
const rangesArbitrary = fc
  .array(fc.record({ gap: fc.nat({ max: 30 }), length: fc.integer({ min: 1, max: 40 }) }), { maxLength: 30 })
  .map((steps) => {
    let at = 0;
    return steps.map(({ gap, length }) => {
      const offset = at + gap;
      at = offset + length;
      return { offset, length };
    });
  });

const bytesFor = (ranges: readonly Range[], more = 0): Uint8Array => {
  const last = ranges.at(-1);
  const length = (last === undefined ? 0 : last.offset + last.length) + more;
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
};

describe('readRanges', () => {
  it('gives the bytes of every range, in order, in whatever chunks the source comes', async () => {
    await fc.assert(
      fc.asyncProperty(
        rangesArbitrary,
        chunkSizesArbitrary(50),
        fc.nat({ max: 10 }),
        async (ranges, sizes, more) => {
          const bytes = bytesFor(ranges, more);
          const { found, ended } = await gather(
            choppedStore(bytes, sizes),
            { bucket: BUCKET, key: KEY },
            ranges,
          );
          for (const [index, { offset, length }] of ranges.entries())
            expect(found[index]!.equals(bytes.subarray(offset, offset + length))).toBe(true);
          expect(ended).toEqual(ranges.map((_, index) => index));
        },
      ),
      { numRuns: propertyRuns(500) },
    );
  });

  it('reads ranges that are close together with one request, and skips what is far', async () => {
    const objects = memoryStore();
    const source = await putSource(objects, KEY, new Uint8Array(3 * COALESCE_GAP_BYTES + 1_000));
    const { objects: watched, reads } = watchReads(objects);
    const far = 2 * COALESCE_GAP_BYTES;
    const dense = Array.from({ length: 1_000 }, (_, index) => ({ offset: index * 20, length: 19 }));
    await gather(watched, source, [...dense, { offset: far, length: 5 }, { offset: far + 100, length: 5 }]);
    expect(reads).toEqual([
      { key: KEY, start: 0, end: 19_999 },
      { key: KEY, start: far, end: far + 105 },
    ]);
  });

  it('reads over a gap of exactly the size that is worth it, and not over one byte more', async () => {
    const objects = memoryStore();
    const source = await putSource(objects, KEY, new Uint8Array(COALESCE_GAP_BYTES + 100));
    for (const [gap, requests] of [
      [COALESCE_GAP_BYTES, 1],
      [COALESCE_GAP_BYTES + 1, 2],
    ] as const) {
      const { objects: watched, reads } = watchReads(objects);
      await gather(watched, source, [
        { offset: 0, length: 10 },
        { offset: 10 + gap, length: 10 },
      ]);
      expect(reads).toHaveLength(requests);
    }
  });

  it('goes back where a range is before the one read last, with a request of its own', async () => {
    const objects = memoryStore();
    const source = await putSource(objects, KEY, Buffer.from('0123456789'));
    const { objects: watched, reads } = watchReads(objects);
    const ranges = [
      { offset: 6, length: 2 },
      { offset: 1, length: 3 },
      { offset: 5, length: 1 },
    ];
    const { found } = await gather(watched, source, ranges);
    expect(found.map(String)).toEqual(['67', '123', '5']);
    expect(reads).toHaveLength(2);
  });

  it('reads nothing for no ranges', async () => {
    const { objects, reads } = watchReads(memoryStore());
    expect(await gather(objects, { bucket: BUCKET, key: 'missing' }, [])).toEqual({ found: [], ended: [] });
    expect(reads).toEqual([]);
  });

  it('fails for a source that is shorter than the ranges, wherever it ends', async () => {
    await fc.assert(
      fc.asyncProperty(
        rangesArbitrary.filter((ranges) => ranges.length > 0),
        chunkSizesArbitrary(50),
        fc.integer({ min: 1, max: 60 }),
        async (ranges, sizes, missing) => {
          const whole = bytesFor(ranges);
          const bytes = whole.subarray(0, Math.max(0, whole.length - missing));
          const reading = gather(choppedStore(bytes, sizes), { bucket: BUCKET, key: KEY }, ranges);
          await expect(reading).rejects.toBeInstanceOf(CorruptWorkFileError);
        },
      ),
    );
  });

  it('fails with ObjectGoneError, untouched, when the version is gone', async () => {
    const reading = gather(memoryStore(), { bucket: BUCKET, key: KEY }, [{ offset: 0, length: 1 }]);
    await expect(reading).rejects.toBeInstanceOf(ObjectGoneError);
  });

  it('ends the read of the source when its own reader stops early', async () => {
    const objects = memoryStore();
    const source = await putSource(objects, KEY, new Uint8Array(1_000_000));
    const { objects: watched, state } = watchReads(objects);
    for await (const { bytes } of readRanges(watched, source, [{ offset: 0, length: 900_000 }])) {
      expect(bytes.length).toBeGreaterThan(0);
      break;
    }
    expect(state).toEqual({ open: 0, mostOpen: 1 });
  });
});
