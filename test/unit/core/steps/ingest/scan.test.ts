import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Route } from '../../../../../src/contract/route.ts';
import { defaultSettings } from '../../../../../src/contract/settings.ts';
import { CustomIdHasher } from '../../../../../src/core/base/custom-id-hash.ts';
import { ObjectGoneError } from '../../../../../src/core/base/errors.ts';
import { workKeys } from '../../../../../src/core/files/keys.ts';
import { readManifest, renderedBytes } from '../../../../../src/core/files/manifest.ts';
import type { Plan } from '../../../../../src/core/files/plan.ts';
import { renderBatch } from '../../../../../src/core/files/render.ts';
import { readRunIndex } from '../../../../../src/core/files/run-file.ts';
import type { Job } from '../../../../../src/core/model/job.ts';
import { type BatchLimits, MAX_GROUPS, MAX_LINE_BYTES } from '../../../../../src/core/model/limits.ts';
import { triesOf } from '../../../../../src/core/model/tries.ts';
import type { ObjectStore } from '../../../../../src/core/ports/objects.ts';
import { checkLine, type ValidLine } from '../../../../../src/core/requests/check-line.ts';
import type { ScanDeps } from '../../../../../src/core/steps/ingest/scan-state.ts';
import { OPENAI_LIMITS } from '../../../../../src/providers/openai/limits.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { chunkSizesArbitrary, collectBytes, cut, pooled } from '../../../../support/bytes.ts';
import type { MemoryObjects } from '../../../../support/memory/objects.ts';
import { BUCKET, chopReads, memoryStore, putSource } from '../../../../support/memory-store.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';
import {
  bad,
  ENDPOINTS,
  fileArbitrary,
  layOut,
  limitsArbitrary,
  manyModels,
  type Spec,
} from '../../../../support/request-files.ts';
import { requestLine } from '../../../../support/request-lines.ts';
import { scanWhole } from '../../../../support/scans.ts';

const SETTINGS = defaultSettings();
const KEY = 'input/a.jsonl';
const JOB_ID = 'c0ffee00c0ffee00c0ffee00c0ffee00';

interface ScanOptions {
  limits?: Partial<BatchLimits>;
  route?: Partial<Route>;
  /** Sizes of the chunks in which the input comes. */
  sizes?: readonly number[];
  attempt?: string;
  /** Sizes of what the scan keeps. */
  scanSizes?: ScanDeps['sizes'];
}

/** Drops these bytes and scans them. */
async function scanFile(file: Uint8Array, options: ScanOptions = {}) {
  const objects = memoryStore();
  const source = await putSource(objects, KEY, file);
  const job = jobOver(source.versionId!, file.length, options.route);
  const { sizes } = options;
  const store: ObjectStore =
    sizes === undefined
      ? objects
      : chopReads(objects, async function* (stream) {
          yield* cut(await collectBytes(stream), sizes);
        });
  const limits = { ...OPENAI_LIMITS, ...options.limits };
  const plan = await scanWhole(
    {
      objects: store,
      layout: SETTINGS.layout,
      rules: OPENAI_RULES,
      limits,
      ...(options.scanSizes === undefined ? {} : { sizes: options.scanSizes }),
    },
    job,
    options.attempt ?? 'try-1',
  );
  return { objects, job, plan };
}

function jobOver(versionId: string, size: number, route: Partial<Route> = {}): Job {
  return {
    v: 1,
    jobId: JOB_ID,
    input: { bucket: BUCKET, key: KEY, versionId, etag: '"e"', lastModified: 0, size },
    source: { bucket: BUCKET, key: KEY, versionId },
    route: { ...SETTINGS.routes[0]!, ...route },
    state: 'ingesting',
    createdAt: 0,
    updatedAt: 0,
  };
}

