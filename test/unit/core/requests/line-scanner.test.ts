import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CustomIdHasher } from '../../../../src/core/base/custom-id-hash.ts';
import { type Line, LineSplitter, type LineStart } from '../../../../src/core/files/lines.ts';
import { ManifestEntries } from '../../../../src/core/files/manifest.ts';
import { withOutputLimit } from '../../../../src/core/model/output-limit.ts';
import { checkLine, lineTooLong } from '../../../../src/core/requests/check-line.ts';
import {
  type LineHandlers,
  LineScanner,
  type RequestSpan,
} from '../../../../src/core/requests/line-scanner.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { chunkSizesArbitrary, cut } from '../../../support/bytes.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { requestLine } from '../../../support/request-lines.ts';
import { TRICKY_LINES, USUAL_LINES } from './fixtures/tricky-lines.ts';
import { mutatedLines, seededRandom } from './fixtures/tricky-lines-mutated.ts';

const JOB_ID = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

interface Options {
  maxBytes?: number;
  blockBytes?: number;
  start?: LineStart;
}

/** What is known of a line after it was scanned and, if need be, checked. */
type Outcome = Record<string, unknown>;

interface Outcomes {
  lines: Outcome[];
  blank: number;
}

const hasher = new CustomIdHasher(JOB_ID);

function outcomeOf({ line, offset, length, bytes }: Line): Outcome {
  const verdict = bytes === undefined ? lineTooLong(length) : checkLine(bytes, OPENAI_RULES);
  if (!verdict.valid) return { line, offset, length, ...verdict };
  // The text counted is held against `countText`.
  const { url: endpoint, textBytes: _, dataUrlBytes: __, ...values } = verdict;
  hasher.hashText(verdict.customId);
  const { hash0, hash1 } = hasher;
  return { line, offset, length, ...values, endpoint, hash0, hash1 };
}

/** The plain way: one line after the other, each parsed. */
function check(bytes: Uint8Array, { maxBytes, start }: Options = {}): Outcomes {
  const lines: Outcome[] = [];
  const splitter = new LineSplitter((line) => lines.push(outcomeOf(line)), maxBytes, start);
  splitter.push(bytes);
  splitter.end();
  return { lines, blank: splitter.blank };
}

/** What a span says of its requests must be what they say themselves. */
function expectSum(span: RequestSpan): void {
  const { requests: _, entries, hashes, ...said } = span;
  const found = new ManifestEntries();
  found.pushRecords(entries);
  const wanted = new ManifestEntries();
  const sums = { length: 0, embeddingInputs: 0, predictedOutputBytes: 0, textBytes: 0, dataUrlBytes: 0 };
  let [start, end] = [0, 0];
  for (const request of span.requests()) {
    const { line, offset, length, outputLimit, hash0, hash1 } = request;
    expect([request.endpoint, request.model]).toEqual([span.endpoint, span.model]);
    if (wanted.count === 0) start = offset;
    end = offset + length;
    wanted.push({ line, offset, length, tried: withOutputLimit(0, outputLimit), hash0, hash1 });
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += request[name];
  }
  const { endpoint, model } = span;
  expect(said).toEqual({ endpoint, model, count: wanted.count, start, end, ...sums });
  expect(Buffer.from(found.bytes()).equals(Buffer.from(wanted.bytes()))).toBe(true);
  const hashesFound = Array.from({ length: wanted.count }, (_, at) => [wanted.hash0(at), wanted.hash1(at)]);
  expect([...hashes]).toEqual(hashesFound.flat());
}

/** The fast way; also tells how many lines it was certain of, and what text it counted in them. */
function scan(chunks: readonly Uint8Array[], options: Options = {}) {
  const lines: Outcome[] = [];
  const texts: { bytes: string; textBytes: number; dataUrlBytes: number }[] = [];
  const scanner = new LineScanner(
    JOB_ID,
    {
      onSpan: (span) => {
        for (const request of span.requests()) {
          const { textBytes, dataUrlBytes, bytes, customId, copyTo: _, ...values } = request;
          texts.push({ bytes: Buffer.from(bytes()).toString(), textBytes, dataUrlBytes });
          // It vouches for no line that the provider is sure to refuse.
          lines.push({ ...values, valid: true, customId: customId(), refusal: undefined });
        }
        expectSum(span);
      },
      onLine: (line) => lines.push(outcomeOf(line)),
    },
    { rules: OPENAI_RULES, sourceBytes: chunks.reduce((sum, { length }) => sum + length, 0), ...options },
  );
  for (const chunk of chunks) {
    scanner.push(chunk);
    // A stream may use its buffer again: nothing of a chunk may be needed later.
    chunk.fill(0x21);
  }
  scanner.end();
  return { outcomes: { lines, blank: scanner.blank }, texts, next: scanner.next };
}

