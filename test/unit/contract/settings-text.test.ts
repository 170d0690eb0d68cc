import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultSettings, settingsSchema } from '../../../src/contract/settings.ts';
import { readSettings, SettingsTextError } from '../../../src/contract/settings-text.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const ROUTE = { ...BATCH_ONLY, name: 'nightly', prefix: 'input/nightly/' };
const read = (text: string) => readSettings(text, 'routes.json');
const messageOf = (text: string): string => {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsTextError);
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
};
const problemsOf = (changes: object, route: object = {}): string =>
  messageOf(JSON.stringify({ routes: [{ ...ROUTE, ...route }], ...changes }));

describe('settings as text', () => {
  it('are read with their defaults filled in, with or without a byte order mark', () => {
    const text = JSON.stringify({ routes: [ROUTE] }, null, 2);
    const expected = settingsSchema.parse({ routes: [ROUTE] });
    expect(read(text)).toEqual(expected);
    expect(read(`\ufeff${text}`)).toEqual(expected);
    expect(read(JSON.stringify(defaultSettings()))).toEqual(defaultSettings());
  });

  it.each([
    ['{"routes": [\n  {"name": "a",}\n]}', 'line 2, column 16: Expected double-quoted property name'],
    ['{"routes": [\n  {"name": today}\n]}', "line 2, column 13: Unexpected token 'o'"],
    ['{"routes": [\n  {"maxTries": 1.}\n]}', 'line 2, column 18: Unterminated fractional number'],
    ["{'routes': []}", "line 1, column 2: Expected property name or '}'"],
    ['{"routes": [', 'line 1, column 13: Unexpected end of JSON input'],
    ['', 'line 1, column 1: Unexpected end of JSON input'],
    ['routes: []', "line 1, column 1: Unexpected token 'r'"],
    ['{"custom_id": "a"}\n{"custom_id": "b"}', 'line 2, column 1: Unexpected non-whitespace character'],
  ])('fail for %j, which is no JSON, naming the place', (text, place) => {
    const message = messageOf(text);
    expect(message).toContain(`routes.json is not JSON: ${place}`);
    expect(message).toContain('Expected is one object such as {"routes": [');
  });

  it('fail at the very token that is wrong, in any place', () => {
    const text = JSON.stringify({ routes: [ROUTE, { ...ROUTE, budget: { perJobUsd: 1.5 } }] }, null, 2);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: text.length }), (at) => {
        // Nowhere in JSON does a string take an unescaped line end, nor anything else a backslash.
        const message = messageOf(`${text.slice(0, at)}\\\n${text.slice(at)}`);
        const lines = text.slice(0, at).split('\n');
        const [, line, column] = /line (\d+), column (\d+)/.exec(message)!;
        expect([Number(line), Math.abs(Number(column) - lines.at(-1)!.length - 1)]).toEqual([
          lines.length,
          expect.toSatisfy((off: number) => off <= 1),
        ]);
      }),
    );
  });

  it('fail for a file that is far too long to be settings', () => {
    expect(messageOf(' '.repeat(2_000_000))).toMatch(
      /^routes.json has 2000000 characters.* a file of requests\?$/,
    );
  });

  it.each<[string, string, RegExp]>([
    [
      'an unknown tier',
      problemsOf({}, { tiers: ['cheap'] }),
      /routes\.0\.tiers\.0: a tier is one of batch, flex, background-8h, background-2h, standard; read "cheap"/,
    ],
    ['no tiers', problemsOf({}, { tiers: undefined }), /routes\.0\.tiers: .*; read nothing/],
    [
      'a misspelt field',
      problemsOf({}, { onInvald: 'reject' }),
      /routes\.0: "onInvald" is not known here; the names are name, prefix, .*onInvalid/,
    ],
    [
      'a misspelt field at the top',
      problemsOf({ route: [] }),
      /- "route" is not known here; the names are layout, routes, /,
    ],
    ['a policy', problemsOf({}, { onInvalid: 'ignore' }), /"quarantine"\|"reject"; read "ignore"/],
    [
      'a budget of zero',
      problemsOf({}, { budget: { perJobUsd: 0 } }),
      /routes\.0\.budget.*above 0 .*read \{?.*0/,
    ],
    [
      'a negative price',
      problemsOf({ prices: { rows: [{ model: 'm', tier: 'batch', input: -1, output: 1 }] } }),
      /prices\.rows\.0\.input: a price is not negative; read -1/,
    ],
    [
      'a deadline as a date',
      problemsOf({}, { deadline: '2020-01-01' }),
      /routes\.0\.deadline: .*read "2020-01-01"/,
    ],
    ['half a try', problemsOf({}, { maxTries: 1.5 }), /whole number from 1 to 10; read 1\.5/],
    ['a list', messageOf('[]'), /expected object/],
  ])('fail for %s, saying where, what is allowed, and what was read', (_what, message, expected) => {
    expect(message).toMatch(/^routes\.json holds settings that are not valid:\n {2}- /);
    expect(message).toMatch(expected);
  });
});