/** What the batches of a plan hold, as OpenAI would get it. */
async function readBatches(objects: MemoryObjects, plan: Plan, hashMask = 0xffffffff) {
  const hasher = new CustomIdHasher(JOB_ID);
  const batches = [];
  for (const batch of plan.batches) {
    const manifest = await readManifest(objects, batch.manifestKey);
    const rendered = await collectBytes(renderBatch(objects, manifest));
    expect(rendered.length).toBe(batch.bytes);
    expect(renderedBytes(manifest.entries)).toBe(batch.bytes);
    expect(rendered.at(-1)).toBe(0x0a);
    const texts = rendered.toString().slice(0, -1).split('\n');
    expect(texts).toHaveLength(batch.requests);
    expect(manifest.entries.count).toBe(batch.requests);
    const lines = texts.map((text, index) => {
      const { line, tried, hash0, hash1 } = manifest.entries.at(index);
      hasher.hashText(JSON.parse(text).custom_id);
      const masked = [(hasher.hash0 & hashMask) >>> 0, ((hasher.hash1 & hashMask) | 1) >>> 0];
      expect([hash0, hash1, triesOf(tried)]).toEqual([...masked, 0]);
      return { line, text };
    });
    // Results are joined by hash.
    const hashes = lines.map((_, index) => {
      const { hash0, hash1 } = manifest.entries.at(index);
      return `${hash0} ${hash1}`;
    });
    expect(new Set(hashes).size).toBe(hashes.length);
    const checked = texts.map((text) => checkLine(Buffer.from(text), OPENAI_RULES) as ValidLine);
    for (const count of ['textBytes', 'dataUrlBytes'] as const)
      expect(batch[count]).toBe(checked.reduce((sum, request) => sum + request[count], 0));
    const { batchId, endpoint, model } = batch;
    batches.push({ batchId, endpoint, model, lines, source: manifest.source });
  }
  return batches;
}

interface InvalidLine {
  line: number;
  byte?: number;
  custom_id: string | null;
  tries: number;
  error: { code: string; param: string | null; message: string };
  /** The line as it was dropped; `undefined` if it cannot be given back. */
  original: string | undefined;
}

/** The lines that a plan calls invalid, with their originals as finalize would read them. */
async function readInvalid({
  objects,
  plan,
}: {
  objects: MemoryObjects;
  plan: Plan;
}): Promise<InvalidLine[]> {
  const invalid: InvalidLine[] = [];
  for (const run of plan.invalidRuns) {
    const text = Buffer.from((await objects.get(run.dataKey))!).toString();
    const parsed = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    let source: { bucket: string; key: string } | undefined;
    let last = 0;
    for await (const piece of readRunIndex(objects, BUCKET, run)) {
      if ('source' in piece) source = piece.source;
      else
        for (const { line, original } of piece.records) {
          const stated = parsed.shift();
          expect(stated.line).toBe(line);
          expect(line).toBeGreaterThan(last);
          last = line;
          const { offset, length } = original;
          const bytes =
            length < 0 ? undefined : await collectBytes(await objects.read(source!, offset, offset + length));
          invalid.push({ ...stated, original: bytes?.toString('latin1') });
        }
    }
    expect(parsed).toEqual([]);
  }
  return invalid.sort((one, other) => one.line - other.line);
}

/** The run of the lines that were invalid by themselves. */
const runText = async (objects: MemoryObjects, plan: Plan): Promise<string> =>
  Buffer.from((await objects.get(plan.invalidRuns[0]!.dataKey))!).toString();

