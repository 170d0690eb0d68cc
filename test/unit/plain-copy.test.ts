import { expect, it } from 'vitest';
import { plainCopy } from '../support/plain-copy.ts';

const RECORD = {
  text: 'ü',
  whole: 1,
  big: 1n,
  nothing: null,
  absent: undefined,
  list: [{ deep: [1, [2]] }, undefined],
  bytes: new Uint8Array([1, 2, 3]),
};

it('copies plain data as structuredClone does, members that are undefined included', () => {
  expect(plainCopy(RECORD)).toStrictEqual(structuredClone(RECORD));
  expect(Object.keys(plainCopy(RECORD))).toEqual(Object.keys(RECORD));
  expect(plainCopy(undefined)).toBe(undefined);
  expect(plainCopy('text')).toBe('text');
});

it('shares nothing with what it has copied', () => {
  const copy = plainCopy(RECORD);
  (copy.list[0] as { deep: unknown[] }).deep.push(3);
  copy.bytes[0] = 9;
  expect(RECORD.list).toEqual([{ deep: [1, [2]] }, undefined]);
  expect(RECORD.bytes[0]).toBe(1);
});

it.each([
  ['a function', { act: () => 1 }],
  ['an object of a class', { when: new Map() }],
  ['a symbol', [Symbol('mark')]],
])('refuses %s, which no record holds', (_, value) => {
  expect(() => plainCopy(value)).toThrow(TypeError);
});
