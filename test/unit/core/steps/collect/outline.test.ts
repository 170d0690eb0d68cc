import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Block } from '../../../../../src/core/base/block.ts';
import { writeOutline } from '../../../../../src/core/steps/collect/outline.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';

/** The text without its long strings, or `undefined` if it is not valid. */
function outlineOf(text: string | Uint8Array): string | undefined {
  const outline = new Block();
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return writeOutline(bytes, outline) ? Buffer.from(outline.bytes()).toString('utf8') : undefined;
}

function parsed(text: string | undefined): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text!) };
  } catch {
    return undefined;
  }
}

const LONG = 'x'.repeat(2_000);

describe('writeOutline', () => {
  it.each<[string, string, string]>([
    ['a text with short strings only', '{"a":["b\\"c",1]} ', '{"a":["b\\"c",1]} '],
    ['a long value', `{"a":"${LONG}","b":1}`, '{"a":"…","b":1}'],
    ['several, and a long key', `["${LONG}",{"${LONG}":"${LONG}"}]`, '["…",{"…":"…"}]'],
    ['quotes and backslashes at the end', `["${LONG}\\\\","${LONG}\\"","c"]`, '["…","…","c"]'],
    ['every escape', `["${LONG}\\b\\f\\n\\r\\t\\/\\u00e9\\uD83d"]`, '["…"]'],
    ['other alphabets', `["${'ü漢😀'.repeat(500)}","é"]`, '["…","é"]'],
  ])('leaves out long strings: %s', (_what, text, outline) => {
    expect(outlineOf(text)).toBe(outline);
    expect(parsed(text)).toBeDefined();
  });

  it.each<[string, string]>([
    ['a raw line feed', `["${LONG}\n"]`],
    ['a raw tab', `["${LONG}\t"]`],
    ['a NUL', `["${LONG}\0"]`],
    ['an escape that there is not', `["${LONG}\\x"]`],
    ['hex digits that are none', `["${LONG}\\u00g0"]`],
    ['an escape that is cut short', `["${LONG}\\u00"]`],
    ['no end', `["${LONG}`],
    ['no end but an escaped quote', `["${LONG}\\"`],
  ])('refuses a long string with %s, as JSON does', (_what, text) => {
    expect(parsed(text)).toBeUndefined();
    expect(outlineOf(text)).toBeUndefined();
  });

  it('finds every control character at every place of a word, and takes no other byte for one', () => {
    for (let byte = 0; byte < 256; byte++) {
      for (let place = 0; place < 8; place++) {
        const text = Buffer.from(`["${LONG}"]`);
        text[100 + place] = byte;
        const isRefused = byte < 0x20 || byte === 0x5c;
        // A quote ends the string, and what follows is left as it is.
        if (byte !== 0x22) expect(outlineOf(text), `byte ${byte}`).toBe(isRefused ? undefined : '["…"]');
      }
    }
  });

  it('gives a text that parses exactly if the whole does, with all of it but the long strings', () => {
    const pieces = fc.constantFrom(
      LONG,
      '"',
      '\\',
      '\\"',
      '\\u',
      '00e9',
      '\n',
      'é',
      '{',
      '}',
      ',',
      ':',
      'a',
      '😀',
    );
    const string = fc.array(pieces, { maxLength: 6 }).map((parts) => JSON.stringify(parts.join('')));
    const edit = fc.record({ at: fc.nat(), cut: fc.nat({ max: 2 }), add: fc.oneof(pieces, fc.constant('')) });
    const line = fc
      .record({
        strings: fc.array(string, { minLength: 1, maxLength: 5 }),
        edits: fc.array(edit, { maxLength: 3 }),
      })
      .map(({ strings, edits }) => {
        let text = `{${strings.map((value, index) => `"k${index}":${value}`).join(',')}}`;
        for (const { at, cut, add } of edits) {
          // Near a quote, where it matters.
          const quotes = [...text.matchAll(/["\\]/g)].map(({ index }) => index);
          const place = quotes[at % Math.max(1, quotes.length)] ?? 0;
          text = text.slice(0, place) + add + text.slice(place + cut);
        }
        return text.toWellFormed();
      });
    fc.assert(
      fc.property(line, (text) => {
        const outline = outlineOf(text);
        expect(parsed(outline) === undefined).toBe(parsed(text) === undefined);
        if (parsed(text) === undefined) return;
        const isLong = (literal: string): boolean => Buffer.byteLength(literal) - 1 > 1_024;
        const expected = text.replace(/"(?:[^"\\]|\\.)*"/g, (literal) => (isLong(literal) ? '"…"' : literal));
        expect(outline === expected).toBe(true);
      }),
      { numRuns: propertyRuns(3_000) },
    );
  });
});
