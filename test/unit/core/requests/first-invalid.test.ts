import { expect, test } from 'vitest';
import type { FirstInvalid } from '../../../../src/contract/receipt.ts';
import { showInvalid } from '../../../../src/core/requests/first-invalid.ts';

test('of each code the three lines that come first in the file are kept, in whatever order they are found', () => {
  const first: FirstInvalid = {};
  for (const line of [9, 4, 7, 2, 8, 4_000]) showInvalid(first, 'invalid_url', { line, message: `${line}` });
  showInvalid(first, 'invalid_type', { line: 5, byte: 70, message: 'no' });
  expect(first).toEqual({
    invalid_url: [
      { line: 2, message: '2' },
      { line: 4, message: '4' },
      { line: 7, message: '7' },
    ],
    invalid_type: [{ line: 5, byte: 70, message: 'no' }],
  });
});

test('a long message is cut, and never in half of a character', () => {
  const first: FirstInvalid = {};
  showInvalid(first, 'invalid_url', { line: 1, message: `${'x'.repeat(499)}😀😀` });
  const { message } = first.invalid_url![0]!;
  expect(message).toHaveLength(501);
  expect(message.isWellFormed()).toBe(true);
});
