import { expect, test } from 'vitest';
import { Screen } from '../../../../cli/view/screen.ts';
import { agoText, clockText, timeText } from '../../../../cli/view/time.ts';

test('what is shown replaces what was shown before, in one write', () => {
  const written: string[] = [];
  const screen = new Screen({ write: (text: string) => written.push(text) > 0 });
  screen.show(['one', 'two']);
  screen.show(['three']);
  expect(written).toEqual(['one\ntwo\n', '\x1b[2A\x1b[Jthree\n']);
});

test('times are whole seconds in UTC, spans the largest unit of which there is one', () => {
  expect(timeText(Date.UTC(2026, 10, 30, 12, 0, 0, 7))).toBe('2026-11-30T12:00:00Z');
  expect([agoText(0, 400), agoText(0, 7_200_000), agoText(90_000, 0), agoText(0, 3 * 86_400_000)]).toEqual([
    '0 s ago',
    '2 h ago',
    'in 1 min',
    '3 d ago',
  ]);
  expect([clockText(59_900), clockText(3_723_000)]).toEqual(['0:59', '62:03']);
});
