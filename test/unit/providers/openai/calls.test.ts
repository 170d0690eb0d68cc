import { describe, expect, test } from 'vitest';
import { CALL_RULES } from '../../../../src/providers/openai/calls.ts';

function refusal(error: { param?: string | null; message: string }): { status: number; body: string } {
  return { status: 400, body: JSON.stringify({ error: { code: null, ...error } }) };
}

describe('a refusal of a window', () => {
  test.each(['background', 'background_options', 'background_options.completion_window'])(
    'is one that names %s, which we set ourselves',
    (param) => {
      expect(CALL_RULES.refusesTier('background-8h', refusal({ param, message: 'Not supported.' }))).toBe(
        true,
      );
    },
  );

  test('is none where it names what the line itself says: others of the slice have their window all the same', () => {
    const answer = refusal({
      param: 'background_options.continuation_id',
      message: 'background_options.continuation_id is too long.',
    });
    expect(CALL_RULES.refusesTier('background-8h', answer)).toBe(false);
  });

  test('is one that names no parameter and says that the model has no windows', () => {
    const answer = refusal({ param: null, message: 'Completion windows are not available for this model.' });
    expect(CALL_RULES.refusesTier('background-2h', answer)).toBe(true);
    expect(CALL_RULES.refusesTier('standard', answer)).toBe(false);
  });
});
