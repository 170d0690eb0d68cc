import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listObjects, listVersions } from '../../../../../local/services/s3/listing.ts';
import type { Bucket, Version } from '../../../../../local/services/s3/records.ts';
import { compareUtf8, SortedKeys } from '../../../../../local/services/s3/sorted-keys.ts';

function versionOf(sequence: number, isDeleted: boolean): Version {
  const sequencer = sequence.toString(16).padStart(16, '0');
  const place = { versionId: `${sequencer}v`, sequencer, lastModifiedMs: 0 };
  if (isDeleted) return { kind: 'delete-marker', ...place };
  return { kind: 'object', ...place, sizeBytes: 0, etag: '', segments: [], headers: {} };
}

/** A bucket with some versions per key; an odd number of versions makes the newest a delete marker. */
function bucketOf(versionCounts: ReadonlyMap<string, number>): Bucket {
  const keys = new SortedKeys();
  const versions = new Map<string, Version[]>();
  for (const [key, count] of versionCounts) {
    keys.add(key);
    versions.set(
      key,
      Array.from({ length: count }, (_, index) => versionOf(count - index, index === 0 && count % 2 === 1)),
    );
  }
  return { name: 'bucket', createdMs: 0, versioning: 'Enabled', configuration: new Map(), keys, versions };
}

const key = fc.string({
  unit: fc.constantFrom('a', 'b', '/', 'ü', '\u{1F600}', '\uFFFD'),
  minLength: 1,
  maxLength: 6,
});
const buckets = fc
  .array(fc.tuple(key, fc.integer({ min: 1, max: 4 })), { maxLength: 40 })
  .map((entries) => bucketOf(new Map(entries)));
const prefix = fc.constantFrom('', 'a', 'a/', 'b', 'ü');
const delimiter = fc.constantFrom('', '/', 'b');
const maxKeys = fc.integer({ min: 1, max: 7 });

function byUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

describe('SortedKeys', () => {
  it('keeps keys in the order of their UTF-8 bytes, each once', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (added) => {
        const keys = new SortedKeys();
        for (const each of [...added, ...added]) keys.add(each);
        const listed = Array.from({ length: keys.size }, (_, index) => keys.at(index));
        expect(listed).toEqual([...new Set(added)].sort(byUtf8));
      }),
    );
  });

  it('compares surrogate pairs after every other character', () => {
    expect(compareUtf8('\u{1F600}', '\uFFFD')).toBeGreaterThan(0);
  });
});

describe('listObjects', () => {
  it('gives every current object or its common prefix once and in order, however small the pages', () => {
    fc.assert(
      fc.property(buckets, prefix, delimiter, maxKeys, (bucket, wantedPrefix, separator, pageSize) => {
        const expected = new Set<string>();
        for (const [each, versions] of [...bucket.versions].sort(([a], [b]) => byUtf8(a, b))) {
          if (!each.startsWith(wantedPrefix) || versions[0]?.kind !== 'object') continue;
          const at = separator === '' ? -1 : each.indexOf(separator, wantedPrefix.length);
          expected.add(at < 0 ? each : each.slice(0, at + separator.length));
        }
        const listed: string[] = [];
        let after = '';
        for (let isTruncated = true; isTruncated; ) {
          const page = listObjects(bucket, {
            prefix: wantedPrefix,
            delimiter: separator,
            after,
            maxKeys: pageSize,
          });
          listed.push(...[...page.entries.map((entry) => entry.key), ...page.commonPrefixes].sort(byUtf8));
          ({ isTruncated, last: after } = page);
        }
        expect(listed).toEqual([...expected]);
      }),
    );
  });
});

describe('listVersions', () => {
  it('gives every version once, newest first, though each page is deleted before the next is asked for', () => {
    fc.assert(
      fc.property(buckets, maxKeys, (bucket, pageSize) => {
        const expected = [...bucket.versions]
          .sort(([a], [b]) => byUtf8(a, b))
          .flatMap(([each, versions]) => versions.map(({ versionId }) => `${each} ${versionId}`));
        const remaining = new Map([...bucket.versions].map(([each, versions]) => [each, [...versions]]));
        const listed: string[] = [];
        let after = '';
        let afterVersionId: string | undefined;
        for (let isTruncated = true; isTruncated; ) {
          const page = listVersions(
            { ...bucket, versions: remaining },
            { prefix: '', delimiter: '', after, maxKeys: pageSize },
            afterVersionId,
          );
          for (const { key: listedKey, version } of page.entries) {
            listed.push(`${listedKey} ${version.versionId}`);
            const kept = remaining.get(listedKey)?.filter((each) => each !== version) ?? [];
            remaining.set(listedKey, kept);
          }
          ({ isTruncated, last: after } = page);
          afterVersionId = page.entries.at(-1)?.version.versionId;
        }
        expect(listed).toEqual(expected);
      }),
    );
  });
});
