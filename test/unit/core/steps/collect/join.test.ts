import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { CustomIdHasher } from '../../../../../src/core/base/custom-id-hash.ts';
import { IncompleteDownloadError } from '../../../../../src/core/base/errors.ts';
import { ManifestEntries } from '../../../../../src/core/files/manifest.ts';
import type { Asked } from '../../../../../src/core/model/verdict.ts';
import { Join } from '../../../../../src/core/steps/collect/join.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { usageOf } from '../../../../../src/providers/openai/usage.ts';
import { classify } from '../../../../../src/providers/openai/verdict.ts';
import { chunkSizesArbitrary, cut, pooled, streamOf } from '../../../../support/bytes.ts';
import { MemoryScratch } from '../../../../support/memory/scratch.ts';
import { memoryStore, putSource } from '../../../../support/memory-store.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';
import { RUN_SOURCE } from '../../../../support/runs.ts';

const JOB_ID = 'c0ffee00c0ffee00c0ffee00c0ffee00';

let objects = memoryStore();
let files = 0;
beforeEach(() => {
  objects = memoryStore();
});

/** A batch of requests with these ids, in this order. */
async function joinOf(
  ids: readonly string[],
  roomBytes?: number,
  onResult: (body: Record<string, unknown>) => void = () => {},
  asked: Asked = { endpoint: '/v1/responses' },
): Promise<Join> {
  const entries = new ManifestEntries();
  const hasher = new CustomIdHasher(JOB_ID);
  for (const [index, id] of ids.entries()) {
    hasher.hashText(id);
    entries.push({
      line: index + 1,
      offset: index * 100,
      length: 99,
      tried: 0,
      hash0: hasher.hash0,
      hash1: hasher.hash1,
    });
  }
  const scratch = await new MemoryScratch(roomBytes).open();
  return new Join(
    { source: RUN_SOURCE, entries },
    JOB_ID,
    { scratch, objects },
    { rules: OPENAI_RULES.answers, askedOf: () => asked, onResult: (_index, body) => onResult(body) },
  );
}

const answer = (id: string, tokens = 1): string =>
  JSON.stringify({
    id: 'batch_req_1',
    custom_id: id,
    response: { status_code: 200, request_id: 'r', body: { output: [{}], usage: { input_tokens: tokens } } },
    error: null,
  });
const failure = (id: string, status: number): string =>
  JSON.stringify({ custom_id: id, response: { status_code: status, body: {} }, error: null });

async function add(
  join: Join,
  text: string,
  expected = Buffer.byteLength(text),
  sizes: readonly number[] = [64],
): Promise<void> {
  const bytes = Buffer.from(text);
  const source = await putSource(objects, `work/file-${files++}`, bytes);
  await join.addFile('result file file-1', streamOf(cut(bytes, sizes)), expected, source);
}

const lineOf = async (join: Join, index: number): Promise<string> =>
  Buffer.from(await join.line(index)).toString();

