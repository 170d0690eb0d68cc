import { expect, test } from 'vitest';
import { invalidLines } from '../../../../cli/view/invalid-lines.ts';

test('bad lines are shown by code, with how many there are of it', () => {
  const shown = [1, 2, 3].map((line) => ({ line, byte: 100 * line, message: `Reason ${line}.` }));
  const firstInvalid = { invalid_url: shown, invalid_type: [{ line: 4_000, message: 'Another.' }] };
  expect(invalidLines({ invalidByCode: { invalid_url: 1_200, invalid_type: 1 }, firstInvalid })).toEqual([
    '  invalid_url: 1,200 lines, of which the first 3 are',
    '    line 1, byte 100: Reason 1.',
    '    line 2, byte 200: Reason 2.',
    '    line 3, byte 300: Reason 3.',
    '  invalid_type: 1 line',
    '    line 4,000: Another.',
  ]);
});
