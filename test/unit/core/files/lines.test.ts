import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter } from '../../../../src/core/files/lines.ts';
import { chunkSizesArbitrary, cut } from '../../../support/bytes.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

interface Seen {
  line: number;
  offset: number;
  length: number;
  /** Hex; absent for a line that is too long. */
  bytes: string | undefined;
}

function split(chunks: readonly Uint8Array[], maxBytes?: number): { lines: Seen[]; blank: number } {
  const lines: Seen[] = [];
  const splitter = new LineSplitter(({ line, offset, length, bytes }) => {
    const hex = bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');
    lines.push({ line, offset, length, bytes: hex });
  }, maxBytes);
  for (const chunk of chunks) {
    splitter.push(chunk);
    // A stream may use its buffer again: nothing of a chunk may be needed later.
    chunk.fill(0x21);
  }
  splitter.end();
  expect(splitter.position).toBe(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  return { lines, blank: splitter.blank };
}

const whole = (bytes: Uint8Array): Uint8Array[] => [new Uint8Array(bytes)];
const splitText = (text: string): Seen[] => split(whole(Buffer.from(text))).lines;
const textOf = ({ bytes }: Seen): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes, 'hex').toString();

/** What LineSplitter must do, in the plainest way: everything in memory, one line after the other. */
function reference(bytes: Uint8Array, maxBytes = Number.POSITIVE_INFINITY): { lines: Seen[]; blank: number } {
  const lines: Seen[] = [];
  let blank = 0;
  let start = 0;
  let number = 0;
  const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0d;
  while (start < bytes.length) {
    const lineFeed = bytes.indexOf(0x0a, start);
    const end = lineFeed < 0 ? bytes.length : lineFeed;
    number++;
    let from = start;
    let to = end;
    const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    if (number === 1 && hasMark) from = 3;
    while (from < to && isBlank(bytes[from])) from++;
    while (to > from && isBlank(bytes[to - 1])) to--;
    if (from === to) blank++;
    else {
      const hex = to - from > maxBytes ? undefined : Buffer.from(bytes.subarray(from, to)).toString('hex');
      lines.push({ line: number, offset: from, length: to - from, bytes: hex });
    }
    start = end + 1;
  }
  return { lines, blank };
}

/** Bytes in which line feeds, blanks, CRs and pieces of a byte order mark are frequent. */
const bytesArbitrary = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(0x0a, 0x0d, 0x20, 0x09) },
      { weight: 1, arbitrary: fc.constantFrom(0xef, 0xbb, 0xbf, 0xe2, 0x80, 0xa8, 0x85, 0x00) },
      { weight: 3, arbitrary: fc.nat({ max: 255 }) },
    ),
    { maxLength: 200 },
  )
  .chain((bytes) => fc.boolean().map((mark) => Uint8Array.from(mark ? [0xef, 0xbb, 0xbf, ...bytes] : bytes)));

