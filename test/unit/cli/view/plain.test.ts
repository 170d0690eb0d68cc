import { CommanderError } from 'commander';
import { describe, expect, test, vi } from 'vitest';
import { program } from '../../../../cli/main.ts';
import { makePlain, withoutControls } from '../../../../cli/view/plain.ts';

/** Clears the screen, sets the title, writes the clipboard, moves up, turns text around. */
const ATTACKS = [
  '\u001b[2J',
  '\u001b]0;title\u0007',
  '\u001b]52;c;cm0gLXJm\u0007',
  '\u009b1A',
  'a\rb',
  'a\bb',
  '\u202egnp.exe',
  '\u2066x',
];

describe('text that others chose', () => {
  test.each(ATTACKS)('%j loses what a terminal would act on, and shows it', (attack) => {
    const shown = withoutControls(`input/${attack}.jsonl`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must be gone
    expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    expect(shown).toContain('\\u');
  });

  test('keeps lines, tabs, letters of every script and emoji', () => {
    const text = 'a\n\tüber 日本語 עברית 👍🏽';
    expect(withoutControls(text)).toBe(text);
  });

  test.each(ATTACKS)('%j in JSON stays the same value', (attack) => {
    const json = withoutControls(JSON.stringify({ key: attack }));
    expect(JSON.parse(json)).toEqual({ key: attack });
  });
});

test('a console that is made plain prints nothing else, whoever prints', () => {
  const printed: unknown[] = [];
  const target = {
    log: (...values: unknown[]) => printed.push(...values),
    error: (...values: unknown[]) => printed.push(...values),
  };
  makePlain(target);
  target.log('a\u001b[2J', 1);
  target.error('b\u0007');
  expect(printed).toEqual(['a\\u001b[2J', 1, 'b\\u0007']);
});

test.each([['\u001b[2Jx'], ['plan', 'a.jsonl', '--deadline', '\u001b[2Jx'], ['cancel', 'a', '\u001b[2Jx']])(
  'arguments that are refused are repeated plainly (%j)',
  async (...args) => {
    const printed: string[] = [];
    const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      printed.push(String(text));
      return true;
    });
    try {
      await expect(program.parseAsync(args, { from: 'user' })).rejects.toThrow(CommanderError);
    } finally {
      write.mockRestore();
    }
    expect(printed.join('')).toContain('error: ');
    expect(printed.join('')).not.toContain('\u001b');
  },
);
