import { expect, test } from 'vitest';
import { UNANSWERED } from '../../../../src/contract/messages.ts';
import { ignoredText } from '../../../../src/core/model/ignored-drop.ts';

test('each reason has a text of its own, which names the route whose globs decide', () => {
  const texts = UNANSWERED.map((why) => ignoredText(why, 'nightly'));
  expect(new Set(texts).size).toBe(UNANSWERED.length);
  expect(texts.filter((text) => text.includes('"nightly"'))).toHaveLength(2);
});