/** Checks that a plan says of a file what `layOut` says. */
async function expectPlan(
  { objects, plan }: { objects: MemoryObjects; plan: Plan },
  { good, invalid }: Pick<ReturnType<typeof layOut>, 'good' | 'invalid'>,
  hashMask?: number,
): Promise<void> {
  expect(plan.requests).toBe(good.length + invalid.length);
  const codes: Record<string, number> = {};
  for (const { code } of invalid) codes[code] = (codes[code] ?? 0) + 1;
  const found = await readInvalid({ objects, plan });
  expect(found.map(({ line, error, original }) => ({ line, code: error.code, original }))).toEqual(
    invalid.map(({ line, code, original }) => ({ line, code, original })),
  );
  if (good.length === 0) {
    expect(plan.rejection).toBeDefined();
    expect(plan).toMatchObject({ batches: [], invalid: plan.requests });
    return;
  }
  expect(plan.rejection).toBeUndefined();
  expect(plan.invalid).toBe(invalid.length);
  expect(plan.invalidByCode).toEqual(codes);
  const byCode = Map.groupBy(invalid, ({ code }) => code);
  for (const [code, lines] of byCode) {
    const shown = plan.firstInvalid?.[code]?.map(({ line }) => line);
    expect(shown, code).toEqual(lines.map(({ line }) => line).slice(0, 3));
  }
  expect(plan.batches.reduce((sum, { requests }) => sum + requests, plan.invalid)).toBe(plan.requests);
  const batches = await readBatches(objects, plan, hashMask);
  expect(batches.map(({ batchId }) => batchId)).toEqual(
    batches.map((_, index) => `0-${String(index).padStart(5, '0')}`),
  );
  const sent = batches.flatMap(({ model, endpoint, lines }) =>
    lines.map((line) => ({ ...line, model, endpoint })),
  );
  expect(sent.sort((a, b) => a.line - b.line)).toEqual(
    good.map(({ line, text, model, endpoint }) => ({ line, text, model, endpoint })),
  );
  for (const { lines } of batches)
    expect(lines.map(({ line }) => line)).toEqual(lines.map(({ line }) => line).sort((a, b) => a - b));
}

