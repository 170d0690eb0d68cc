/** The order of what S3 keeps at a key, where its answer is in two lists. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keyVersionsOf } from '../../../../src/adapters/s3/listing.ts';

interface Stored {
  isDeleteMarker: boolean;
  /** Seconds to the one before. */
  gap: number;
}

/** The two lists that S3 makes of what was stored, oldest first. */
function pageOf(stored: readonly Stored[]) {
  let seconds = 1_790_000_000;
  const entries = stored.map(({ isDeleteMarker, gap }, index) => {
    seconds += gap;
    const entry = {
      Key: 'a',
      VersionId: `v${index}`,
      LastModified: new Date(seconds * 1_000),
      IsLatest: index === stored.length - 1,
    };
    return { isDeleteMarker, entry };
  });
  const of = (wanted: boolean) =>
    entries.filter(({ isDeleteMarker }) => isDeleteMarker === wanted).map(({ entry }) => entry);
  return { Versions: of(false).toReversed(), DeleteMarkers: of(true).toReversed() };
}

const storedWith = (gap: fc.Arbitrary<number>) =>
  fc.array(fc.record({ isDeleteMarker: fc.boolean(), gap }), { maxLength: 12 });

test('objects keep the order in which they were stored, and nothing is lost', () => {
  fc.assert(
    fc.property(storedWith(fc.nat({ max: 1 })), (stored) => {
      const found = keyVersionsOf(pageOf(stored), 'bucket', 'a');
      expect(found.length).toBe(stored.length);
      const ids = found.filter(({ isDeleteMarker }) => !isDeleteMarker).map(({ versionId }) => versionId);
      const expected = stored.flatMap(({ isDeleteMarker }, index) => (isDeleteMarker ? [] : [`v${index}`]));
      expect(ids).toEqual(expected.toReversed());
      expect(found.findIndex(({ isLatest }) => isLatest)).toBe(stored.length === 0 ? -1 : 0);
    }),
  );
});

test('with a second between all of them, delete markers are listed where they were put', () => {
  fc.assert(
    fc.property(storedWith(fc.constant(1)), (stored) => {
      const found = keyVersionsOf(pageOf(stored), 'bucket', 'a').map(({ versionId }) => versionId);
      expect(found).toEqual(stored.map((_, index) => `v${index}`).toReversed());
    }),
  );
});
