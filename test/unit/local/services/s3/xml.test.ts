import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childrenOf, childText, element, parseXml, renderXml } from '../../../../../local/services/s3/xml.ts';

/** Any character, the controls and the escaped ones more often than chance would have it. */
const character = fc.oneof(
  fc.constantFrom('&', '<', '>', '"', "'", ';', ']', '\r', '\n', '\t', '\0', '\u001f'),
  fc
    .integer({ min: 0, max: 0x10ffff })
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code)),
);

describe('parseXml', () => {
  it('reads back any text that renderXml wrote', () => {
    fc.assert(
      fc.property(fc.string({ unit: character }), (text) => {
        expect(childText(parseXml(renderXml(element('Root', [element('Key', text)]))), 'Key')).toBe(text);
      }),
    );
  });

  it('reads prolog, comments, CDATA, attributes, prefixes and empty elements', () => {
    const root = parseXml(
      '<?xml version="1.0"?><!-- c --><s3:Root xmlns:s3="x" a="1"><Tag/><Tag><![CDATA[a<b]]></Tag></s3:Root>',
    );
    expect(root.name).toBe('Root');
    expect(childrenOf(root, 'Tag').map(({ text }) => text)).toEqual(['', 'a<b']);
  });

  it.each([
    ['nothing', ''],
    ['text alone', 'hello'],
    ['an element that is not closed', '<a><b></b>'],
    ['an element closed by another', '<a></b>'],
    ['a close too many', '<a></a></a>'],
    ['two roots', '<a/><b/>'],
    ['a bare <', '<a> < </a>'],
  ])('fails with MalformedXML on %s', (_, source) => {
    expect(() => parseXml(source)).toThrow(expect.objectContaining({ code: 'MalformedXML' }));
  });
});
