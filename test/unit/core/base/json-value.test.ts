import { expect, test } from 'vitest';
import { asObject, isText, objectsIn } from '../../../../src/core/base/json-value.ts';

test('an object is one; null, an array and all else are not', () => {
  expect(asObject({ a: 1 })).toEqual({ a: 1 });
  for (const value of [null, [], 'a', 1, true, undefined]) expect(asObject(value)).toBeUndefined();
});

test('of an array the objects are given, of anything else none', () => {
  expect(objectsIn([{ a: 1 }, null, [{}], 'b', {}])).toEqual([{ a: 1 }, {}]);
  expect(objectsIn({ 0: {} })).toEqual([]);
});

test('text has more than blanks in it', () => {
  expect([' a ', '', ' \n', 1, null].map(isText)).toEqual([true, false, false, false, false]);
});
