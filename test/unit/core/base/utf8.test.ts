/** Result lines that are no UTF-8, and what becomes of them in output files. */
import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import { asUtf8 } from '../../../../src/core/base/utf8.ts';
import { chatLine, type Pipeline, startPipeline } from '../../../support/pipeline.ts';
import { answerWith } from '../../../support/result-lines.ts';

const KEY = 'input/a.jsonl';

/** Bytes that end no character, begin none, encode half of a surrogate pair, or are cut in the middle. */
const BROKEN = [
  [0xff, 0xfe],
  [0x80],
  [0xed, 0xa0, 0x80],
  [0xc0, 0xaf],
  [0xf0, 0x9f, 0x98],
  [0xf5, 0x80, 0x80, 0x80],
].map((bytes) => Buffer.from(bytes));

describe('text that is no UTF-8', () => {
  test('becomes UTF-8 with the same JSON in it, and what is valid stays the same bytes', () => {
    const pieces = fc.oneof(
      fc
        .string({ unit: 'binary' })
        .map((text) => Buffer.from(JSON.stringify(text.toWellFormed()).slice(1, -1))),
      fc.constantFrom(...BROKEN),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
        const line = Buffer.concat([
          Buffer.from('{"custom_id":"a","text":"'),
          ...parts,
          Buffer.from('","n":1}'),
        ]);
        const text = asUtf8(line);
        expect(isUtf8(text)).toBe(true);
        expect(text === line).toBe(isUtf8(line));
        expect(Buffer.from(text).includes('\n')).toBe(false);
        const parsed = JSON.parse(Buffer.from(text).toString('utf8')) as object;
        expect(parsed).toEqual(JSON.parse(line.toString('utf8')));
        expect(parsed).toMatchObject({ custom_id: 'a', n: 1 });
      }),
    );
  });
});

describe('a result line that is no UTF-8', () => {
  let pipeline: Pipeline;
  afterEach(() => pipeline.stop());

  /** A line around a text, whose bytes are as given. */
  function lineOf(id: string, status: number, content: Buffer): Buffer {
    const body =
      status === 200
        ? {
            choices: [{ message: { content: '@' }, finish_reason: 'stop' }],
            usage: { prompt_tokens: 5, completion_tokens: 5 },
          }
        : { error: { message: '@', code: 'invalid_value' } };
    const line = JSON.stringify({
      id: 'x',
      custom_id: id,
      response: { status_code: status, body },
      error: null,
    });
    const [before, after] = line.split('@') as [string, string];
    return Buffer.concat([Buffer.from(before), content, Buffer.from(after)]);
  }

  test('leaves every file readable: its request keeps its one outcome, and the receipt counts it', async () => {
    pipeline = await startPipeline({
      settings: settingsSchema.parse({
        routes: [{ name: 'r', prefix: 'input/', tiers: ['batch'], budget: 'unlimited' }],
      }),
    });
    const long = Buffer.alloc(5_000, 'x');
    const broken = BROKEN.map((bytes, index) =>
      // Of a long line, only the outline is read.
      Buffer.concat([
        Buffer.from('caf'),
        bytes,
        index % 2 === 0 ? long : Buffer.from('../../../core/results'),
      ]),
    );
    const ids = broken.map((_, index) => `answer-${index}`);
    answerWith(pipeline, {
      ...Object.fromEntries(ids.map((id, index) => [id, lineOf(id, 200, broken[index]!)])),
      refused: lineOf('refused', 400, broken[0]!),
    });
    await pipeline.drop(KEY, [...ids, 'refused', 'whole'].map((id) => chatLine(id)).join('\n'));
    await pipeline.run();
    expect(pipeline.failures).toEqual([]);
    const receipt = await pipeline.receipt(KEY);
    expect(receipt).toMatchObject({
      counts: { succeeded: ids.length + 1, failed: 1 },
      repairedLines: ids.length + 1,
      strayLines: 0,
      possiblyBilledTwice: {},
      usage: { inputTokens: expect.any(Number) },
    });
    for (const name of ['output', 'errors'] as const)
      expect(isUtf8((await pipeline.deps.objects.get(receipt.files[name]!))!), name).toBe(true);
    const output = await pipeline.output(KEY);
    expect(output.map(({ custom_id }) => custom_id)).toEqual([...ids, 'whole']);
    for (const [index, { response }] of output.slice(0, -1).entries())
      expect(response.body.choices[0].message.content).toBe(broken[index]!.toString('utf8'));
    expect(await pipeline.errors(KEY)).toMatchObject([{ custom_id: 'refused', tries: 1 }]);
    // The bytes as they came are where they were fetched to.
    const kept = pipeline.deps.objects.keys().filter((key) => key.includes('/fetched/'));
    const fetched = await Promise.all(kept.map((key) => pipeline.deps.objects.get(key)));
    for (const bytes of broken) expect(fetched.some((file) => Buffer.from(file!).includes(bytes))).toBe(true);
  });

  test('of a call in standard leaves every file readable, too', async () => {
    const body = Buffer.concat([
      Buffer.from('{"choices":[{"message":{"content":"caf'),
      BROKEN[0]!,
      Buffer.from('"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":5}}'),
    ]);
    pipeline = await startPipeline({
      settings: settingsSchema.parse({
        routes: [{ name: 'r', prefix: 'input/', tiers: ['standard'], budget: 'unlimited' }],
      }),
      emulator: {
        faults: [
          {
            match: { model: '^gpt-6.1-terra$' },
            effect: { kind: 'line.lines', lines: [{ base64: body.toString('base64') }] },
          },
        ] as never,
      },
    });
    await pipeline.drop(KEY, [chatLine('broken', { model: 'gpt-6.1-terra' }), chatLine('whole')].join('\n'));
    await pipeline.run();
    const receipt = await pipeline.receipt(KEY);
    expect(receipt).toMatchObject({ counts: { succeeded: 2 }, possiblyBilledTwice: {} });
    expect(isUtf8((await pipeline.deps.objects.get(receipt.files.output!))!)).toBe(true);
    const [broken] = await pipeline.output(KEY);
    expect(broken.response.body.choices[0].message.content).toBe('caf\ufffd\ufffd');
  });

  test('whose id is damaged belongs to no request: its request is missing, and tried again', async () => {
    pipeline = await startPipeline();
    answerWith(pipeline, {
      a: Buffer.from(
        lineOf('a', 200, Buffer.from('b')).toString('latin1').replace('"a"', '"\xe4"'),
        'latin1',
      ),
    });
    await pipeline.drop(KEY, ['a', 'b'].map((id) => chatLine(id)).join('\n'));
    await pipeline.run();
    expect(await pipeline.receipt(KEY)).toMatchObject({
      counts: { succeeded: 1, failed: 1 },
      errorsByCode: { missing_from_results: 1 },
      possiblyBilledTwice: { missing_from_results: 1 },
      strayLines: 2,
    });
    for (const name of ['output', 'errors'] as const)
      expect(isUtf8((await pipeline.deps.objects.get((await pipeline.receipt(KEY)).files[name]!))!)).toBe(
        true,
      );
  });
});
