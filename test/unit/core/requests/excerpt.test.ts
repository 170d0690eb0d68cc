import fc from 'fast-check';
import { expect, test } from 'vitest';
import { excerptOf } from '../../../../src/core/requests/excerpt.ts';

/** Requests that are lists of texts. */
const endpoint = {
  readPrompt: (body: unknown) => ({ texts: body as string[], messages: 1 }) as never,
};
const excerpt = (texts: readonly string[], chance: number) =>
  excerptOf(endpoint, Buffer.from(JSON.stringify({ body: texts })), chance);

test('a short request is kept whole, but for empty texts', () => {
  expect(excerpt(['a', '', 'bü'], 0.7)).toEqual({
    texts: ['a', 'bü'],
    excerptBytes: 4,
    textBytes: 4,
    prompt: { messages: 1 },
  });
});

test('of a long one 4,096 characters are kept, wherever they begin, and no surrogate pair is cut', () => {
  const chars = fc.array(fc.constantFrom('a', '😀', 'ü'), { minLength: 1, maxLength: 40 });
  const texts = fc.array(chars, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(texts, fc.double({ min: 0, max: 0.999_999, noNaN: true }), (lists, chance) => {
      const long = lists.map((list) => list.join('').repeat(5_000));
      const { texts: chosen, excerptBytes, textBytes } = excerpt(long, chance);
      const kept = chosen.join('');
      expect(kept.isWellFormed()).toBe(true);
      expect(Math.abs(kept.length - 4_096)).toBeLessThanOrEqual(2 * chosen.length);
      expect(excerptBytes).toBe(Buffer.byteLength(kept));
      expect(textBytes).toBe(long.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
    }),
    { numRuns: 50 },
  );
});