/** The same request by request. */
function scanEach(file: Uint8Array): Outcomes {
  const lines: Outcome[] = [];
  const scanner = new LineScanner(
    JOB_ID,
    {
      onSpan: () => expect.unreachable('requests are taken one by one'),
      onRequest: ({ bytes, copyTo, customId, textBytes: _, dataUrlBytes: __, ...values }) => {
        const copy = Buffer.alloc(values.length + 2, 0x21);
        copyTo(copy, 1);
        expect(copy.subarray(1, -1).equals(bytes())).toBe(true);
        expect([copy[0], copy.at(-1)]).toEqual([0x21, 0x21]);
        lines.push({ ...values, valid: true, customId: customId() });
      },
      onLine: (line) => lines.push(outcomeOf(line)),
    },
    { rules: OPENAI_RULES, sourceBytes: file.length },
  );
  scanner.push(file);
  scanner.end();
  return { lines, blank: scanner.blank };
}

const whole = (bytes: Uint8Array): Uint8Array[] => [new Uint8Array(bytes)];

const joined = (lines: readonly Uint8Array[]): Buffer =>
  Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]));

/** What the scanner should count, told from the line's tokens: JSON.parse would keep one of two equal keys only. */
function countText(line: string): { textBytes: number; dataUrlBytes: number } {
  const counted = { textBytes: 0, dataUrlBytes: 0 };
  const keys: string[] = [];
  let depth = 0;
  for (const [token, , colon] of line.matchAll(/("(?:[^"\\]|\\.)*")([ \t\r]*:)?|[{}[\]]/gs)) {
    if (token === '{' || token === '[') keys[++depth] = '';
    else if (token === '}' || token === ']') depth--;
    else if (colon !== undefined) keys[depth] = JSON.parse(token.slice(0, -colon.length));
    else if (keys[1] === 'body' && depth > 1) {
      const text: string = JSON.parse(token);
      if (depth === 2 && ['model', 'encoding_format', 'response_format'].includes(keys[2]!)) continue;
      counted[text.startsWith('data:') ? 'dataUrlBytes' : 'textBytes'] += Buffer.byteLength(text);
    }
  }
  return counted;
}

function expectTextsCounted(texts: ReturnType<typeof scan>['texts'], what = ''): void {
  for (const { bytes, ...counted } of texts) {
    const wanted = countText(bytes);
    if (wanted.textBytes !== counted.textBytes || wanted.dataUrlBytes !== counted.dataUrlBytes)
      expect(counted, `${what} ${bytes}`).toEqual(wanted);
  }
}

