import fc from 'fast-check';
import picomatch from 'picomatch';
import { describe, expect, it } from 'vitest';
import { compileGlob, describeGlobProblem, MAX_GLOB_LENGTH } from '../../../src/contract/glob.ts';
import { propertyRuns } from '../../support/property-runs.ts';

const matches = (glob: string, key: string): boolean => compileGlob(glob)(key);

describe('a glob', () => {
  it.each([
    ['*.jsonl', 'a.jsonl', true],
    ['*.jsonl', '.jsonl', true],
    ['*.jsonl', 'x/a.jsonl', false],
    ['**/*.jsonl', 'a.jsonl', true],
    ['**/*.jsonl', 'x/y/a.jsonl', true],
    ['**/*.jsonl', 'x/y/a.csv', false],
    ['**', 'x/\n/../a', true],
    ['eu/**', 'eu/a', true],
    ['eu/**', 'eu', false],
    ['eu/**/**', 'eu', false],
    ['eu/**', 'europe/a', false],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/**/b', 'a/xb', false],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['a?c', 'a\u{1F600}c', true],
    ['[a-c]x', 'bx', true],
    ['[!a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['a[!b]c', 'a/c', false],
    ['[a\\]-]x', ']x', true],
    ['[a\\]-]x', '-x', true],
    ['part-[0-9][0-9].{jsonl,jsonl.gz}', 'part-07.jsonl.gz', true],
    ['{a/**,b}/x', 'a/1/2/x', true],
    ['{a,{b,c}d}e', 'cde', true],
    ['a{,-b}.jsonl', 'a.jsonl', true],
    ['a\\*.jsonl', 'a*.jsonl', true],
    ['a\\*.jsonl', 'ab.jsonl', false],
    ['\\{a\\}', '{a}', true],
    ['*', '', false],
  ])('%j against %j is %j', (glob, key, expected) => {
    expect(matches(glob, key)).toBe(expected);
  });

  it.each([
    ['!*.jsonl', /put the glob into the other list, match or ignore/],
    ['+(a|b)', /"\(" is not supported: write "\{a,b\}" for alternatives/],
    ['a|b', /"\|" is not supported/],
    ['a**', /"\*\*" must be a whole path segment/],
    ['a[', /write "\\\[" for a bracket/],
    ['[]', /brackets hold at least one character/],
    ['[a/b]', /before the next "\/"/],
    ['[[:alpha:]]', /ends with "\]"/],
    ['[z-a]', /from the lower character to the higher/],
    ['{a', /"\{" has no "\}" after it/],
    ['a}', /"\}" has no "\{" before it/],
    ['{1..9}', /with a comma between them/],
    ['a\\', /"\\" must be followed by the character to match literally/],
    ['{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}', /at most 64 alternatives/],
    ['a'.repeat(MAX_GLOB_LENGTH + 1), /at most 256 characters, and this one has 257/],
  ])('%j is refused with what to write', (glob, problem) => {
    expect(describeGlobProblem(glob)).toMatch(problem);
  });

  it('of which every star fits every character takes milliseconds for the longest key', () => {
    const globs = [
      '**/*_*_*_*_*_*_*_*.jsonl',
      `${'*_'.repeat(127)}x`,
      `${'**/*_*/'.repeat(36)}x`,
      '{a,_}'.repeat(6),
    ];
    for (const key of ['_'.repeat(1024), '_/'.repeat(512), '/'.repeat(1024)]) {
      const before = performance.now();
      for (const glob of globs) expect(matches(glob, key)).toBe(false);
      // Minutes for what backtracks; the bound is for a busy machine.
      expect(performance.now() - before).toBeLessThan(2_000);
    }
  });

  it('across slashes has a star for anything: what calls are called is no path', () => {
    const fits = compileGlob('gpt-*', { acrossSlashes: true });
    expect([fits('gpt-6/eu'), fits('gpt-'), fits('o3')]).toEqual([true, true, false]);
    expect(compileGlob('*', { acrossSlashes: true })('')).toBe(true);
    expect(compileGlob('/v1/**', { acrossSlashes: true })('/v1/chat/completions')).toBe(true);
  });
});

/** Segments without braces; what picomatch takes in another way on purpose is left out: see the next tests. */
const letter = fc.constantFrom('a', 'b', '_', '.', '-');
const piece = fc.oneof(
  { weight: 5, arbitrary: letter },
  { weight: 2, arbitrary: fc.constantFrom('*', '?') },
  fc.constantFrom('[ab]', '[!a]', '[a-b_]', '{a,b}', '{a,_b}', '\\*'),
);
const name = fc
  .array(piece, { minLength: 1, maxLength: 5 })
  .map((pieces) => pieces.join('').replace(/\*+/g, '*'));
const glob = fc
  .array(fc.oneof({ weight: 3, arbitrary: name }, { weight: 1, arbitrary: fc.constant('**') }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((segments) => segments.join('/'))
  // "./" at the beginning is the folder itself for picomatch; a key has no such folder.
  .filter((text) => !/(^|\/)\.{1,2}(\/|$)/.test(text));
const key = fc
  .array(
    fc
      .array(fc.oneof(letter, fc.constant('*')), { minLength: 1, maxLength: 4 })
      .map((letters) => letters.join(''))
      .filter((segment) => segment !== '.' && segment !== '..'),
    { minLength: 1, maxLength: 4 },
  )
  .map((segments) => segments.join('/'));

/** `a/**` is what lies below `a`, never a file `a`: picomatch takes both, because to it `a` may be a folder. */
const byPicomatch = (aGlob: string, aKey: string): boolean =>
  picomatch.isMatch(aKey, aGlob.replace(/(?:\/\*\*)+$/, '/**/*'), {
    dot: true,
    posix: true,
    fastpaths: false,
  });

describe('a glob matches what picomatch matches', () => {
  it('for globs and keys at random', () => {
    const numRuns = propertyRuns(5_000, 1_000);
    let matched = 0;
    fc.assert(
      fc.property(glob, key, (aGlob, aKey) => {
        const expected = byPicomatch(aGlob, aKey);
        if (expected) matched += 1;
        expect(`${aGlob} ${aKey} ${matches(aGlob, aKey)}`).toBe(`${aGlob} ${aKey} ${expected}`);
      }),
      { numRuns },
    );
    // About one pair in nine matches; with none, nothing would be compared.
    expect(matched).toBeGreaterThan(numRuns / 50);
  });

  it('for keys made from the glob', () => {
    const filled = fc.tuple(glob, fc.infiniteStream(letter)).map(([aGlob, letters]) => {
      const some = () => letters.next().value as string;
      const aKey = aGlob
        .replaceAll('**', () => `${some()}x/y${some()}`)
        .replaceAll('\\*', '*')
        .replaceAll(/\{([^,]*),[^}]*\}/g, '$1')
        .replaceAll(/\[[^\]]*\]/g, 'b')
        .replaceAll(/[*?]/g, some);
      return { aGlob, aKey };
    });
    fc.assert(
      fc.property(filled, ({ aGlob, aKey }) => {
        fc.pre(!/(^|\/)\.{1,2}(\/|$)/.test(aKey));
        const expected = byPicomatch(aGlob, aKey);
        expect(`${aGlob} ${aKey} ${matches(aGlob, aKey)}`).toBe(`${aGlob} ${aKey} ${expected}`);
      }),
      { numRuns: propertyRuns(5_000) },
    );
  });

  it('but takes dot segments, line ends and empty names, which S3 has', () => {
    for (const aKey of ['./a', '../a', 'x/..', 'a\nb', 'a\u2028b', '/a', '/'])
      expect([aKey, matches('**', aKey)]).toEqual([aKey, true]);
    expect(matches('*/a', './a')).toBe(true);
    expect(matches('*', 'a\nb')).toBe(true);
  });
});
