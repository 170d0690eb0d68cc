import fc from 'fast-check';
import { expect, test } from 'vitest';
import { patched, patchSchema } from '../../../../local/openai-emulator/json-patch.ts';

const BODY = { usage: { a: 1, b: 2 }, list: [{ n: 1 }, { n: 2 }, { n: 3 }], 'a/b': 1 };

test.each<[string, object[], unknown]>([
  ['replaces a member', [{ op: 'replace', path: '/usage', value: null }], { ...BODY, usage: null }],
  ['removes a member', [{ op: 'remove', path: '/usage/a' }], { ...BODY, usage: { b: 2 } }],
  [
    'takes a star as every member',
    [{ op: 'replace', path: '/usage/*', value: '0' }],
    { ...BODY, usage: { a: '0', b: '0' } },
  ],
  ['takes a star as every item', [{ op: 'remove', path: '/list/*/n' }], { ...BODY, list: [{}, {}, {}] }],
  ['removes every item', [{ op: 'remove', path: '/list/*' }], { ...BODY, list: [] }],
  ['puts an item in front', [{ op: 'add', path: '/list/0', value: 0 }], { ...BODY, list: [0, ...BODY.list] }],
  ['puts an item behind', [{ op: 'add', path: '/list/-', value: 0 }], { ...BODY, list: [...BODY.list, 0] }],
  ['replaces the whole', [{ op: 'replace', path: '', value: 'x' }], 'x'],
  ['reads escapes of a path', [{ op: 'replace', path: '/a~1b', value: 2 }], { ...BODY, 'a/b': 2 }],
  ['leaves a value whose place is not there', [{ op: 'add', path: '/no/such', value: 0 }], BODY],
  ['leaves a list without that item', [{ op: 'replace', path: '/list/3', value: 0 }], BODY],
])('a patch %s', (_what, operations, expected) => {
  expect(patched(BODY, patchSchema.parse(operations))).toEqual(expected);
});

test('a patch never changes the value that it is given, whatever its paths name', () => {
  const path = fc
    .array(fc.constantFrom('*', 'usage', 'a', 'list', '0', '-', 'n'))
    .map((parts) => parts.map((part) => `/${part}`).join(''));
  const operation = fc.oneof(
    fc.record({ op: fc.constantFrom('add' as const, 'replace' as const), path, value: fc.jsonValue() }),
    fc.record({ op: fc.constant('remove' as const), path }),
  );
  fc.assert(
    fc.property(fc.array(operation), (operations) => {
      const before = structuredClone(BODY);
      patched(before, operations as never);
      expect(before).toEqual(BODY);
    }),
    { seed: 12 },
  );
});