describe('LineSplitter', () => {
  it('gives the same lines, numbers, offsets and bytes as a naive split, for any bytes in any chunks', () => {
    fc.assert(
      fc.property(bytesArbitrary, chunkSizesArbitrary(20), (bytes, sizes) => {
        expect(split(cut(bytes, sizes))).toEqual(reference(bytes));
      }),
      { numRuns: propertyRuns(1_000) },
    );
  });

  it('reports lines over the limit without their bytes and keeps every other line, in any chunks', () => {
    fc.assert(
      fc.property(
        bytesArbitrary,
        chunkSizesArbitrary(20),
        fc.integer({ min: 1, max: 12 }),
        (bytes, sizes, max) => {
          expect(split(cut(bytes, sizes), max)).toEqual(reference(bytes, max));
        },
      ),
      { numRuns: propertyRuns(500) },
    );
  });

  it('keeps nothing of a chunk that is a Buffer of a pool, which is filled again after the call', () => {
    const pool = Buffer.alloc(4);
    const lines: string[] = [];
    const splitter = new LineSplitter(({ bytes }) => lines.push(Buffer.from(bytes!).toString()));
    for (const text of ['{"a"', ':12}', '\n{"b', '":3}']) {
      pool.write(text);
      splitter.push(pool);
    }
    splitter.end();
    expect(lines).toEqual(['{"a":12}', '{"b":3}']);
  });

  it('points every line at bytes that read back from the source', () => {
    fc.assert(
      fc.property(bytesArbitrary, chunkSizesArbitrary(20), (bytes, sizes) => {
        for (const { offset, length, bytes: hex } of split(cut(bytes, sizes)).lines)
          expect(Buffer.from(bytes.subarray(offset, offset + length)).toString('hex')).toBe(hex);
      }),
    );
  });

  it('keeps U+2028, U+2029, U+0085, form feed and vertical tab inside a line', () => {
    const text = '{"a":"x\u2028y\u2029z\u0085w\f\v"}';
    expect(splitText(`${text}\n${text}`).map(textOf)).toEqual([text, text]);
  });

  it('leaves out the CR of CRLF and does not count it', () => {
    expect(splitText('{"a":1}\r\n{"b":2}\r\n')).toMatchObject([
      { line: 1, offset: 0, length: 7 },
      { line: 2, offset: 9, length: 7 },
    ]);
  });

  it('does not end a line at a CR alone', () => {
    expect(splitText('{"a":1}\r{"b":2}').map(textOf)).toEqual(['{"a":1}\r{"b":2}']);
  });

  it('takes a file of CRs for one blank line', () => {
    expect(split(whole(Buffer.from('\r\r\r')))).toEqual({ lines: [], blank: 1 });
  });

  it('takes a last line without a newline as it takes one with it', () => {
    expect(splitText('{"a":1}\n{"b":2}')).toEqual(splitText('{"a":1}\n{"b":2}\n'));
  });

  it('counts blank lines in line numbers and gives none of them', () => {
    expect(split(whole(Buffer.from('\n \n\t\r\n{}\n\n\n{}')))).toMatchObject({
      lines: [{ line: 4 }, { line: 7 }],
      blank: 5,
    });
  });

  it('gives no line for no bytes', () => {
    expect(split([])).toEqual({ lines: [], blank: 0 });
    expect(split([new Uint8Array(0)])).toEqual({ lines: [], blank: 0 });
  });

  describe('byte order mark', () => {
    const marked = Buffer.from('\ufeff{"a":1}\n\ufeff{"b":2}\n');

    it.each([1, 2, 3, 4])('is dropped at the start when chunks have %i bytes, and only there', (size) => {
      expect(split(cut(marked, [size])).lines.map(textOf)).toEqual(['{"a":1}', '\ufeff{"b":2}']);
    });

    it('alone is a blank line', () => {
      expect(split(cut(Buffer.from('\ufeff'), [1]))).toEqual({ lines: [], blank: 1 });
      expect(split(cut(Buffer.from('\ufeff\r\n{}'), [1]))).toMatchObject({
        lines: [{ line: 2, offset: 5 }],
        blank: 1,
      });
    });

    it('is dropped once: the second of two belongs to the line', () => {
      expect(splitText('\ufeff\ufeff{}').map(textOf)).toEqual(['\ufeff{}']);
    });

    it('in part is no mark', () => {
      expect(split(whole(Uint8Array.from([0xef, 0xbb, 0x0a])))).toMatchObject({
        lines: [{ line: 1, offset: 0, length: 2 }],
      });
    });

    it('before blanks is dropped with them', () => {
      expect(splitText('\ufeff  {}')).toMatchObject([{ line: 1, offset: 5, length: 2 }]);
    });
  });

  describe('a line that is too long', () => {
    const MAX_BYTES = 1024;
    const CHUNK = Buffer.alloc(64 * 1024, 0x61);

    it('is reported once with its full length, and the next line is read', () => {
      const lines: Seen[] = [];
      const splitter = new LineSplitter(
        ({ line, offset, length, bytes }) =>
          lines.push({ line, offset, length, bytes: bytes && Buffer.from(bytes).toString() }),
        MAX_BYTES,
      );
      splitter.push(Buffer.from('{}\n'));
      for (let count = 0; count < 1_000; count++) splitter.push(CHUNK);
      splitter.push(Buffer.from('aaa\n{}'));
      splitter.end();
      expect(lines).toEqual([
        { line: 1, offset: 0, length: 2, bytes: '{}' },
        { line: 2, offset: 3, length: 1_000 * CHUNK.length + 3, bytes: undefined },
        { line: 3, offset: 1_000 * CHUNK.length + 7, length: 2, bytes: '{}' },
      ]);
    });

    it('at the end of the stream is reported, with or without a newline', () => {
      for (const ending of ['', '\n']) {
        const bytes = Buffer.from('a'.repeat(200_000) + ending);
        expect(split(cut(bytes, [50_000]), MAX_BYTES).lines).toEqual([
          { line: 1, offset: 0, length: 200_000, bytes: undefined },
        ]);
      }
    });

    it('takes no memory: 4 GB in one line leave the buffers as small as they were', () => {
      let reported = 0;
      const splitter = new LineSplitter(({ length }) => {
        reported = length;
      }, MAX_BYTES);
      const chunk = Buffer.alloc(16 * 1024 * 1024, 0x61);
      const before = process.memoryUsage().arrayBuffers;
      let most = 0;
      for (let count = 0; count < 256; count++) {
        splitter.push(chunk);
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
      splitter.end();
      expect(reported).toBe(4 * 1024 ** 3);
      expect(most).toBeLessThan(40_000_000);
    });

    it('is accepted at exactly the limit and refused one byte beyond it', () => {
      for (const sizes of [[5_000], [1], [1023, 1], [1024, 1]]) {
        const fits = Buffer.from(`${'a'.repeat(MAX_BYTES)}\r\n`);
        const over = Buffer.from(`${'a'.repeat(MAX_BYTES + 1)}\r\n`);
        expect(split(cut(fits, sizes), MAX_BYTES).lines).toMatchObject([{ length: MAX_BYTES }]);
        expect(split(cut(fits, sizes), MAX_BYTES).lines[0]!.bytes).toBeDefined();
        expect(split(cut(over, sizes), MAX_BYTES).lines).toEqual([
          { line: 1, offset: 0, length: MAX_BYTES + 1, bytes: undefined },
        ]);
      }
    });

    const blanks = ' '.repeat(70_000);
    it.each([
      ['a short line between many blanks', `${blanks}{}${blanks}\n{}`],
      ['a long line after many blanks', `${blanks}${'a'.repeat(2_000)}\r\n{}`],
      ['a long line before CRLF', `${'a'.repeat(100_000)}\r\n{}`],
      ['a long line after a byte order mark', `\ufeff${'a'.repeat(100_000)}\n{}`],
      ['many blanks', `${blanks}\n{}`],
      ['many blanks without a newline', blanks],
    ])('%s: the result is the same whatever the chunks are', (_name, text) => {
      const bytes = Buffer.from(text);
      const expected = reference(bytes, MAX_BYTES);
      expect(split(whole(bytes), MAX_BYTES)).toEqual(expected);
      expect(split(cut(bytes, [1_000]), MAX_BYTES)).toEqual(expected);
    });
  });
});
