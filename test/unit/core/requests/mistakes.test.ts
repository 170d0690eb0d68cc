import { describe, expect, it } from 'vitest';
import { checkLine } from '../../../../src/core/requests/check-line.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { MISTAKES } from '../../../support/mistakes.ts';

const messageOf = (line: string | Uint8Array): string => {
  const found = checkLine(typeof line === 'string' ? Buffer.from(line) : line, OPENAI_RULES);
  return found.valid ? 'valid' : found.message;
};
describe('a mistake in a line is named with its place and what to do', () => {
  it.each(MISTAKES)('%s', (_what, line, part) => {
    expect(messageOf(line)).toContain(part);
  });

  it('says where the line stops being JSON, and what is expected there', () => {
    expect(messageOf('{"custom_id" "a"}')).toBe(
      'This line is not parseable as valid JSON. Column 14: a colon is expected.',
    );
    expect(messageOf('{"custom_id": "a"')).toBe(
      'This line is not parseable as valid JSON. Column 18: the line ends too early.',
    );
  });

  it('repeats nothing of a line', () => {
    for (const line of [
      '{"secret word": secret',
      "{'secret': 1}",
      '{"a": "secret',
      'secret,secret,',
      '[secret',
    ])
      expect(messageOf(line)).not.toContain('secret');
  });
});
