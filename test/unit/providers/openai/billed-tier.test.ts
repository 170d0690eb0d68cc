/** Which tier an answer is billed in. */
import { describe, expect, it } from 'vitest';
import { billedTierOf, isTierKnown } from '../../../../src/providers/openai/billed-tier.ts';

const HOUR = 3_600;
/** An answer that ran in the background and took so many hours. */
const answerAfter = (hours: number, more: object = {}) => ({
  service_tier: 'default',
  background: true,
  created_at: 1_795_000_000,
  completed_at: 1_795_000_000 + hours * HOUR,
  ...more,
});

describe('the tier that an answer is billed in', () => {
  it.each([
    ['batch', { service_tier: 'default' }, 'batch'],
    ['flex', { service_tier: 'flex' }, 'flex'],
    ['flex', { service_tier: 'default' }, 'standard'],
    ['flex', {}, 'flex'],
    ['standard', { service_tier: 'fast' }, 'priority'],
    ['standard', { service_tier: 'scale' }, 'standard'],
  ] as const)('of a batch in %s whose answer says %j is %s', (asked, body, billed) => {
    expect(billedTierOf(body, asked)).toBe(billed);
  });

  it.each<[string, object, string]>([
    ['ran in the background within the window', answerAfter(7.9), 'background-8h'],
    ['says no times', answerAfter(1, { created_at: undefined, completed_at: undefined }), 'background-8h'],
    ['says its window', answerAfter(1, { background_options: { completion_window: '8h' } }), 'background-8h'],
    [
      'says another window',
      answerAfter(1, { background_options: { completion_window: 'soonest' } }),
      'standard',
    ],
    ['came after the window', answerAfter(8.1), 'standard'],
    ['did not run in the background', answerAfter(1, { background: false }), 'standard'],
    ['does not say that it did', answerAfter(1, { background: undefined }), 'standard'],
    ['says a dearer tier', answerAfter(1, { service_tier: 'priority' }), 'priority'],
  ])(
    'of a completion window is standard unless the answer shows that it is not: it %s',
    (_what, body, billed) => {
      expect(billedTierOf({ ...body }, 'background-8h')).toBe(billed);
    },
  );

  it.each([
    ['standard', 'ultrafast', false],
    ['background-8h', 'ultrafast', false],
    ['standard', 'scale', false],
    ['standard', 'a new word', false],
    ['batch', 'a new word', true],
    ['standard', 'priority', true],
    ['standard', 'auto', true],
    ['flex', undefined, true],
    ['flex', null, true],
  ] as const)('of a batch in %s whose answer says "%s" has a known price: %s', (asked, word, isKnown) => {
    expect(isTierKnown({ service_tier: word }, asked)).toBe(isKnown);
  });

  it('of the shorter window is its own', () => {
    expect([1, 2.1].map((hours) => billedTierOf(answerAfter(hours), 'background-2h'))).toEqual([
      'background-2h',
      'standard',
    ]);
  });
});
