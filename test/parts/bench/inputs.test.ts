import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONTENT, type Content, GENERATOR_VERSION, generateLines } from '../../../bench/inputs/generate.ts';
import { type InputSpec, inputFile } from '../../../bench/inputs/input-file.ts';
import { checkLine } from '../../../src/core/requests/check-line.ts';
import { OPENAI_RULES } from '../../../src/providers/openai/rules.ts';

const CONTENTS = Object.keys(CONTENT) as Content[];

function firstLines(content: Content, count: number, seed?: string): string[] {
  const lines: string[] = [];
  for (const line of generateLines(content, seed)) if (lines.push(line) === count) break;
  return lines;
}

/** `count` lines, or fewer where they are long: 60 MB. */
const enough = (content: Content, count: number): number =>
  Math.min(count, Math.ceil(60_000_000 / CONTENT[content].lineBytes));

function digest(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
}

describe('generated lines', () => {
  it('are those of the generator version: a changed byte raises it', () => {
    const digests = Object.fromEntries(
      CONTENTS.map((content) => [content, digest(firstLines(content, enough(content, 100)))]),
    );
    expect({ version: GENERATOR_VERSION, ...digests }).toMatchInlineSnapshot(`
      {
        "a4k": "20e26618f5896b44",
        "b400": "224c5c11fa255002",
        "ids": "166905b9ffe13ed7",
        "models200": "d404131f5f7a0ae6",
        "multi": "66bf7fc7ddf28c5e",
        "tools": "580d50db7e534dae",
        "turns4": "034aa91d485c3b6d",
        "version": 1,
        "vision": "d78f51db2b7ca2f1",
      }
    `);
  });

  it.each(CONTENTS)('are the same from the same seed and others from another: %s', (content) => {
    expect(digest(firstLines(content, 10))).toEqual(digest(firstLines(content, 10)));
    expect(digest(firstLines(content, 10, 'x'))).toEqual(digest(firstLines(content, 10, 'x')));
    expect(digest(firstLines(content, 10, 'x'))).not.toEqual(digest(firstLines(content, 10, 'y')));
  });

  it.each(CONTENTS)('are valid requests with ids of their own, as long as stated: %s', (content) => {
    const count = enough(content, 2_000);
    const lines = firstLines(content, count);
    const verdicts = lines.map((line) => checkLine(Buffer.from(line), OPENAI_RULES));
    expect(verdicts.filter(({ valid }) => !valid)).toEqual([]);
    expect(new Set(verdicts.map(({ customId }) => customId)).size).toBe(lines.length);
    const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
    const { lineBytes } = CONTENT[content];
    // Of few lines the mean says less.
    const tolerance = count === 2_000 ? 0.05 : 0.5;
    expect(bytes / lines.length).toBeGreaterThan(lineBytes * (1 - tolerance));
    expect(bytes / lines.length).toBeLessThan(lineBytes * (1 + tolerance));
  });

  it.each(['a4k', 'b400', 'tools'] as const)('are written as json.dumps does by default: %s', (content) => {
    for (const line of firstLines(content, 20)) {
      expect(line).toMatch(/^[ -~]*$/);
      expect(line.length).toBeGreaterThan(JSON.stringify(JSON.parse(line)).length);
    }
  });

  it('of several languages are one half raw UTF-8 and one half escapes', () => {
    const lines = firstLines('multi', 2_000);
    const raw = lines.filter((line) => /[^ -~]/.test(line));
    const escaped = lines.filter((line) => /\\u[0-9a-f]{4}/.test(line));
    expect(raw.length + escaped.length).toBe(lines.length);
    expect(raw.length / lines.length).toBeCloseTo(0.5, 1);
    const bytesOf = (some: readonly string[]): number => Buffer.byteLength(some.join('\n'));
    expect(bytesOf(raw) / bytesOf(lines)).toBeCloseTo(0.5, 1);
    const texts = raw.map((line): string => JSON.parse(line).body.messages[0].content).join('');
    for (const script of [/\p{Script=Han}/u, /\p{Script=Hiragana}/u, /\p{Script=Cyrillic}/u]) {
      expect(texts).toMatch(script);
    }
    for (const script of [/\p{Script=Hangul}/u, /[éèà]/, /[äöüß]/, /[ñó]/, /\p{Emoji_Presentation}/u]) {
      expect(texts).toMatch(script);
    }
  });

  it('with tools have functions with parameters and a schema for the answer', () => {
    for (const line of firstLines('tools', 50)) {
      const { body } = JSON.parse(line);
      expect(body.tools.length).toBeGreaterThan(3);
      for (const { type, function: called } of body.tools) {
        expect(type).toBe('function');
        expect(called.parameters.type).toBe('object');
      }
      expect(body.response_format.type).toBe('json_schema');
      expect(body.response_format.json_schema.schema.required.length).toBeGreaterThan(0);
    }
  });
});

describe('an input file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-inputs-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const MEGABYTE: InputSpec = { name: 'some', content: 'a4k', size: { bytes: 1_000_000 } };

  it('holds whole lines and ends with the first one that reaches its size, give or take a few', () => {
    const { path, bytes, lines } = inputFile(MEGABYTE, { folder });
    const text = readFileSync(path, 'utf8');
    expect(text.endsWith('\n')).toBe(true);
    expect(text.split('\n').slice(0, -1)).toEqual(firstLines('a4k', lines));
    expect(text.length).toBe(bytes);
    expect(bytes).toBeGreaterThanOrEqual(1_000_000);
    expect(bytes).toBeLessThan(1_020_000);
  });

  it('holds as many lines as were asked for', () => {
    const { path, lines } = inputFile({ name: 'ids', content: 'ids', size: { lines: 1_234 } }, { folder });
    expect(lines).toBe(1_234);
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(1_235);
  });

  it('is generated once, and again if it was damaged', () => {
    let generated = 0;
    const options = { folder, onGenerate: () => generated++ };
    const first = inputFile(MEGABYTE, options);
    const bytes = readFileSync(first.path);
    expect(inputFile(MEGABYTE, options)).toEqual(first);
    expect(generated).toBe(1);
    truncateSync(first.path, 500_000);
    expect(inputFile(MEGABYTE, options)).toEqual(first);
    expect(generated).toBe(2);
    expect(readFileSync(first.path).equals(bytes)).toBe(true);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('of another size or seed is another file', () => {
    const paths = [
      inputFile(MEGABYTE, { folder }).path,
      inputFile({ ...MEGABYTE, size: { bytes: 1_000 } }, { folder }).path,
      inputFile(MEGABYTE, { folder, seed: 'x' }).path,
    ];
    expect(new Set(paths).size).toBe(3);
  });
});
