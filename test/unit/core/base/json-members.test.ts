/** Changing members of a JSON object in its text. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  membersOf,
  memberText,
  withMembers,
  withoutMembers,
} from '../../../../src/core/base/json-members.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

/** JSON text of any value, with blanks in between, keys that look like indexes, escapes and repeated names. */
const blank = fc.constantFrom('', ' ', '\n', '\r\n\t');
const nameArbitrary = fc.oneof(fc.constantFrom('10', '2', 'a', 'b', '__proto__', '', '\\"{'), fc.string());
const { object: objectArbitrary } = fc.letrec<{ json: string; object: string }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom('1.0', '-0', '12345678901234567890', '1e400', 'true', 'null', '"\\u0022\\\\"', '"}],{["'),
    fc.string().map((text) => JSON.stringify(text)),
    fc.array(tie('json'), { maxLength: 3 }).map((items) => `[${items.join(',')}]`),
    tie('object'),
  ),
  object: fc
    .array(fc.tuple(nameArbitrary, tie('json'), blank, blank), { maxLength: 5 })
    .chain((members) =>
      blank.map(
        (inner) =>
          `{${inner}${members
            .map(([name, json, before, after]) => `${JSON.stringify(name)}${before}:${after}${json}${before}`)
            .join(`,${inner}`)}${members.length === 0 ? '' : inner}}`,
      ),
    ),
}));
const changesArbitrary = fc.uniqueArray(
  fc.tuple(
    nameArbitrary,
    fc.jsonValue().map((value) => JSON.stringify(value)),
  ),
  { selector: ([name]) => name, maxLength: 4 },
);

/** As `JSON.parse` would have it, `__proto__` included. */
const entriesOf = (text: string): Map<string, unknown> =>
  new Map(Object.entries(JSON.parse(text) as Record<string, unknown>));

describe('members of a JSON object', () => {
  test('are found with the text of their values, whatever is nested in them', () => {
    fc.assert(
      fc.property(objectArbitrary, (text) => {
        const names = membersOf(text).map(({ name }) => name);
        expect(new Set(names)).toEqual(new Set(entriesOf(text).keys()));
        for (const [name, value] of entriesOf(text))
          expect(JSON.parse(memberText(text, name)!)).toEqual(value);
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  test('are set, or filled in where they are missing, and the text of all others stays as it is', () => {
    fc.assert(
      fc.property(objectArbitrary, changesArbitrary, changesArbitrary, (text, set, extra) => {
        const defaults = extra.filter(([name]) => !set.some(([other]) => other === name));
        const changed = withMembers(text, { defaults, set });
        const expected = entriesOf(text);
        for (const [name, json] of defaults) if (!expected.has(name)) expected.set(name, JSON.parse(json));
        for (const [name, json] of set) expected.set(name, JSON.parse(json));
        expect(entriesOf(changed)).toEqual(expected);
        const own = membersOf(text).map(({ name }) => name);
        const missing = (names: typeof set) =>
          names.map(([name]) => name).filter((name) => !own.includes(name));
        expect(membersOf(changed).map(({ name }) => name)).toEqual([
          ...missing(defaults),
          ...own,
          ...missing(set),
        ]);
        for (const name of own)
          if (!set.some(([other]) => other === name))
            expect(memberText(changed, name)).toBe(memberText(text, name));
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  test('are taken out by their names, all of a name, and the text of all others stays as it is', () => {
    fc.assert(
      fc.property(objectArbitrary, fc.array(nameArbitrary, { maxLength: 3 }), (text, names) => {
        const changed = withoutMembers(text, names);
        const expected = entriesOf(text);
        for (const name of names) expected.delete(name);
        expect(entriesOf(changed)).toEqual(expected);
        for (const name of expected.keys()) expect(memberText(changed, name)).toBe(memberText(text, name));
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  test('are none of an empty object, which takes any', () => {
    expect(withMembers('{ }', { set: [['a', '1']] })).toBe('{ "a":1}');
    expect(withMembers('{}', { defaults: [['a', '1']], set: [['b', '2']] })).toBe('{"a":1,"b":2}');
  });

  test('that are nested beyond all depth are passed over', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    expect(withMembers(`{"x":${deep},"y":1}`, { set: [['y', '2']] })).toBe(`{"x":${deep},"y":2}`);
  });
});
