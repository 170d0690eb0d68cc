import { expect, test } from 'vitest';
import { describeLackOfRoom } from '../../../../cli/commands/local-process.ts';

test('a disk with room for three times the file is enough', () => {
  expect(describeLackOfRoom(1_000_000, 3_000_000)).toBeUndefined();
});

test('fails for a disk with less, and says how much is needed and how much is free', () => {
  expect(describeLackOfRoom(2_000_000_000, 1_500_000_000)).toBe('6,000 MB are needed and 1,500 MB are free');
});
