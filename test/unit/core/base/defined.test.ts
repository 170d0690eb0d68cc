import { expect, expectTypeOf, test } from 'vitest';
import { defined } from '../../../../src/core/base/defined.ts';

interface Record {
  name: string;
  note?: string;
  removed?: string | undefined;
  at: { since?: number | undefined };
}

test('members that are undefined are left out, and the others keep their order and values', () => {
  const note: string | undefined = undefined;
  const record = defined<Record>({ name: '', note, removed: undefined, at: { since: undefined } });
  expect(Object.keys(record)).toEqual(['name', 'at']);
  expect(record).toStrictEqual({ name: '', at: { since: undefined } });
  expect(defined<{ a?: number | null; b?: boolean }>({ a: null, b: false })).toStrictEqual({
    a: null,
    b: false,
  });
});

test('members that must be there must have a value, and there are no others', () => {
  expectTypeOf(defined<Record>)
    .parameter(0)
    .toHaveProperty('note')
    .toEqualTypeOf<string | undefined>();
  // @ts-expect-error: a name is a text.
  defined<Record>({ name: undefined, at: {} });
  // @ts-expect-error: it has no such member.
  defined<Record>({ name: '', at: {}, other: 1 });
  const inferred: Record = defined({ name: '', note: undefined, at: {} });
  expect(inferred).toStrictEqual({ name: '', at: {} });
});
