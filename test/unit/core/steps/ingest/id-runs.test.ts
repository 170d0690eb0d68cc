import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../../src/core/base/errors.ts';
import { IdRuns } from '../../../../../src/core/steps/ingest/id-runs.ts';
import { findDuplicatedHashes, type MergeState } from '../../../../../src/core/steps/ingest/merge-ids.ts';
import { BUCKET, memoryStore } from '../../../../support/memory-store.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';

type Hash = [hash0: number, hash1: number];

/** Few values, so that many are equal, and the largest, so that no sign gets in the way. */
const hashArbitrary: fc.Arbitrary<Hash> = fc.tuple(
  fc.oneof(fc.nat({ max: 3 }), fc.constant(0xffffffff), fc.nat({ max: 0xffffffff })),
  fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constant(0xffffffff), fc.constant(0x80000000)),
);

const numberOf = ([hash0, hash1]: Hash): bigint => (BigInt(hash1) << 32n) | BigInt(hash0);

/** The plain way. */
function duplicatesOf(hashes: readonly Hash[]): Hash[] {
  const seen = new Map<bigint, { hash: Hash; times: number }>();
  for (const hash of hashes) {
    const entry = seen.get(numberOf(hash)) ?? { hash, times: 0 };
    seen.set(numberOf(hash), { hash, times: entry.times + 1 });
  }
  return [...seen]
    .filter(([, { times }]) => times > 1)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, { hash }]) => hash);
}

/** Collects hashes as scans do that are broken off at some of them. */
async function collect(
  hashes: readonly Hash[],
  maxInMemory: number,
  breaks: ReadonlySet<number> = new Set(),
) {
  const objects = memoryStore();
  let worker = 0;
  const open = (resume: Awaited<ReturnType<IdRuns['suspend']>> = []) =>
    new IdRuns(objects, (index) => `work/ids/${worker}-${index}`, { maxInMemory, resume });
  let ids = open();
  for (const [index, [hash0, hash1]] of hashes.entries()) {
    ids.append(hash0, hash1);
    if (index % 3 === 0) await ids.flush();
    if (!breaks.has(index)) continue;
    const runs = structuredClone(await ids.suspend());
    worker++;
    ids = open(runs);
  }
  return { objects, ids };
}

/** All duplicates, found `most` at a time; the merge is broken off wherever `looks` say that time is over. */
async function findAll(
  { objects, ids }: Awaited<ReturnType<typeof collect>>,
  most: number,
  { pageBytes = 64, looks = [false], looksEvery = 1 } = {},
): Promise<{ found: Hash[]; breaks: number }> {
  const found: Hash[] = [];
  let sorted = ids.sorted();
  let from: MergeState | undefined;
  let look = 0;
  for (let breaks = 0; ; ) {
    const { words, merge, end } = await findDuplicatedHashes(objects, BUCKET, sorted, {
      from,
      most,
      pageBytes,
      looksEvery,
      isOver: () => looks[look++ % looks.length]!,
    });
    expect(words.length).toBeLessThanOrEqual(2 * most);
    for (let at = 0; at < words.length; at += 2) found.push([words[at]!, words[at + 1]!]);
    if (end === 'all') return { found, breaks };
    expect(merge).not.toEqual(from);
    from = JSON.parse(JSON.stringify(merge)) as MergeState;
    if (end === 'most') continue;
    // The next worker has no memory of this one.
    breaks++;
    sorted = { runs: await ids.suspend(), memory: new Uint32Array(0) };
  }
}

describe('IdRuns', () => {
  it('finds what occurs more than once, ascending, wherever memory was full or scan and merge were interrupted', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(hashArbitrary, { maxLength: 80 }),
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.nat({ max: 80 }), { maxLength: 4 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 4 }),
        async (hashes, maxInMemory, breaks, most, looks, looksEvery) => {
          const collected = await collect(hashes, maxInMemory, new Set(breaks));
          expect(collected.ids.count).toBe(hashes.length);
          const { found } = await findAll(collected, most, { looks, looksEvery });
          expect(found).toEqual(duplicatesOf(hashes));
        },
      ),
      { numRuns: propertyRuns(400) },
    );
  });

  it('merges runs of many pages: 200,000 hashes in 3 runs and in memory, one of them twice', async () => {
    const hashes = Array.from({ length: 200_000 }, (_, index): Hash => {
      const mixed = Math.imul(index + 1, 0x9e3779b1) >>> 0;
      return [index, (mixed | 1) >>> 0];
    });
    hashes.push(hashes[7]!);
    const collected = await collect(hashes, 60_000);
    expect(collected.ids.sorted().runs).toHaveLength(3);
    expect(await findAll(collected, 100, { pageBytes: 65_536 })).toEqual({ found: [hashes[7]], breaks: 0 });
    const broken = { pageBytes: 65_536, looks: [true], looksEvery: 10_000 };
    expect(await findAll(collected, 100, broken)).toEqual({ found: [hashes[7]], breaks: 20 });
  });

  it('takes in more between two looks than memory is made for', async () => {
    const { ids } = await collect([], 10);
    for (let index = 0; index < 100_000; index++) ids.append(index, 1);
    expect(ids.count).toBe(100_000);
    await ids.flush();
    expect(ids.sorted().runs.map(({ count }) => count)).toEqual([100_000]);
  });

  it('finds each of some thousand duplicates among half a million hashes that fit into memory, and sorts few others', async () => {
    const { ids, objects } = await collect([], 4_000_000);
    const mixed = (index: number): Hash => [
      Math.imul(index, 0x9e3779b1) >>> 0,
      (Math.imul(index, 0x85ebca6b) | 1) >>> 0,
    ];
    for (let index = 1; index <= 500_000; index++) ids.append(...mixed(index));
    const twice = Array.from({ length: 5_000 }, (_, index) => mixed(index * 97 + 1));
    for (const hash of twice) ids.append(...hash);
    expect(ids.sorted().memory.length).toBeLessThan(2 * 50_000);
    const { found } = await findAll({ objects, ids }, 1_000, { looksEvery: 10_000 });
    expect(found).toEqual(twice.sort((one, other) => (numberOf(one) < numberOf(other) ? -1 : 1)));
  });

  it('fails on a run that is missing, cut short or changed', async () => {
    const hashes = Array.from({ length: 100 }, (_, index): Hash => [index, 1]);
    const key = 'work/ids/0-0';
    for (const damage of [
      (bytes: Uint8Array) => bytes.subarray(0, -1),
      (bytes: Uint8Array) => Buffer.concat([bytes.subarray(0, -1), Buffer.from([1])]),
      () => undefined,
    ]) {
      const collected = await collect(hashes, 10);
      const damaged = damage((await collected.objects.get(key))!);
      if (damaged === undefined) collected.objects.destroy(key);
      else await collected.objects.put(key, damaged);
      await expect(findAll(collected, 5)).rejects.toBeInstanceOf(CorruptWorkFileError);
      // The checksum is that of the whole run, however many workers read it.
      if (damaged?.length !== 80) continue;
      await expect(findAll(collected, 5, { looks: [true] })).rejects.toBeInstanceOf(CorruptWorkFileError);
    }
  });
});
