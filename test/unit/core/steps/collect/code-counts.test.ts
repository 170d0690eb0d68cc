import { expect, it } from 'vitest';
import { CodeCounts } from '../../../../../src/core/steps/collect/code-counts.ts';

const countsOf = (codes: Iterable<string>): Record<string, number> => {
  const counts = new CodeCounts();
  for (const code of codes) counts.add(code);
  return counts.toRecord();
};

it('counts each code, whatever it is called', () => {
  const counts = countsOf(['server_error', 'constructor', 'server_error', 'toString']);
  expect(Object.entries(counts)).toEqual([
    ['server_error', 2],
    ['constructor', 1],
    ['toString', 1],
  ]);
});

it('counts a hundred codes one by one, and further ones together', () => {
  const codes = Array.from({ length: 103 }, (_, index) => `code_${index}`);
  const counts = countsOf([...codes, 'code_99', 'code_100']);
  expect(Object.keys(counts)).toHaveLength(101);
  expect(counts.code_99).toBe(2);
  expect(counts.other).toBe(4);
});

it('shortens a long code, and leaves no half of a surrogate pair', () => {
  const counts = countsOf(['a'.repeat(300), `${'a'.repeat(99)}\u{1f600}`]);
  expect(Object.keys(counts)).toEqual(['a'.repeat(100), `${'a'.repeat(99)}\u{fffd}`]);
});