describe('LineScanner', () => {
  it('is certain of every request of the usual kinds', () => {
    const file = joined(USUAL_LINES.map((line) => Buffer.from(line)));
    const { outcomes, texts } = scan(whole(file));
    expect(outcomes).toEqual(check(file));
    expect(outcomes.lines.map(({ valid }) => valid)).toEqual(USUAL_LINES.map(() => true));
    expect(texts).toHaveLength(USUAL_LINES.length);
    expectTextsCounted(texts);
  });

  it('leaves to checkLine what may be refused, and no other line', () => {
    const chat = (model: string, members: object) =>
      requestLine('a', { body: { messages: [{ role: 'user', content: '"none"' }], model, ...members } });
    const vouched = (line: string): boolean => scan(whole(Buffer.from(line))).texts.length === 1;
    const tools = [{ type: 'function', function: { name: 'f' } }];
    expect(vouched(chat('gpt-6-luna', { tools }))).toBe(true);
    expect(vouched(chat('gpt-6-luna', { reasoning_effort: 'low' }))).toBe(true);
    expect(vouched(chat('gpt-6-luna', { tools, reasoning_effort: 'low' }))).toBe(false);
    expect(vouched(chat('gpt-6-luna', { max_completion_tokens: 5 }))).toBe(true);
    expect(vouched(chat('gpt-6-luna', { max_tokens: 5 }))).toBe(false);
    expect(vouched(chat('gpt-4o', { max_tokens: 5, tools }))).toBe(true);
    // Only lines that hold one of the words are looked at, here or anywhere.
    expect(vouched(chat('gpt-6.2-sol', { reasoning_effort: 'none' }))).toBe(false);
    expect(vouched(chat('gpt-6.2-sol', { reasoning_effort: 'high' }))).toBe(true);
  });

  it('agrees with checkLine on every tricky line', () => {
    expect(TRICKY_LINES.length).toBeGreaterThan(200);
    let certain = 0;
    for (const { what, bytes } of TRICKY_LINES) {
      const { outcomes, texts } = scan(whole(bytes));
      expect(outcomes, what).toEqual(check(bytes));
      expectTextsCounted(texts);
      certain += texts.length;
    }
    expect(certain).toBeGreaterThan(100);
  });

  it('agrees with checkLine on all tricky lines in one file, whatever the chunks and blocks', () => {
    const file = joined(TRICKY_LINES.map(({ bytes }) => bytes));
    const wanted = check(file);
    for (const [sizes, blockBytes] of [
      [[file.length], undefined],
      [[65_536], undefined],
      [[1_000, 1], 300],
      [[file.length], 1_000],
      [[7, 4_096], 5_000],
    ] as [number[], number | undefined][]) {
      const { outcomes, texts } = scan(cut(file, sizes), blockBytes === undefined ? {} : { blockBytes });
      expect(outcomes).toEqual(wanted);
      expectTextsCounted(texts);
    }
  });

  it('cuts any bytes in any chunks into the same lines as LineSplitter, whatever the size of its block', () => {
    const bytesArbitrary = fc
      .array(
        fc.oneof(
          { weight: 4, arbitrary: fc.constantFrom('\n', '\r', ' ', '\t', '\n\n', '   ') },
          { weight: 1, arbitrary: fc.constantFrom('\ufeff', '{}', 'x', '"', '\u2028') },
          { weight: 2, arbitrary: fc.constantFrom(...USUAL_LINES.slice(0, 3)) },
        ),
        { maxLength: 40 },
      )
      .chain((parts) =>
        fc
          .boolean()
          .map((mark) => Buffer.concat([mark ? MARK : MARK.subarray(3), Buffer.from(parts.join(''))])),
      );
    fc.assert(
      fc.property(
        bytesArbitrary,
        chunkSizesArbitrary(60),
        fc.integer({ min: 8, max: 600 }),
        fc.integer({ min: 0, max: 300 }),
        (file, sizes, blockBytes, maxBytes) => {
          const { outcomes, next } = scan(cut(file, sizes), { blockBytes, maxBytes });
          expect(outcomes).toEqual(check(file, { maxBytes }));
          const lines = outcomes.lines.length + outcomes.blank;
          expect(next).toEqual({ offset: file.length, line: lines + 1 });
        },
      ),
      { numRuns: propertyRuns(2_000) },
    );
  });

  it('finds the same in slots, which are filled again in any order, as in chunks that it copies', () => {
    const fileArbitrary = fc
      .array(
        fc.oneof(
          { weight: 4, arbitrary: fc.constantFrom(...USUAL_LINES.slice(0, 4)) },
          { weight: 1, arbitrary: fc.constantFrom('', '  ', 'x'.repeat(700), '{}', '\u00e9') },
        ),
        { maxLength: 30 },
      )
      .chain((lines) => fc.constantFrom('\n', '\r\n', '\n \n').map((end) => Buffer.from(lines.join(end))));
    const slotsArbitrary = fc.record({
      count: fc.integer({ min: 1, max: 4 }),
      bytes: fc.integer({ min: 1, max: 900 }),
    });
    fc.assert(
      fc.property(
        fileArbitrary,
        slotsArbitrary,
        chunkSizesArbitrary(400),
        fc.integer({ min: 8, max: 1_200 }),
        fc.constantFrom(150, 690, 5_000),
        (file, slots, sizes, blockBytes, maxBytes) => {
          const lines: Outcome[] = [];
          const scanner = new LineScanner(
            JOB_ID,
            {
              onSpan: (span) => {
                for (const request of span.requests())
                  lines.push(outcomeOf({ ...request, bytes: request.bytes() }));
                expectSum(span);
              },
              onLine: (line) => lines.push(outcomeOf(line)),
            },
            { rules: OPENAI_RULES, blockBytes, maxBytes, slots },
          );
          // Pieces of ranges: each range is written over what the slot held before.
          for (let at = 0, range = 0; at < file.length; at += slots.bytes, range++) {
            const slot = scanner.slots[range % slots.count]!;
            slot.set(file.subarray(at, at + slots.bytes));
            const filled = slot.subarray(0, Math.min(slots.bytes, file.length - at));
            let taken = 0;
            for (const { length } of cut(filled, sizes)) {
              scanner.push(filled.subarray(taken, taken + length));
              taken += length;
            }
            slot.fill(0x21);
          }
          scanner.end();
          expect({ lines, blank: scanner.blank }).toEqual(check(file, { maxBytes }));
        },
      ),
      { numRuns: propertyRuns(2_000) },
    );
  });

  it.each([
    ['in chunks that it copies', undefined],
    ['in slots', { count: 3, bytes: 8 * 1024 * 1024 }],
  ])('scans lines of any size that a request may have itself, %s', (_, slots) => {
    const image = (length: number) => `data:image/png;base64,${'iVBORw0KGgo'.repeat(Math.ceil(length / 11))}`;
    const sizes = [400_000, 600_000, 16_000_000, 1_000, 3_000_000, 31_000_000];
    const lines = sizes.map((length, index) =>
      requestLine(`id-${index}`, { url: '/v1/responses', body: { model: 'm', input: image(length) } }),
    );
    const file = Buffer.from(lines.join('\n'));
    const found: number[] = [];
    const scanner = new LineScanner(
      JOB_ID,
      {
        onSpan: (span) => {
          for (const { offset, length, dataUrlBytes } of span.requests()) {
            expect(file.toString('latin1', offset, offset + length)).toBe(lines[found.length]);
            expect(dataUrlBytes).toBeGreaterThan(sizes[found.length]! - 1);
            found.push(length);
          }
        },
        onLine: () => expect.unreachable('every line is certain'),
      },
      { rules: OPENAI_RULES, ...(slots === undefined ? {} : { slots }) },
    );
    const PIECE = 1024 * 1024;
    for (let at = 0, piece = 0; at < file.length; at += PIECE, piece++) {
      const bytes = file.subarray(at, at + PIECE);
      if (slots === undefined) {
        scanner.push(bytes);
        continue;
      }
      const slot = scanner.slots[Math.floor(piece / 8) % 3]!;
      slot.set(bytes, (piece % 8) * PIECE);
      scanner.push(slot.subarray((piece % 8) * PIECE, (piece % 8) * PIECE + bytes.length));
    }
    scanner.end();
    expect(found).toEqual(lines.map(({ length }) => length));
  });

  it('refuses a chunk that is in none of its slots', () => {
    const handlers = { onSpan: () => {}, onLine: () => {} };
    const scanner = new LineScanner(JOB_ID, handlers, {
      rules: OPENAI_RULES,
      slots: { count: 1, bytes: 10 },
    });
    expect(() => scanner.push(Buffer.from('{}\n'))).toThrow('in none of the slots');
  });

  it('distinguishes more kinds of requests than it remembers', () => {
    const lines = Array.from({ length: 20_000 }, (_, index) =>
      requestLine(`id-${index}`, {
        url: '/v1/responses',
        body: { model: 'm', max_output_tokens: (index * 7_919) % 12_000, n: index % 2 },
      }),
    );
    const file = Buffer.from(lines.join('\n'));
    const { outcomes, texts } = scan(whole(file));
    expect(outcomes).toEqual(check(file));
    expect(texts).toHaveLength(lines.length);
  });

  it('continues where another scanner stopped', () => {
    const file = joined([...USUAL_LINES, ...USUAL_LINES].map((line) => Buffer.from(line)));
    const wanted = check(file);
    for (const blockBytes of [100, 1_500, 4_000]) {
      const lines: Outcome[] = [];
      let start: LineStart = { offset: 0, line: 1 };
      // Each scanner gets 5,000 bytes and dies before it has handed out all.
      for (;;) {
        const scanner = new LineScanner(
          JOB_ID,
          {
            onSpan: (span) => {
              for (const request of span.requests())
                lines.push(outcomeOf({ ...request, bytes: request.bytes() }));
            },
            onLine: (line) => lines.push(outcomeOf(line)),
          },
          { rules: OPENAI_RULES, blockBytes, start },
        );
        const chunk = file.subarray(start.offset, start.offset + 5_000);
        scanner.push(chunk);
        if (start.offset + chunk.length === file.length) {
          scanner.end();
          break;
        }
        if (scanner.next.offset === start.offset) throw new Error('no line fits into what a scanner gets');
        start = scanner.next;
      }
      expect(lines).toEqual(wanted.lines);
    }
  });

  it('does not take a byte order mark for one where a stream continues', () => {
    const file = Buffer.concat([MARK, Buffer.from(USUAL_LINES[0]!)]);
    const start = { offset: 1_000, line: 5 };
    for (const blockBytes of [16, 1_000]) {
      const { outcomes } = scan(whole(file), { start, blockBytes });
      expect(outcomes).toEqual(check(file, { start }));
      expect(outcomes.lines).toMatchObject([{ line: 5, offset: 1_000, code: 'invalid_json_line' }]);
    }
  });

  it('takes any number of lines in a block, and of pairs of model and endpoint', () => {
    const lines = Array.from({ length: 12_000 }, (_, index) =>
      index % 3 === 0
        ? 'x'
        : requestLine(`id-${index}`, { url: '/v1/responses', body: { model: `model-${index % 1_777}` } }),
    );
    const file = Buffer.from(lines.join('\n'));
    const { outcomes, texts } = scan(whole(file), { blockBytes: 2_000_000 });
    expect(outcomes).toEqual(check(file));
    // Beyond 512 pairs, checkLine has the word.
    expect(texts.length).toBeGreaterThan(2_000);
    expect(texts.length).toBeLessThan(8_000);
  });

  it('finds the one line that is not UTF-8 among many that are', () => {
    const bad = Buffer.from(requestLine('caf\u00e9'), 'latin1');
    const file = joined([...USUAL_LINES.map((line) => Buffer.from(line)), bad, Buffer.from(USUAL_LINES[0]!)]);
    const { outcomes, texts } = scan(whole(file));
    expect(outcomes).toEqual(check(file));
    expect(outcomes.lines.filter(({ valid }) => valid === false)).toHaveLength(1);
    expect(texts).toHaveLength(USUAL_LINES.length + 1);
  });

  it('does not carry over fields from one line to the next', () => {
    const fields = ['"n":3', '"max_tokens":7', '"max_tokens":0', '"logprobs":true', '"logprobs":false', ''];
    const endpoints = ['/v1/chat/completions', '/v1/completions', '/v1/moderations', '/v1/embeddings'];
    const inputs = ['', '"input":[]', '"input":["a","b"]', `"input":[${'1,'.repeat(1_500)}1]`, '"input":"a"'];
    const pick = <Item>(items: readonly Item[]): fc.Arbitrary<Item> => fc.constantFrom(...items);
    const lineArbitrary = fc
      .tuple(pick(['m', 'text-embedding-3-small']), pick(fields), pick(inputs), pick(endpoints))
      .map(([model, field, input, url]) => {
        const body = [`"model":"${model}"`, field, input].filter((text) => text !== '').join(',');
        return Buffer.from(`{"custom_id":"a","method":"POST","url":"${url}","body":{${body}}}`);
      });
    fc.assert(
      fc.property(fc.array(lineArbitrary, { minLength: 2, maxLength: 12 }), (lines) => {
        const file = joined(lines);
        expect(scan(whole(file)).outcomes).toEqual(check(file));
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  it('checks the whole of a line that begins like the one before', () => {
    const start = (id: string): string => `{"custom_id":"${id}","method":"POST","url":"/v1/responses",`;
    const heads = [
      (id: string): string =>
        `${start(id)}"body":{"model":"m","instructions":"data:x","max_tool_calls":1,"x":[`,
      (id: string): string => `${start(id)}"body":{"model":"m","instructions":"be brief","x":[`,
      (id: string): string => `${start(id)}"body":{"model":"m","stream":false,"x":{"y":[`,
      (id: string): string => `${start(id)}"body":{"model":"m","max_output_tokens":16,"n":2,"x":[`,
      (id: string): string => `${start(id)}"body":{"max_output_tokens":null,"echo":true,"model":"m","x":[`,
      (id: string): string => `${start(id)}"body":[{"model":"m","x":[`,
      (id: string): string => `${start(id)}"body":{"x":[`,
      (id: string): string =>
        `{"method":"POST","custom_id":"${id}","url":"/v1/responses","body":{"model":"m","x":[`,
      (id: string): string => `{"body":{"model":"m","x":[],"custom_id":"${id}","y":[`,
      (id: string): string => `{"custom_id":"${id}","body":{"model":"m","x":[`,
      (id: string): string =>
        `{"custom_id":"${id}","method":"POST","body":{"model":"m"},"url":"/v1/responses","x":[`,
    ];
    const tails = [
      ...[
        ']}}',
        ']}]}',
        '1]}}',
        '1}]}}',
        ']}}}',
        ']}',
        '"a"],"model":"n"}}',
        '],"n":2},"url":"/v1/responses"}',
      ],
      ...[
        '],"stream":true}}',
        '{}]},"custom_id":"b"}',
        '],"model":"m"},"method":"POST","url":"/v1/responses"}',
      ],
    ];
    const ids = ['a', 'b'.repeat(40), '', 'a\\n', 'a\tb', 'é', 'a","method":"GET'];
    const models = [
      'm',
      'm',
      'gpt-6-luna',
      'é',
      '',
      'a\\n',
      'a\tb',
      'm","stream":true,"y":"',
      'x'.repeat(130),
    ];
    const lineArbitrary = fc
      .tuple(...[heads, ids, models, tails].map((some) => fc.constantFrom<unknown>(...some)))
      .map((parts) => {
        const [head, id, model, tail] = parts as [(typeof heads)[number], string, string, string];
        return Buffer.from(head(id).replace('"model":"m"', () => `"model":"${model}"`) + tail);
      });
    const filesArbitrary = fc.array(lineArbitrary, { minLength: 2, maxLength: 50 });
    fc.assert(
      fc.property(filesArbitrary, (lines) => {
        const file = joined(lines);
        const { outcomes, texts } = scan(whole(file));
        expect(outcomes).toEqual(check(file));
        expectTextsCounted(texts);
        expect(scanEach(file)).toEqual(outcomes);
      }),
      { numRuns: propertyRuns(1_500) },
    );
  });

  it('reads escapes, quotes and control bytes wherever they are in the bytes that it looks at together', () => {
    // It looks at 16 or 64 bytes: at both ends of a string, every piece stands once at every place of either.
    const pieces = [
      ...[
        '',
        '\\n',
        '\\"',
        '\\\\',
        '\\t',
        '\\/',
        '\\u2019',
        '\\u00e9',
        '\\u0041',
        '\\u0000',
        '\\ud83d\\ude00',
      ],
      ...[
        '\\ud83d',
        '\\ude00',
        '\\ude00\\ud83d',
        '\\ud83d\\ud83d\\ude00\\ude00',
        '\\\\ud83d\\ude00',
        '\\ud83d\\nude00',
      ],
      ...[
        '\\\\\\\\',
        '\\\\\\"',
        '\\"\\"\\"',
        '\\\\\\\\\\\\n',
        '\\n\\u000a\\n',
        '\\\\\\u005c',
        '\\u005cu0041',
        'é',
        '😀',
        'data:',
      ],
      // None of these makes a valid line.
      ...[
        '"',
        '\\',
        '\\\\"',
        '\\x',
        '\\N',
        '\\u12',
        '\\u00g0',
        '\\U0041',
        '\\u"',
        '\t',
        '\r',
        '\0',
        '\x1f',
        '\\\t',
        '\\\r',
        '\t,"',
        '\t:"',
        '\t","',
        '\\x\\\\\\',
      ],
    ];
    const line = (texts: string): string =>
      `{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"model":"m","x":${texts}}}`;
    for (const piece of pieces) {
      const lines = Array.from({ length: 140 }, (_, length) => {
        const before = 'x'.repeat(length);
        const after = 'y'.repeat(139 - length);
        const text = `"${before}${piece}${after}"`;
        return [
          line(`[${text},"z","data:"]`),
          line(`{"k": ["z", ${text}, "\\n"], "l": "data:\\u00e9"}`),
          line(`["${before}", "${piece}${piece}", "${after}\\\\", "\\"", "z"]`),
          line(`{${text}: "z", "": "${piece}", "${before}": {"${piece}": 0}}`),
          line(text),
        ].map((each) => Buffer.from(each));
      }).flat();
      const file = joined(lines);
      const { outcomes, texts } = scan(whole(file));
      const wanted = check(file);
      if (!isDeepStrictEqual(outcomes, wanted)) {
        for (const bytes of lines)
          expect(scan(whole(bytes)).outcomes, bytes.toString()).toEqual(check(bytes));
      }
      expect(texts.length, piece).toBeGreaterThanOrEqual(
        wanted.lines.filter(({ valid }) => valid).length * 0.8,
      );
      expectTextsCounted(texts);
    }
  });

  it('knows which bytes may follow a backslash', () => {
    const line = (text: string): string => requestLine('a').replace('Say hello.', () => text);
    for (let byte = 0; byte < 256; byte++) {
      if (byte === 0x0a) continue;
      const pair = `\\${String.fromCharCode(byte)}`;
      const lines = ['', 'x', 'x'.repeat(62), 'x'.repeat(63)].map((before) =>
        Buffer.from(line(`${before}${pair}0041${'y'.repeat(64)}`), 'latin1'),
      );
      const file = joined(lines);
      const { outcomes, texts } = scan(whole(file));
      expect(outcomes).toEqual(check(file));
      expect([0, lines.length]).toContain(texts.length);
      expectTextsCounted(texts);
    }
  });

  it('reads a line as it is, whatever the one before it ended in', () => {
    const line = (text: string): Buffer =>
      Buffer.from(requestLine('a', { body: { model: 'm', x: ['text'] } }).replace('text', () => text));
    for (let length = 0; length < 70; length++) {
      const broken = [
        `\\x${'x'.repeat(length)}\\`,
        `\\n\\x${'\\n'.repeat(length)}`,
        `${'x'.repeat(length)}\t\\`,
      ];
      const good = ['', 'n', '\\n', '\\"'];
      const lines = broken.flatMap((before) => good.flatMap((text) => [before + 'y'.repeat(64), text]));
      const file = joined(lines.map(line));
      const { outcomes, texts } = scan(whole(file));
      expect(outcomes).toEqual(check(file));
      expect(texts).toHaveLength(lines.length / 2);
      expectTextsCounted(texts);
    }
    // Half a surrogate pair each, at the same place of two blocks.
    const halves = joined(['\\ud83dxxxxxx', 'xxxxxx\\ude00'].map(line));
    const { texts } = scan(whole(halves), { blockBytes: halves.length / 2 });
    expect(texts).toHaveLength(2);
    expectTextsCounted(texts);
  });

  it('agrees with checkLine on containers in containers, whatever separates what is in them', () => {
    const oneOf = (...choices: string[]): fc.Arbitrary<string> => fc.constantFrom(...choices);
    const blank = oneOf('', '', '', ' ', ' ', ' ', '\t', '\r', '  ', ' \t\r ', ' '.repeat(70));
    const number = fc.oneof(
      oneOf('0', '-0', '7', '-7', '12.5', '-0.25', '1e9', '-1.5E-7', '0e+1', '1'.repeat(15), '1'.repeat(16)),
      oneOf(
        `0.${'1'.repeat(13)}`,
        `0.${'1'.repeat(14)}`,
        '1'.repeat(90),
        '01',
        '-',
        '1.',
        '.5',
        '1e',
        '1.e1',
        '+1',
      ),
      fc.double().map(String),
    );
    const text = fc.oneof(
      fc.string({ maxLength: 20 }).map((value) => JSON.stringify(value)),
      fc.string({ unit: 'binary', maxLength: 90 }).map((value) => JSON.stringify(value)),
      oneOf('"data:x"', '"\\u0064ata:x"', '"\\ud83d\\ude00"', '"\\/"', '"\\\\"', '""'),
    );
    const key = fc.oneof(
      { weight: 30, arbitrary: text },
      { weight: 1, arbitrary: number },
      oneOf('null', ''),
    );
    const literal = oneOf('true', 'false', 'null', 'nul', 'truE', 'fals', 'False', 'nulll');
    const between = fc
      .tuple(blank, oneOf(',', ',', ',', ',', ',', ',', ',', ',', ''), blank)
      .map((all) => all.join(''));
    const { value } = fc.letrec<{ value: string }>((tie) => {
      const items = (item: fc.Arbitrary<string>): fc.Arbitrary<string> =>
        fc
          .tuple(
            blank,
            fc.array(fc.tuple(item, between), { maxLength: 4 }),
            oneOf(...' '.repeat(30), ','),
            blank,
          )
          .map(([first, all, end, last]) => first + all.flat().slice(0, -1).join('') + end + last);
      const member = fc
        .tuple(key, blank, oneOf(...':'.repeat(30), '', ',', '::'), blank, tie('value'))
        .map((all) => all.join(''));
      return {
        value: fc.oneof(
          { depthSize: 'medium', withCrossShrink: true },
          { weight: 3, arbitrary: text },
          { weight: 1, arbitrary: number },
          { weight: 1, arbitrary: literal },
          { weight: 3, arbitrary: items(tie('value')).map((all) => `[${all}]`) },
          {
            weight: 3,
            arbitrary: items(fc.oneof({ weight: 30, arbitrary: member }, text, number)).map(
              (all) => `{${all}}`,
            ),
          },
        ),
      };
    });
    const bodies = fc
      .tuple(oneOf('x', 'messages', 'input', 'n'), value, oneOf('', '', ',"n":2', ']', '}', ','))
      .map(
        ([key, each, rest]) =>
          `{"custom_id":"a","method":"POST","url":"/v1/responses","z":[${each}],"body":{"model":"m","${key}":${each}${rest}}}`,
      );
    // With fewer, the share below varies too much.
    const runs = propertyRuns(1_500, 300);
    const count = { valid: 0, certain: 0 };
    fc.assert(
      fc.property(fc.array(bodies, { minLength: 5, maxLength: 20 }), (lines) => {
        const file = joined(lines.map((each) => Buffer.from(each)));
        const wanted = check(file);
        const { outcomes, texts } = scan(whole(file));
        expect(outcomes).toEqual(wanted);
        expectTextsCounted(texts);
        count.valid += wanted.lines.filter(({ valid }) => valid).length;
        count.certain += texts.length;
      }),
      { numRuns: runs },
    );
    expect(count.valid).toBeGreaterThan(runs);
    expect(count.certain / count.valid).toBeGreaterThan(0.7);
  });

  it('leaves a line to checkLine that is nested deeper than it can tell, and only then', () => {
    const kinds: [string, string][] = [
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"a": ', '} ]'],
    ];
    for (const [open, close] of kinds) {
      const levels = open.split(/[[{]/).length - 1;
      for (let times = 1; times < 200; times++) {
        for (const [from, to] of [
          [times, times],
          [times, times - 1],
          [times, times + 1],
        ] as [number, number][]) {
          const nest = `${open.repeat(from)}"x"${close.repeat(to)}`;
          const line = Buffer.from(requestLine('a', { body: { model: 'm', x: 0 } }).replace('0', () => nest));
          const { outcomes, texts } = scan(whole(line));
          expect(outcomes).toEqual(check(line));
          if (from === to && times * levels < 60) expect(texts).toHaveLength(1);
          expectTextsCounted(texts);
        }
      }
    }
  });

  it('hashes every id as CustomIdHasher does, escaped or not', () => {
    const idArbitrary = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
      fc.string({ minLength: 1, maxLength: 300 }),
      fc.uuid(),
    );
    const escaped = (text: string): string =>
      JSON.stringify(text).replaceAll(
        /[\u0080-\uffff]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
    const jobArbitrary = fc.stringMatching(/^[0-9a-f]{32}$/);
    fc.assert(
      fc.property(fc.array(idArbitrary, { minLength: 1, maxLength: 20 }), jobArbitrary, (ids, jobId) => {
        const lines = ids.flatMap((id) => [
          requestLine(id),
          requestLine('ID').replace('"ID"', () => escaped(id)),
        ]);
        const ours = new CustomIdHasher(jobId);
        const seen: [string, number, number][] = [];
        const handlers: LineHandlers = {
          onSpan: (span) => {
            for (const { customId, hash0, hash1 } of span.requests()) seen.push([customId(), hash0, hash1]);
          },
          onLine: ({ bytes }) => {
            const verdict = checkLine(bytes!, OPENAI_RULES);
            if (!verdict.valid) throw new Error(verdict.message);
            ours.hashText(verdict.customId);
            seen.push([verdict.customId, ours.hash0, ours.hash1]);
          },
        };
        const scanner = new LineScanner(jobId, handlers, { rules: OPENAI_RULES });
        scanner.push(Buffer.from(lines.join('\n')));
        scanner.end();
        const wanted = ids.flatMap((id) => {
          ours.hash(Buffer.from(id));
          const entry = [id, ours.hash0, ours.hash1];
          return [entry, entry];
        });
        expect(seen).toEqual(wanted);
      }),
      { numRuns: propertyRuns(500) },
    );
  });
});

describe('LineScanner, fuzzed', () => {
  const LINES = propertyRuns(150_000, 15_000);
  /** A scanner keeps at most 512 pairs of endpoint and model, and mutation makes many: so many lines each gets. */
  const LINES_A_FILE = 1_500;
  /** Another one in every run; set it to repeat a failure. */
  const SEED = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 32));

  it(`agrees with checkLine on ${LINES} mutated lines`, () => {
    const random = seededRandom(SEED);
    const count = { lines: 0, valid: 0, certain: 0 };
    while (count.lines < LINES) {
      const file = joined(mutatedLines(random, LINES_A_FILE));
      const wanted = check(file);
      const sizes = Array.from({ length: 5 }, () => 1 + random(100_000));
      const { outcomes, texts } = scan(cut(file, sizes), { blockBytes: 4_096 + random(300_000) });
      if (!isDeepStrictEqual(outcomes, wanted)) {
        const at = wanted.lines.findIndex((line, index) => !isDeepStrictEqual(line, outcomes.lines[index]));
        const { offset, length } = wanted.lines[at] as { offset: number; length: number };
        const text = file.subarray(offset, offset + length).toString('latin1');
        expect(outcomes.lines[at], `FUZZ_SEED=${SEED}, in Latin-1: ${text}`).toEqual(wanted.lines[at]);
        expect(outcomes.blank, `FUZZ_SEED=${SEED}`).toBe(wanted.blank);
      }
      expectTextsCounted(texts, `FUZZ_SEED=${SEED}`);
      count.lines += wanted.lines.length;
      count.valid += wanted.lines.filter(({ valid }) => valid).length;
      count.certain += texts.length;
    }
    // Mutation must leave enough of both kinds, and the scanner must not take the easy way out.
    expect(count.valid / count.lines, `FUZZ_SEED=${SEED}`).toBeGreaterThan(0.2);
    expect(count.valid / count.lines, `FUZZ_SEED=${SEED}`).toBeLessThan(0.75);
    expect(count.certain / count.valid, `FUZZ_SEED=${SEED}`).toBeGreaterThan(0.75);
  }, 120_000);
});
