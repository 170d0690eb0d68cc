import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SeenIds } from '../../../../src/core/forecast/seen-ids.ts';

const hash = fc.tuple(fc.nat({ max: 40 }), fc.integer({ min: 1, max: 3 }));

test('the first line of an id is given for each later one, also of ids that share half of their hash', () => {
  fc.assert(
    fc.property(fc.array(hash, { maxLength: 300 }), (hashes) => {
      const seen = new SeenIds();
      const first = new Map<string, number>();
      for (const [index, [hash0, hash1]] of hashes.entries()) {
        const name = `${hash0}/${hash1}`;
        expect(seen.add(hash0, hash1, index + 1)).toBe(first.get(name) ?? 0);
        if (!first.has(name)) first.set(name, index + 1);
      }
    }),
  );
});

test('20,000 ids are remembered, though there was room for a few thousand at first', () => {
  const seen = new SeenIds();
  for (let id = 1; id <= 20_000; id++) expect(seen.add(id * 7, id, id)).toBe(0);
  for (let id = 1; id <= 20_000; id++) expect(seen.add(id * 7, id, 99_999)).toBe(id);
});
