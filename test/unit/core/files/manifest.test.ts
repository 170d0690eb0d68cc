import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import {
  encodeManifest,
  ManifestEntries,
  type ManifestEntry,
  readManifest,
  renderedBytes,
} from '../../../../src/core/files/manifest.ts';
import { memoryStore } from '../../../support/memory-store.ts';

const KEY = 'work/job/ingest/a/0-00000.manifest';
const SOURCE = { bucket: 'b', key: 'input/ü.jsonl', versionId: 'v1' };

const uint32 = fc.nat({ max: 0xffffffff });
const entryArbitrary: fc.Arbitrary<ManifestEntry> = fc.record({
  line: fc.maxSafeNat(),
  offset: fc.maxSafeNat(),
  length: uint32,
  tried: uint32,
  hash0: uint32,
  hash1: uint32,
});

function entriesOf(list: readonly ManifestEntry[], capacity?: number): ManifestEntries {
  const entries = new ManifestEntries(capacity);
  for (const { line, offset, length, tried, hash0, hash1 } of list)
    entries.push({ line, offset, length, tried, hash0, hash1 });
  return entries;
}

const listOf = (entries: ManifestEntries): ManifestEntry[] =>
  Array.from({ length: entries.count }, (_, index) => entries.at(index));

async function roundTrip(bytes: Uint8Array) {
  const objects = memoryStore();
  await objects.put(KEY, bytes);
  return readManifest(objects, KEY);
}

describe('ManifestEntries', () => {
  it('gives back what was pushed, by entry and by field, from any capacity', () => {
    fc.assert(
      fc.property(
        fc.array(entryArbitrary, { maxLength: 40 }),
        fc.integer({ min: 1, max: 8 }),
        (list, capacity) => {
          const entries = entriesOf(list, capacity);
          expect(listOf(entries)).toEqual(list);
          for (const [index, { line, offset, length, tried }] of list.entries()) {
            expect([
              entries.line(index),
              entries.offset(index),
              entries.length(index),
              entries.tried(index),
            ]).toEqual([line, offset, length, tried]);
          }
          expect(entries.bytes().length).toBe(list.length * 32);
        },
      ),
    );
  });

  it('moves one entry and no other', () => {
    const list = [1, 2, 3].map((line) => ({
      line,
      offset: line * 10,
      length: 5,
      tried: 0,
      hash0: 1,
      hash1: 1,
    }));
    const entries = entriesOf(list);
    entries.setOffset(1, 999);
    expect(listOf(entries).map(({ offset }) => offset)).toEqual([10, 999, 30]);
  });
});

describe('manifest', () => {
  it('reads back as it was written, for any entries', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entryArbitrary, { maxLength: 40 }), async (list) => {
        const read = await roundTrip(encodeManifest({ source: SOURCE, entries: entriesOf(list) }));
        expect(read.source).toEqual(SOURCE);
        expect(listOf(read.entries)).toEqual(list);
      }),
    );
  });

  it('reads back 50,000 entries, and takes more after that', async () => {
    const entries = new ManifestEntries();
    for (let line = 1; line <= 50_000; line++)
      entries.push({ line, offset: line * 100, length: 99, tried: 0, hash0: line, hash1: 1 });
    const read = await roundTrip(encodeManifest({ source: SOURCE, entries }));
    expect(read.entries.count).toBe(50_000);
    expect(read.entries.at(49_999)).toMatchObject({ line: 50_000, offset: 5_000_000 });
    read.entries.push({ line: 50_001, offset: 0, length: 1, tried: 2, hash0: 3, hash1: 4 });
    expect(read.entries.at(50_000)).toMatchObject({ line: 50_001, tried: 2 });
  });

  it('keeps a source below work/, which has no version', async () => {
    const source = { bucket: 'b', key: 'work/j/ingest/a/spool' };
    expect((await roundTrip(encodeManifest({ source, entries: entriesOf([]) }))).source).toEqual(source);
  });

  it('knows the rendered bytes: each line and its line feed', () => {
    fc.assert(
      fc.property(fc.array(entryArbitrary, { maxLength: 20 }), (list) => {
        const sum = list.reduce((total, { length }) => total + length + 1, 0);
        expect(renderedBytes(entriesOf(list))).toBe(sum);
      }),
    );
  });

  const list = [1, 2].map((line) => ({ line, offset: line * 10, length: 5, tried: 0, hash0: 7, hash1: 9 }));
  const small = encodeManifest({ source: SOURCE, entries: entriesOf(list) });

  it('fails as corrupt for every single bit that flips', async () => {
    const escaped: string[] = [];
    for (let bit = 0; bit < small.length * 8; bit++) {
      const broken = Buffer.from(small);
      broken[bit >> 3]! ^= 1 << (bit & 7);
      const error = await roundTrip(broken).then(
        () => 'read as if whole',
        (reason: unknown) => reason,
      );
      if (!(error instanceof CorruptWorkFileError))
        escaped.push(`byte ${bit >> 3}, bit ${bit & 7}: ${error}`);
    }
    expect(escaped.slice(0, 5)).toEqual([]);
  });

  it('fails as corrupt wherever it is cut short, and when it is empty', async () => {
    for (let length = 0; length < small.length; length++)
      await expect(roundTrip(small.subarray(0, length))).rejects.toBeInstanceOf(CorruptWorkFileError);
  });

  it('fails as corrupt when it is missing, and says which', async () => {
    const reading = readManifest(memoryStore(), KEY);
    await expect(reading).rejects.toBeInstanceOf(CorruptWorkFileError);
    await expect(reading).rejects.toThrow(KEY);
  });
});