describe('Join', () => {
  it('judges a long line by its outline as it would by the whole of it', async () => {
    const long = 'x'.repeat(3_000);
    const textArbitrary = fc.constantFrom('', ' ', 'a', long, `${long} "quoted"`);
    const errorArbitrary = fc.constantFrom(
      null,
      {},
      '',
      long,
      { code: '', message: long },
      { message: long },
      { code: 503 },
    );
    const bodyArbitrary = fc.record(
      {
        choices: fc.array(
          fc.record(
            {
              message: fc.oneof(
                fc.constant(null),
                fc.record(
                  { content: fc.oneof(textArbitrary, fc.constant(null)), refusal: textArbitrary },
                  { requiredKeys: [] },
                ),
              ),
              finish_reason: fc.constantFrom('stop', 'length', 'content_filter', 'error', null),
            },
            { requiredKeys: [] },
          ),
          { maxLength: 2 },
        ),
        error: errorArbitrary,
        output_text: textArbitrary,
        data: fc.array(fc.record({ embedding: fc.constantFrom([1], [], long, '') }), { maxLength: 2 }),
        padding: fc.constant(long),
      },
      { requiredKeys: ['padding'] },
    );
    await fc.assert(
      fc.asyncProperty(bodyArbitrary, errorArbitrary, async (body, error) => {
        const line = { custom_id: 'a', response: { status_code: 200, body }, error };
        const join = await joinOf(['a'], undefined, undefined, {});
        await add(join, JSON.stringify(line));
        expect(join.verdict(0)).toEqual(classify(line, {}));
      }),
      { numRuns: propertyRuns(400) },
    );
  });

  it('gives each request its own line, whatever the order, the files, the chunks and the room on disk', async () => {
    const idArbitrary = fc.string({ unit: 'binary', minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(idArbitrary, { maxLength: 25 }).chain((ids) =>
          fc.record({
            ids: fc.constant(ids),
            order: fc.shuffledSubarray(ids),
            statuses: fc.array(fc.constantFrom(200, 400, 500, 0), {
              minLength: ids.length,
              maxLength: ids.length,
            }),
          }),
        ),
        chunkSizesArbitrary(120),
        fc.boolean(),
        fc.nat({ max: 2_000 }),
        async ({ ids, order, statuses }, sizes, endsWithLineFeed, roomBytes) => {
          const textOf = (id: string): string => {
            const status = statuses[ids.indexOf(id)]!;
            return status === 200 ? answer(id) : failure(id, status);
          };
          const join = await joinOf(ids, roomBytes);
          const isAnswer = (id: string): boolean => statuses[ids.indexOf(id)] === 200;
          for (const part of [order.filter(isAnswer), order.filter((id) => !isAnswer(id))]) {
            const text = part.map(textOf).join('\n') + (endsWithLineFeed && part.length > 0 ? '\n' : '');
            await add(join, text, Buffer.byteLength(text), sizes);
          }
          for (const [index, id] of ids.entries()) {
            if (!order.includes(id)) {
              expect(join.verdict(index)).toBeUndefined();
              continue;
            }
            const kind = { 200: 'succeeded', 400: 'failed', 500: 'retry', 0: 'retry' }[statuses[index]!];
            expect(join.verdict(index)?.kind).toBe(kind);
            expect(await lineOf(join, index)).toBe(textOf(id));
          }
          expect(join.strayLines).toBe(0);
        },
      ),
      { numRuns: propertyRuns(150) },
    );
  });

  it('keeps the first answer, prefers an answer to an error, and counts what it does not use', async () => {
    const tokens: unknown[] = [];
    const join = await joinOf(['a', 'b', 'c'], undefined, (body) => tokens.push(usageOf(body).inputTokens));
    await add(
      join,
      [
        answer('a', 1),
        answer('a', 2),
        failure('b', 500),
        answer('b', 3),
        failure('c', 400),
        failure('c', 500),
      ].join('\n'),
    );
    expect(await lineOf(join, 0)).toBe(answer('a', 1));
    expect(await lineOf(join, 1)).toBe(answer('b', 3));
    expect(join.verdict(2)).toMatchObject({ kind: 'failed', code: 'http_400' });
    expect(join.strayLines).toBe(3);
    // Of errors, too: they may have been charged.
    expect(tokens).toEqual([1, 0, 3, 0]);
  });

  it('does not let an error that comes later take the place of an answer', async () => {
    const join = await joinOf(['a']);
    await add(join, answer('a'));
    await add(join, failure('a', 400));
    expect(join.verdict(0)).toMatchObject({ kind: 'succeeded' });
    expect(join.strayLines).toBe(1);
  });

  it('uses no line that names no request of the batch', async () => {
    const join = await joinOf(['a']);
    await add(
      join,
      [answer('A'), answer(' a'), answer(''), '{"custom_id":null}', '{"custom_id":7}', '{}'].join('\n'),
    );
    expect(join.verdict(0)).toBeUndefined();
    expect(join.strayLines).toBe(6);
  });

  it('splits at line feeds alone: U+2028 may occur raw in an answer', async () => {
    const join = await joinOf(['a\u2028b']);
    await add(join, answer('a\u2028b'));
    expect(await lineOf(join, 0)).toBe(answer('a\u2028b'));
  });

  it('keeps nothing of a chunk that is a Buffer of a pool, which is filled again for the next', async () => {
    const join = await joinOf(['a', 'b', 'c']);
    const text = Buffer.from(['a', 'b', 'c'].map((id) => answer(id)).join('\n'));
    await join.addFile('file', pooled(cut(text, [100])), text.length, RUN_SOURCE);
    for (const [index, id] of ['a', 'b', 'c'].entries()) expect(await lineOf(join, index)).toBe(answer(id));
  });

  it('reads an empty file, and one of blank lines', async () => {
    const join = await joinOf(['a']);
    await add(join, '', 0);
    await add(join, '\n\r\n');
    expect(join.verdict(0)).toBeUndefined();
  });

  it.each<[string, string, number | undefined]>([
    ['shorter than OpenAI says', `${answer('a')}\n`, 10_000],
    ['longer than OpenAI says', `${answer('a')}\n`, 10],
    ['empty where OpenAI has bytes', '', 10],
    ['cut within its last line', answer('a').slice(0, -5), undefined],
    ['a page of HTML', '<html>SECRET</html>', undefined],
    ['not objects', '"SECRET"\n', undefined],
    ['an array', '[{"custom_id":"SECRET"}]', undefined],
    ['an answer and half of another', `${answer('a')}\n${answer('SECRET').slice(0, -1)}`, undefined],
  ])('fails for a file that is %s, and repeats nothing of it', async (_what, text, expected) => {
    const error = await add(await joinOf(['a']), text, expected).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(IncompleteDownloadError);
    expect((error as Error).message).toContain('file-1');
    expect((error as Error).message).not.toContain('SECRET');
  });

  it('knows a long answer by its outline, and reads a long error as it is', async () => {
    const long = 'to be or "not" \\ \u00e9 '.repeat(500);
    const longId = 'i'.repeat(3_000);
    const withText = (line: string): string => {
      const parsed = JSON.parse(line);
      parsed.response.body.choices = [{ finish_reason: 'length', message: { content: long } }];
      return JSON.stringify(parsed);
    };
    const lost = {
      custom_id: 'd',
      response: { status_code: 404, body: { error: { code: null, message: `${long} no such model` } } },
      error: null,
    };
    const failed = { custom_id: 'c', response: null, error: { code: long, message: 'm' } };
    const lines = [
      withText(answer('a', 7)),
      withText(answer(longId, 5)),
      JSON.stringify(failed),
      JSON.stringify(lost),
    ];
    const bodies: Record<string, unknown>[] = [];
    const join = await joinOf(['a', longId, 'c', 'd'], undefined, (body) => bodies.push(body));
    await add(join, `${lines.join('\n')}\n`);
    expect([0, 1, 2, 3].map((index) => join.verdict(index))).toEqual([
      { kind: 'succeeded', cut: 'token_limit' },
      { kind: 'succeeded', cut: 'token_limit' },
      { kind: 'failed', code: long },
      { kind: 'operator', code: 'http_404', scope: 'model' },
    ]);
    expect(bodies.slice(0, 2).map(({ usage }) => usage)).toEqual([{ input_tokens: 7 }, { input_tokens: 5 }]);
    for (const [index, line] of lines.entries()) expect(await lineOf(join, index)).toBe(line);
  });

  it('fails on a long line that is not JSON only inside of its answer', async () => {
    const join = await joinOf(['a']);
    const line = answer('a').replace('"r"', `"${'r'.repeat(5_000)}\\x"`);
    await expect(add(join, line)).rejects.toThrow('that are not JSON');
  });
});
