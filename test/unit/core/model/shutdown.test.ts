import { expect, test } from 'vitest';
import { endsSoon, isShutDown, replacementText } from '../../../../src/core/model/shutdown.ts';

const MODEL = { date: '2026-12-11', replacements: [] };
const at = (time: string): number => Date.parse(time);

test('a model is warned of from 30 days before its day, and is gone once the day is over in UTC', () => {
  expect(endsSoon(MODEL, at('2026-11-10T23:59:59Z'))).toBe(false);
  expect(endsSoon(MODEL, at('2026-11-11T00:00:00Z'))).toBe(true);
  expect(isShutDown(MODEL, at('2026-12-11T23:59:59Z'))).toBe(false);
  expect(isShutDown(MODEL, at('2026-12-12T00:00:00Z'))).toBe(true);
  expect(endsSoon(MODEL, at('2027-06-01T00:00:00Z'))).toBe(true);
});

test('replacements are named where there are any', () => {
  expect(replacementText(MODEL)).toBe('');
  expect(replacementText({ ...MODEL, replacements: ['a'] })).toBe(' The provider names in its place: a.');
  expect(replacementText({ ...MODEL, replacements: ['a', 'b'] })).toContain('one of a, b.');
});