describe('scan', () => {
  it('gives every line of any file exactly one place: a batch that renders it, or the invalid lines', async () => {
    await fc.assert(
      fc.asyncProperty(
        fileArbitrary,
        limitsArbitrary,
        chunkSizesArbitrary(200),
        async (expected, limits, sizes) => {
          const result = await scanFile(expected.file, { limits, sizes });
          await expectPlan(result, expected);
          const invalid = await readInvalid(result);
          expect(invalid.map(({ byte }) => byte)).toEqual(expected.invalid.map(({ byte }) => byte));
          for (const { source } of await readBatches(result.objects, result.plan))
            expect(source).toEqual(result.job.source);
        },
      ),
      { numRuns: propertyRuns(300) },
    );
  });

  it('makes of a compressed file the same batches and invalid lines as of the plain one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fileArbitrary,
        limitsArbitrary,
        chunkSizesArbitrary(200),
        async (expected, { bytes: _, ...limits }, sizes) => {
          // By bytes, only a file whose size is known is cut evenly.
          const plain = await scanFile(expected.file, { limits });
          const packed = await scanFile(gzipSync(expected.file), { limits, sizes });
          await expectPlan(packed, expected);
          const strip = ({ batches, invalidRuns, firstInvalid = {}, ...rest }: Plan) => ({
            ...rest,
            // Where a line begins in an unpacked file means nothing to a person.
            firstInvalid: Object.values(firstInvalid).map((shown) => shown.map(({ byte, ...line }) => line)),
            batches: batches.map(({ manifestKey, ...batch }) => batch),
            invalidLines: invalidRuns.map(({ lines }) => lines),
          });
          expect(strip(packed.plan)).toEqual(strip(plain.plan));
        },
      ),
      { numRuns: propertyRuns(200) },
    );
  });

  it('keeps every limit in every batch of more than one request', async () => {
    await fc.assert(
      fc.asyncProperty(fileArbitrary, limitsArbitrary, async ({ file }, limits) => {
        const { objects, plan } = await scanFile(file, { limits });
        for (const { lines } of await readBatches(objects, plan)) {
          if (lines.length === 1) continue;
          expect(lines.length).toBeLessThanOrEqual(limits.requests ?? Number.POSITIVE_INFINITY);
          const bytes = lines.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 1, 0);
          expect(bytes).toBeLessThanOrEqual(limits.bytes ?? Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('is a pure function of the file: a second attempt writes the same bytes to keys of its own', async () => {
    const { file } = layOut([...manyModels(3, 40), bad('x', 'invalid_json_line')], ['\n']);
    for (const input of [file, gzipSync(file)]) {
      const first = await scanFile(input, { attempt: 'aaa' });
      const second = await scanFile(input, { attempt: 'bbb', sizes: [97] });
      expect(JSON.stringify(second.plan)).toBe(JSON.stringify(first.plan).replaceAll('aaa', 'bbb'));
      const ofAttempt = ({ objects }: typeof first, name: string) =>
        objects.keys().filter((key) => key.includes(`/${name}`));
      expect(ofAttempt(second, 'bbb')).toEqual(
        ofAttempt(first, 'aaa').map((key) => key.replace('aaa', 'bbb')),
      );
    }
  });

  it('tells ids that only share their hash from duplicates, and keeps them in different batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        fileArbitrary,
        limitsArbitrary,
        fc.constantFrom(0, 1, 3, 15),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        async (expected, limits, hashMask, hashesOfARound, maxIdsInMemory, packed) => {
          const file = packed ? gzipSync(expected.file) : expected.file;
          const scanSizes = { hashMask, hashesOfARound, maxIdsInMemory };
          await expectPlan(await scanFile(file, { limits, scanSizes }), expected, hashMask);
        },
      ),
      { numRuns: propertyRuns(300) },
    );
  });

  it('closes the largest batch early where many groups fill up together', async () => {
    await fc.assert(
      fc.asyncProperty(fileArbitrary, fc.integer({ min: 1, max: 20 }), async (expected, maxOpenRequests) => {
        await expectPlan(await scanFile(expected.file, { scanSizes: { maxOpenRequests } }), expected);
      }),
      { numRuns: propertyRuns(100) },
    );
  });

  it('takes out the later ones of two thousand equal ids, over many batches', async () => {
    const specs = Array.from({ length: 2_000 }, (_, index): Spec => {
      const id = index % 3 === 0 ? 'same' : `id-${index}`;
      return { text: requestLine(id), kind: 'good', id, model: 'gpt-6-luna', endpoint: ENDPOINTS[0] };
    });
    const expected = layOut(specs, ['\n']);
    const result = await scanFile(expected.file, { limits: { requests: 100 } });
    await expectPlan(result, expected);
    expect(result.plan).toMatchObject({ invalidByCode: { duplicate_custom_id: 666 } });
    expect(result.plan.batches).toHaveLength(20);
  });

  it('leaves out batches that lose all their requests', async () => {
    const specs = ['a', 'b', 'a', 'b', 'c'].map((id): Spec => {
      return { text: requestLine(id), kind: 'good', id, model: 'gpt-6-luna', endpoint: ENDPOINTS[0] };
    });
    const expected = layOut(specs, ['\n']);
    const result = await scanFile(expected.file, { limits: { requests: 2 } });
    await expectPlan(result, expected);
    expect(result.plan.batches.map(({ requests }) => requests)).toEqual([2, 1]);
  });

  describe('accepts', () => {
    const [one, two] = [requestLine('a'), requestLine('b')];
    it.each<[string, string, number]>([
      ['CRLF', `${one}\r\n${two}\r\n`, 2],
      ['a missing last newline', `${one}\n${two}`, 2],
      ['blank lines', `\n\n${one}\n \n\r\n${two}\n\n`, 2],
      ['blanks around lines', `  ${one}\t\n\t${two}  \n`, 2],
      ['a byte order mark', `\ufeff${one}\n${two}\n`, 2],
      ['one line', one, 1],
      ['raw U+2028 in a line', `${requestLine('\u2028')}\n${two}`, 2],
    ])('%s', async (_what, text, requests) => {
      const { objects, plan } = await scanFile(Buffer.from(text));
      expect(plan).toMatchObject({ requests, invalid: 0 });
      const [batch] = await readBatches(objects, plan);
      expect(batch!.lines.every(({ text }) => text === text.trim())).toBe(true);
    });
  });

  describe('refuses the whole file', () => {
    it.each<[string, string | Buffer, string, number]>([
      ['that is empty', '', 'empty_file', 0],
      ['of blank lines', '\n \r\n\t\n', 'empty_file', 0],
      ['of a byte order mark', '\ufeff', 'empty_file', 0],
      ['that is empty once unpacked', gzipSync(''), 'empty_file', 0],
      ['that is text', 'hello\nworld\n', 'not_json_lines', 2],
      [
        'that is one pretty-printed object',
        JSON.stringify(JSON.parse(requestLine('a')), null, 2),
        'not_json_lines',
        14,
      ],
      ['that is one array', `[${requestLine('a')},\n${requestLine('b')}]`, 'not_json_lines', 2],
      ['that is a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'not_json_lines', 3],
      ['that is UTF-16', Buffer.from(`\ufeff${requestLine('a')}\n`, 'utf16le'), 'not_json_lines', 2],
      ['in which no line is a request', '{}\n[]\n', 'no_valid_lines', 2],
    ])('%s', async (_what, file, code, requests) => {
      const { plan, objects } = await scanFile(Buffer.from(file));
      expect(plan).toMatchObject({ rejection: { code }, requests, invalid: requests, batches: [] });
      expect(await readInvalid({ objects, plan })).toHaveLength(requests);
    });

    it('that has one bad line, where the route rejects such files, and counts the good ones by a code of their own', async () => {
      const file = Buffer.from(`${requestLine('a')}\nx\n${requestLine('b')}\n`);
      const { plan, objects } = await scanFile(file, { route: { onInvalid: 'reject' } });
      expect(plan).toMatchObject({
        rejection: { code: 'invalid_lines' },
        requests: 3,
        invalid: 3,
        invalidByCode: { invalid_json_line: 1, file_rejected: 2 },
        batches: [],
      });
      expect(await readInvalid({ objects, plan })).toMatchObject([{ line: 2 }]);
    });

    it('but not where the route rejects files with bad lines and there is none', async () => {
      const { plan } = await scanFile(Buffer.from(requestLine('a')), { route: { onInvalid: 'reject' } });
      expect(plan.rejection).toBeUndefined();
    });

    it('that is damaged gzip, and leaves no half-written spool', async () => {
      const packed = gzipSync(layOut(manyModels(1, 500), ['\n']).file);
      const { plan, objects } = await scanFile(packed.subarray(0, -12));
      expect(plan).toMatchObject({ rejection: { code: 'gzip_corrupt' }, batches: [] });
      expect(plan.invalidRuns).toEqual([]);
      expect(objects.keys().filter((key) => key.endsWith('spool') || key.includes('invalid'))).toEqual([]);
    });

    it('that is a gzip bomb', async () => {
      const { plan } = await scanFile(gzipSync(Buffer.alloc(60_000_000)));
      expect(plan).toMatchObject({ rejection: { code: 'gzip_too_large' }, requests: 0, batches: [] });
    });

    it('that mixes more pairs of model and endpoint than are filled at a time, and not one with as many', async () => {
      for (const pack of [(file: Buffer) => file, gzipSync]) {
        const most = await scanFile(pack(layOut(manyModels(MAX_GROUPS, MAX_GROUPS), ['\n']).file));
        expect(most.plan.rejection).toBeUndefined();
        expect(most.plan.batches).toHaveLength(MAX_GROUPS);
        const { plan } = await scanFile(
          pack(layOut(manyModels(MAX_GROUPS + 1, MAX_GROUPS + 1), ['\n']).file),
        );
        expect(plan).toMatchObject({ rejection: { code: 'too_many_models' }, batches: [] });
      }
    });
  });

  describe('invalid lines', () => {
    it('never repeat what is in a body', async () => {
      const SECRET = 'SECRET-sk-proj-1234';
      const lines = [
        requestLine('a', { body: SECRET }),
        requestLine('b', { body: { messages: SECRET } }),
        requestLine('c', { body: { model: [SECRET] } }),
        requestLine('d', { method: 'PUT', body: { model: 'm', messages: SECRET } }),
        requestLine('e', { body: { model: 'm', stream: true, messages: SECRET } }),
        requestLine('f', { body: { model: 'm', messages: SECRET } }),
        requestLine('f', { body: { model: 'm', messages: SECRET } }),
        `${requestLine('g', { body: { messages: SECRET } })}}`,
        SECRET,
      ];
      const { objects, plan } = await scanFile(Buffer.from(lines.join('\n')));
      expect(plan).toMatchObject({ requests: 9, invalid: 8 });
      const text = await runText(objects, plan);
      expect(text).not.toContain('SECRET');
      expect(JSON.stringify(plan)).not.toContain('SECRET');
    });

    it('name the line where a custom_id occurred first, and only valid requests count', async () => {
      const lines = [
        requestLine('a', { method: 'GET' }),
        requestLine('a'),
        requestLine('b'),
        requestLine('a'),
        requestLine('a'),
      ];
      const { objects, plan } = await scanFile(Buffer.from(lines.join('\n')));
      const invalid = await readInvalid({ objects, plan });
      expect(invalid.map(({ line, error }) => [line, error.code])).toEqual([
        [1, 'invalid_value'],
        [4, 'duplicate_custom_id'],
        [5, 'duplicate_custom_id'],
      ]);
      for (const { error } of invalid.slice(1)) expect(error.message).toContain('line 2');
      expect(invalid.map(({ custom_id }) => custom_id)).toEqual(['a', 'a', 'a']);
    });

    it('include a custom_id that occurred before in other escapes', async () => {
      const escaped = requestLine('XX').replace('XX', '\\u0061\\/\\u00e9');
      const file = `${requestLine('a/é')}\n${escaped}\n`;
      const { plan } = await scanFile(Buffer.from(file));
      expect(plan).toMatchObject({ requests: 2, invalidByCode: { duplicate_custom_id: 1 } });
    });

    it('know no byte offset in a compressed file: nobody could find it there', async () => {
      const file = Buffer.from(`${requestLine('a')}\nx\n`);
      const [invalid] = await readInvalid(await scanFile(gzipSync(file)));
      expect(invalid).toMatchObject({ line: 2, original: 'x' });
      expect(invalid).not.toHaveProperty('byte');
    });

    it('include one that is too long, with its number and offset, and the file around it is run', async () => {
      const before = requestLine('a');
      const file = Buffer.concat([
        Buffer.from(`${before}\n`),
        Buffer.alloc(MAX_LINE_BYTES + 1, 0x61),
        Buffer.from(`\n${requestLine('b')}\n`),
      ]);
      for (const input of [file, gzipSync(file, { level: 1 })]) {
        const { objects, plan } = await scanFile(input);
        expect(plan).toMatchObject({ requests: 3, invalid: 1, invalidByCode: { line_too_long: 1 } });
        const text = await runText(objects, plan);
        expect(JSON.parse(text)).toMatchObject({ line: 2, error: { code: 'line_too_long' } });
        if (input === file) expect(JSON.parse(text)).toMatchObject({ byte: before.length + 1 });
        const [batch] = await readBatches(objects, plan);
        expect(batch!.lines.map(({ line }) => line)).toEqual([1, 3]);
      }
    });

    it('that are too long can be given back from a plain file', async () => {
      const file = Buffer.concat([
        Buffer.from(`${requestLine('a')}\n`),
        Buffer.alloc(MAX_LINE_BYTES + 1, 0x61),
      ]);
      const [invalid] = await readInvalid(await scanFile(file));
      expect(invalid!.original!.length).toBe(MAX_LINE_BYTES + 1);
    });
  });

  describe('a plain file in which models take turns', () => {
    it('is written out once where its ranges would cost more to read: 3,000 lines over 5 models', async () => {
      const expected = layOut([...manyModels(5, 3_000, 6_500), bad('x', 'invalid_json_line')], ['\n']);
      const result = await scanFile(expected.file);
      await expectPlan(result, expected);
      const batches = await readBatches(result.objects, result.plan);
      expect(batches).toHaveLength(5);
      for (const { source } of batches) {
        expect(source.key.startsWith(workKeys(SETTINGS.layout, JOB_ID).spool('try-1'))).toBe(false);
        expect(source.key).toMatch(/\/spool$/);
        expect(source.versionId).toBeUndefined();
      }
      const spool = await result.objects.get(batches[0]!.source.key);
      expect(spool!.length).toBe(expected.good.reduce((sum, { text }) => sum + text.length + 1, 2));
      const [invalid] = await readInvalid(result);
      expect(invalid).toMatchObject({ line: 3_001, byte: expected.invalid[0]!.byte, original: 'x' });
    });

    it('is read in long ranges once it is written out', async () => {
      const expected = layOut(manyModels(5, 3_000, 6_500), ['\n']);
      const { objects, plan } = await scanFile(expected.file);
      for (const { manifestKey, bytes } of plan.batches) {
        const { entries } = await readManifest(objects, manifestKey);
        const last = entries.count - 1;
        expect(entries.offset(last) + entries.length(last) + 1 - entries.offset(0)).toBe(bytes);
      }
    });

    it('is not written out where it is small, nor where there are two models', async () => {
      for (const specs of [manyModels(5, 1_000, 100), manyModels(2, 3_000, 6_500)]) {
        const { objects, plan } = await scanFile(layOut(specs, ['\n']).file);
        for (const { source } of await readBatches(objects, plan)) expect(source.key).toBe(KEY);
      }
    });

    it.each([
      ['is held back longer than memory allows', 50_000],
      ['fills many batches', 700],
    ])('comes out whole where it %s: 40 MB over 4 models, packed', async (_what, requests) => {
      const expected = layOut(manyModels(4, 8_000, 5_000), ['\n']);
      const result = await scanFile(gzipSync(expected.file, { level: 1 }), { limits: { requests } });
      const batches = await readBatches(result.objects, result.plan);
      const sent = batches.flatMap(({ lines }) => lines);
      expect(sent).toHaveLength(8_000);
      expect(new Set(sent.map(({ line }) => line)).size).toBe(8_000);
      for (const { line, text } of sent)
        if (text !== expected.good[line - 1]!.text) throw new Error(`line ${line} differs`);
      for (const { lines } of batches) expect(lines.length).toBeLessThanOrEqual(requests);
    });
  });

  it('keeps nothing of a chunk that is a Buffer of a pool, which is filled anew for the next', async () => {
    const expected = layOut([...manyModels(5, 3_000, 6_500), bad('x', 'invalid_json_line')], ['\n']);
    const objects = memoryStore();
    const { versionId } = await putSource(objects, KEY, expected.file);
    const store = chopReads(objects, async function* (stream) {
      yield* pooled(cut(await collectBytes(stream), [100_000]));
    });
    const deps = {
      objects: store,
      layout: SETTINGS.layout,
      rules: OPENAI_RULES,
      limits: OPENAI_RULES.limits,
    };
    const plan = await scanWhole(deps, jobOver(versionId!, expected.file.length), 'a');
    await expectPlan({ objects, plan }, expected);
  });

  it('fails with ObjectGoneError when the version is gone, or goes while it is read', async () => {
    const objects = memoryStore();
    const job = jobOver('v-none', 10);
    const deps = { objects, layout: SETTINGS.layout, rules: OPENAI_RULES, limits: OPENAI_RULES.limits };
    await expect(scanWhole(deps, job, 'a')).rejects.toBeInstanceOf(ObjectGoneError);
    const file = layOut(manyModels(2, 50), ['\n']).file;
    for (const body of [file, gzipSync(file)]) {
      const { versionId } = await putSource(objects, KEY, body);
      const vanishing = chopReads(objects, async function* (stream) {
        const bytes = await collectBytes(stream);
        if (bytes.length <= 2) yield bytes;
        else {
          yield bytes.subarray(0, 100);
          throw new ObjectGoneError('gone while it was read');
        }
      });
      const scanning = scanWhole({ ...deps, objects: vanishing }, jobOver(versionId!, body.length), 'a');
      await expect(scanning).rejects.toThrow('gone while it was read');
      expect(objects.keys().filter((key) => key.endsWith('/spool') || key.includes('invalid'))).toEqual([]);
    }
  });
});
