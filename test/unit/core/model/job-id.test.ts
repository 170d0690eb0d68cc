import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jobIdOf } from '../../../../src/core/model/job-id.ts';
import type { ObjectHead } from '../../../../src/core/model/objects.ts';

const HEAD: ObjectHead = {
  bucket: 'b',
  key: 'input/a.jsonl',
  versionId: 'v1',
  etag: '"e1"',
  lastModified: 1_790_000_000_000,
  size: 10,
};
const { versionId: _versionId, ...UNVERSIONED } = HEAD;

describe('jobIdOf', () => {
  it('is 32 hexadecimal digits, the same each time', () => {
    expect(jobIdOf(HEAD)).toMatch(/^[0-9a-f]{32}$/);
    expect(jobIdOf({ ...HEAD })).toBe(jobIdOf(HEAD));
  });

  it('does not change from one release to the next: jobs in flight are found by it', () => {
    expect(jobIdOf(HEAD)).toBe('749a3943a869a315f0384a4e5763bb9f');
    expect(jobIdOf(UNVERSIONED)).toBe('15bfdd787cac908e76dfe2582f364c54');
  });

  it.each<[string, Partial<ObjectHead>]>([
    ['bucket', { bucket: 'c' }],
    ['key', { key: 'input/b.jsonl' }],
    ['version', { versionId: 'v2' }],
  ])('is another one for another %s', (_what, change) => {
    expect(jobIdOf({ ...HEAD, ...change })).not.toBe(jobIdOf(HEAD));
  });

  it('goes by the version alone where there is one', () => {
    expect(jobIdOf({ ...HEAD, etag: '"e2"', lastModified: 5, size: 7 })).toBe(jobIdOf(HEAD));
  });

  it('goes by ETag and time where there is no version: the same bytes dropped again are a new job', () => {
    expect(jobIdOf({ ...UNVERSIONED, size: 7 })).toBe(jobIdOf(UNVERSIONED));
    expect(jobIdOf({ ...UNVERSIONED, etag: '"e2"' })).not.toBe(jobIdOf(UNVERSIONED));
    expect(jobIdOf({ ...UNVERSIONED, lastModified: HEAD.lastModified + 1_000 })).not.toBe(
      jobIdOf(UNVERSIONED),
    );
  });

  it('does not confuse parts that run together', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 4 }).filter((part) => !part.includes('\0'));
    const head = fc.record({ bucket: text, key: text, versionId: text });
    fc.assert(
      fc.property(head, head, (one, other) => {
        const same =
          one.bucket === other.bucket && one.key === other.key && one.versionId === other.versionId;
        expect(jobIdOf({ ...HEAD, ...one }) === jobIdOf({ ...HEAD, ...other })).toBe(same);
      }),
    );
    expect(jobIdOf({ ...HEAD, versionId: 'etag:"e1":1790000000000' })).not.toBe(jobIdOf(UNVERSIONED));
  });
});
