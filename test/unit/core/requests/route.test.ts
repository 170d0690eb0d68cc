import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultSettings, settingsSchema } from '../../../../src/contract/settings.ts';
import { routeOf, whyIgnored } from '../../../../src/core/requests/route.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { BATCH_ONLY } from '../../../support/routes.ts';

type RouteInput = { name: string; prefix: string; match?: string[]; ignore?: string[] };
const settingsOf = (...routes: RouteInput[]) =>
  settingsSchema.parse({ layout: {}, routes: routes.map((route) => ({ ...BATCH_ONLY, ...route })) });
const nameOf = (settings: ReturnType<typeof settingsOf>, key: string): string | undefined =>
  routeOf(settings, key)?.name;

describe('routeOf with the settings that a deployment has by default', () => {
  const settings = defaultSettings();

  it.each([
    'input/a.jsonl',
    'input/nightly/2026/11/21/a.jsonl',
    'input/a.jsonl.gz',
    'input/a',
    'input/a b+c (1) [x] {y} *?!.jsonl',
    'input/Übung/名前.jsonl',
    'input/a_b/c_d.jsonl',
    'input/a.part.jsonl',
    'input/part',
    'input/a.tmp/b.jsonl',
    'input/a.b/c.jsonl',
    'input//a.jsonl',
    'input/a//b.jsonl',
    'input/\\a.jsonl',
    'input/input/a.jsonl',
  ])('takes %s', (key) => {
    expect(nameOf(settings, key)).toBe('default');
  });

  it.each([
    ['a directory marker', 'input/nightly/'],
    ['the marker of the prefix itself', 'input/'],
    ['the prefix without its slash', 'input'],
    ['a marker file', 'input/_SUCCESS'],
    ['a marker file below', 'input/nightly/_SUCCESS'],
    ['a hidden file', 'input/.a.jsonl.swp'],
    ['a hidden file below', 'input/nightly/.part.crc'],
    ['what Spark writes before it commits', 'input/_temporary/0/task_1/part-0.jsonl'],
    ['the same below', 'input/nightly/_temporary/0/part-0.jsonl'],
    ['the options of another file', 'input/a.jsonl.options.json'],
    ['an unfinished upload of WinSCP', 'input/a.jsonl.filepart'],
    ['an unfinished upload below', 'input/nightly/a.jsonl.part'],
    ['an unfinished upload of rsync', 'input/a.jsonl.partial'],
    ['a temporary file', 'input/nightly/a.jsonl.tmp'],
    ['another prefix', 'output/a.jsonl'],
    ['a prefix that begins alike', 'input2/a.jsonl'],
    ['a key below no prefix', 'a.jsonl'],
    ['the prefix in the middle', 'x/input/a.jsonl'],
    ['the prefix in capitals', 'Input/a.jsonl'],
  ])('leaves %s alone: %s', (_what, key) => {
    expect(nameOf(settings, key)).toBeUndefined();
  });

  it.each([
    ['a line feed', 'input/a\nb.jsonl'],
    ['U+2028', 'input/a\u2028b.jsonl'],
    ['a segment of one dot', 'input/./a.jsonl'],
    ['a segment of two dots', 'input/x/../a.jsonl'],
  ])('takes a key with %s: no legal key below the prefix is passed over in silence', (_what, key) => {
    expect(nameOf(settings, key)).toBe('default');
  });

  it('takes every key whose segments are plain, and none below another prefix', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
      .filter((text) => /^[^_./\n\r\u2028\u2029]/.test(text) && !/[/\n\r\u2028\u2029]/.test(text));
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        expect(nameOf(settings, `input/${segments.join('/')}`)).toBe('default');
        expect(nameOf(settings, `work/${segments.join('/')}`)).toBeUndefined();
      }),
      { numRuns: propertyRuns(300) },
    );
  });
});

describe('routeOf', () => {
  it('chooses the longest prefix, in any order of the routes', () => {
    const routes = [
      { name: 'all', prefix: 'input/' },
      { name: 'nightly', prefix: 'input/nightly/' },
      { name: 'deep', prefix: 'input/nightly/eu/' },
    ];
    for (const settings of [settingsOf(...routes), settingsOf(...routes.toReversed())]) {
      expect(nameOf(settings, 'input/a.jsonl')).toBe('all');
      expect(nameOf(settings, 'input/nightly.jsonl')).toBe('all');
      expect(nameOf(settings, 'input/nightly/a.jsonl')).toBe('nightly');
      expect(nameOf(settings, 'input/nightly/eu/a.jsonl')).toBe('deep');
      expect(nameOf(settings, 'input/nightly/us/a.jsonl')).toBe('nightly');
    }
  });

  it('does not fall back to a shorter prefix when the longest one ignores the key', () => {
    const settings = settingsOf(
      { name: 'all', prefix: 'input/' },
      { name: 'nightly', prefix: 'input/nightly/', match: ['*.jsonl'] },
    );
    expect(nameOf(settings, 'input/nightly/a.csv')).toBeUndefined();
    expect(nameOf(settings, 'input/a.csv')).toBe('all');
  });

  it('matches globs against what is below the prefix', () => {
    const settings = settingsOf({ name: 'r', prefix: 'input/x/', match: ['*.jsonl', 'deep/**/*.gz'] });
    expect(nameOf(settings, 'input/x/a.jsonl')).toBe('r');
    expect(nameOf(settings, 'input/x/y/a.jsonl')).toBeUndefined();
    expect(nameOf(settings, 'input/x/deep/1/2/a.gz')).toBe('r');
    expect(nameOf(settings, 'input/x/a.gz')).toBeUndefined();
  });

  it('lets a route take what the default ignores', () => {
    const settings = settingsOf({ name: 'r', prefix: 'input/', ignore: ['**/*.tmp'] });
    expect(nameOf(settings, 'input/_a.jsonl')).toBe('r');
    expect(nameOf(settings, 'input/.a.jsonl')).toBe('r');
    expect(nameOf(settings, 'input/x/a.tmp')).toBeUndefined();
    expect(nameOf(settings, 'input/x/')).toBeUndefined();
  });

  it('ignores what both lists match', () => {
    const settings = settingsOf({ name: 'r', prefix: 'input/', match: ['a*'], ignore: ['ab*'] });
    expect(nameOf(settings, 'input/ac')).toBe('r');
    expect(nameOf(settings, 'input/abc')).toBeUndefined();
  });

  it('distinguishes upper from lower case', () => {
    const settings = settingsOf({ name: 'r', prefix: 'input/', match: ['*.jsonl'] });
    expect(nameOf(settings, 'input/a.JSONL')).toBeUndefined();
  });
});

describe('why an object is no input', () => {
  const settings = settingsOf({ name: 'r', prefix: 'input/x/', match: ['*.jsonl'] });

  it.each([
    ['input/a.jsonl', { why: 'no_route' }],
    ['input/x/a.csv', { why: 'not_matched', route: 'r' }],
    ['input/x/_a.jsonl', { why: 'ignored', route: 'r' }],
    ['input/x/', { why: 'folder', route: 'r' }],
    ['input/x/a.jsonl.options.json', { why: 'options', route: 'r' }],
  ])('%s', (key, expected) => {
    expect(whyIgnored(settings, key)).toEqual(expected);
    expect(nameOf(settings, key)).toBeUndefined();
  });
});
