import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CustomIdHasher } from '../../../../src/core/base/custom-id-hash.ts';

const JOB_ID = '0123456789abcdef0123456789abcdef';

function hashOf(id: string | Uint8Array, jobId = JOB_ID): [number, number] {
  const hasher = new CustomIdHasher(jobId);
  if (typeof id === 'string') hasher.hashText(id);
  else hasher.hash(id);
  return [hasher.hash0, hasher.hash1];
}

/** How many of the ids share a hash with an earlier one. */
function countCollisions(ids: Iterable<string>, jobId = JOB_ID): number {
  const hasher = new CustomIdHasher(jobId);
  const hashes: bigint[] = [];
  for (const id of ids) {
    hasher.hashText(id);
    hashes.push((BigInt(hasher.hash1) << 32n) | BigInt(hasher.hash0));
  }
  const sorted = BigUint64Array.from(hashes).sort();
  return sorted.filter((hash, index) => index > 0 && hash === sorted[index - 1]).length;
}

function* range<Item>(count: number, of: (index: number) => Item): Generator<Item> {
  for (let index = 0; index < count; index++) yield of(index);
}

describe('CustomIdHasher', () => {
  it('gives two unsigned 32-bit numbers, the second never 0, the same each time', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (id) => {
        const [hash0, hash1] = hashOf(id);
        for (const half of [hash0, hash1]) expect(half >>> 0).toBe(half);
        expect(hash1).not.toBe(0);
        expect(hashOf(id)).toEqual([hash0, hash1]);
        expect(hashOf(new Uint8Array(id))).toEqual([hash0, hash1]);
      }),
    );
  });

  it('hashes a text by its UTF-8 bytes, and a view by what it shows', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (id) => {
        const large = Buffer.from(`xx${id}yy`);
        expect(hashOf(large.subarray(2, large.length - 2))).toEqual(hashOf(id));
      }),
    );
  });

  it('depends on the job: the same ids have other hashes under another seed', () => {
    const others = ['1123456789abcdef', '8123456789abcdef', 'ffffffff', '00000000'];
    const ids = [...range(1_000, (index) => `request-${index}`)];
    for (const other of others) {
      const same = ids.filter(
        (id) => hashOf(id)[0] === hashOf(id, other)[0] || hashOf(id)[1] === hashOf(id, other)[1],
      );
      expect(same).toEqual([]);
    }
  });

  it.each<[string, () => Iterable<string>]>([
    ['numbers', () => range(300_000, String)],
    ['numbered names', () => range(300_000, (index) => `request-${index}`)],
    ['padded numbers', () => range(300_000, (index) => String(index).padStart(12, '0'))],
    [
      'long names that differ at the front',
      () => range(100_000, (index) => `${index}${'-row-of-the-data-set'.repeat(5)}`),
    ],
    [
      'names that differ in two numbers',
      () => range(300_000, (index) => `${Math.floor(index / 600)}-${index % 600}`),
    ],
    ['blanks of every length', () => range(2_000, (index) => ' '.repeat(index))],
    ['NULs of every length', () => range(2_000, (index) => '\0'.repeat(index))],
    [
      'all texts of one or two bytes',
      () =>
        range(128 * 129, (index) =>
          index < 128
            ? String.fromCharCode(index)
            : String.fromCharCode(Math.floor(index / 128) - 1, index % 128),
        ),
    ],
    [
      'hexadecimal words',
      () => range(300_000, (index) => (Math.imul(index, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')),
    ],
  ])('gives distinct %s distinct hashes', (_what, ids) => {
    expect(countCollisions(ids())).toBe(0);
  });

  it('distinguishes ids that differ in one bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (id) => {
        const original = hashOf(id).join();
        for (let bit = 0; bit < id.length * 8; bit++) {
          const flipped = new Uint8Array(id);
          flipped[bit >> 3]! ^= 1 << (bit & 7);
          expect(hashOf(flipped).join()).not.toBe(original);
        }
      }),
    );
  });

  it('spreads numbered ids evenly: over 4,096 slots, no more uneven than chance', () => {
    const SLOTS = 4_096;
    const COUNT = 200_000;
    for (const pick of [
      ([hash0]: [number, number]) => hash0 % SLOTS,
      ([hash0]: [number, number]) => hash0 >>> 20,
      ([, hash1]: [number, number]) => hash1 >>> 20,
      ([, hash1]: [number, number]) => (hash1 >>> 1) % SLOTS,
    ]) {
      const slots = new Uint32Array(SLOTS);
      const hasher = new CustomIdHasher(JOB_ID);
      for (let index = 0; index < COUNT; index++) {
        hasher.hashText(`request-${index}`);
        slots[pick([hasher.hash0, hasher.hash1])]!++;
      }
      const expected = COUNT / SLOTS;
      const chiSquared = slots.reduce((sum, found) => sum + (found - expected) ** 2 / expected, 0);
      // 4,095 degrees of freedom: mean 4,095, standard deviation 90.5; six of them on either side.
      expect(chiSquared).toBeGreaterThan(4_095 - 6 * 90.5);
      expect(chiSquared).toBeLessThan(4_095 + 6 * 90.5);
    }
  });

  it('flips half of its bits when one bit of the id flips', () => {
    const flips: number[] = [];
    for (let index = 0; index < 500; index++) {
      const id = Buffer.from(`request-${index}`);
      const [before0, before1] = hashOf(id);
      for (let bit = 0; bit < id.length * 8; bit += 3) {
        const changed = Buffer.from(id);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        const [after0, after1] = hashOf(changed);
        flips.push(countBits(before0 ^ after0) + countBits(before1 ^ after1));
      }
    }
    const mean = flips.reduce((sum, count) => sum + count, 0) / flips.length;
    // One of the 64 bits is always set.
    expect(mean).toBeGreaterThan(31);
    expect(mean).toBeLessThan(32);
    expect(Math.min(...flips)).toBeGreaterThan(6);
  });
});

function countBits(value: number): number {
  let bits = 0;
  for (let rest = value >>> 0; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}
