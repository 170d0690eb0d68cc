/** Batches that a real scan planned, and their tokens, told from some of their lines. */
import { describe, expect, it } from 'vitest';
import { type Content, generateLines } from '../../../bench/inputs/generate.ts';
import { defaultSettings } from '../../../src/contract/settings.ts';
import { CorruptWorkFileError, ObjectGoneError } from '../../../src/core/base/errors.ts';
import type { Plan } from '../../../src/core/files/plan.ts';
import type { Job } from '../../../src/core/model/job.ts';
import type { BatchLimits } from '../../../src/core/model/limits.ts';
import { estimateBatchTokens } from '../../../src/core/pricing/tokens/estimate-batch.ts';
import { loadTokenizer } from '../../../src/providers/openai/gpt-tokenizer.ts';
import { imageTokens } from '../../../src/providers/openai/image-tokens.ts';
import { OPENAI_RULES } from '../../../src/providers/openai/rules.ts';
import type { MemoryObjects } from '../../support/memory/objects.ts';
import { BUCKET, memoryStore } from '../../support/memory-store.ts';
import { scanWhole } from '../../support/scans.ts';
import { CORPORA, textsOf } from './corpora.ts';

const CHAT = '/v1/chat/completions';
const MODEL = 'gpt-4o';
const o200k = await loadTokenizer(MODEL);
const KEY = 'input/a.jsonl';

const lineOf = (index: number, body: object, url = CHAT, model = MODEL): string =>
  JSON.stringify({ custom_id: `request-${index}`, method: 'POST', url, body: { model, ...body } });

const chatOf = (index: number, content: unknown): string =>
  lineOf(index, { messages: [{ role: 'user', content }] });

interface Planned {
  objects: MemoryObjects;
  plan: Plan;
}

async function planOf(lines: readonly string[], limits: Partial<BatchLimits> = {}): Promise<Planned> {
  const objects = memoryStore();
  const file = Buffer.from(lines.join('\n'));
  await objects.put(KEY, file);
  const head = await objects.head(BUCKET, KEY);
  const job: Job = {
    v: 1,
    jobId: 'c0ffee00c0ffee00c0ffee00c0ffee00',
    input: head!,
    source: { bucket: BUCKET, key: KEY, versionId: head!.versionId! },
    route: defaultSettings().routes[0]!,
    state: 'ingesting',
    createdAt: 0,
    updatedAt: 0,
  };
  const { layout } = defaultSettings();
  const plan = await scanWhole(
    { objects, layout, rules: OPENAI_RULES, limits: { ...OPENAI_RULES.limits, ...limits } },
    job,
    'try',
  );
  return { objects, plan };
}

const estimatesOf = ({ objects, plan }: Planned): Promise<(number | undefined)[]> =>
  Promise.all(plan.batches.map((batch) => estimateBatchTokens(objects, batch, o200k, OPENAI_RULES)));

/** Every token of every line, counted. */
function countedOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => {
    const { url, body } = JSON.parse(line) as { url: string; body: Record<string, unknown> };
    const prompt = OPENAI_RULES.endpoints.get(url)!.readPrompt(body);
    const texts = prompt.texts.reduce((tokens, text) => tokens + o200k(text), 0);
    return sum + texts + prompt.tokens + (prompt.messages === 0 ? 0 : 3 * prompt.messages + 3);
  }, 0);
}

function expectWithin(percent: number, estimated: number | undefined, counted: number): void {
  if (estimated === undefined) throw new Error('there is no estimate');
  const off = (100 * Math.abs(estimated - counted)) / counted;
  expect(off, `${estimated} estimated, ${counted} counted`).toBeLessThan(percent);
}

function firstLines(content: Content, count: number): string[] {
  const lines: string[] = [];
  for (const line of generateLines(content)) if (lines.push(line) === count) break;
  return lines;
}

describe('estimateBatchTokens', () => {
  it.each<[Content, number]>([
    ['a4k', 600],
    ['b400', 6_000],
    ['multi', 900],
    ['tools', 200],
    ['ids', 6_000],
  ])('is within five percent of the count for the input %s of the benchmark', async (content, count) => {
    const lines = firstLines(content, count);
    const [estimated] = await estimatesOf(await planOf(lines));
    expectWithin(5, estimated, countedOf(lines));
  });

  it('is within five percent in each batch, although each has texts of another kind', async () => {
    const kinds = Object.keys(CORPORA);
    const lines = kinds.flatMap((kind, index) =>
      textsOf(kind, 300, '1').map((text, at) => chatOf(1_000 * index + at, text)),
    );
    const estimates = await estimatesOf(await planOf(lines, { requests: 300 }));
    expect(estimates).toHaveLength(kinds.length);
    for (const [index, estimated] of estimates.entries())
      expectWithin(5, estimated, countedOf(lines.slice(300 * index, 300 * (index + 1))));
  });

  it('is within five percent where all kinds of text and lengths are mixed', async () => {
    const texts = Object.keys(CORPORA).flatMap((kind) => textsOf(kind, 90, '2'));
    const lines = texts.map((text, index) => chatOf(index, text));
    const [estimated] = await estimatesOf(await planOf(lines));
    expectWithin(5, estimated, countedOf(lines));
  });

  it('does not let a few very long requests hide the many short ones', async () => {
    const lines = [
      ...textsOf('english', 3_000, '1').map((text, index) => chatOf(index, text.slice(0, 300))),
      ...textsOf('chinese', 6, '1').map((text, index) => chatOf(10_000 + index, text.repeat(40))),
    ];
    const [estimated] = await estimatesOf(await planOf(lines));
    expectWithin(5, estimated, countedOf(lines));
  });

  it('is exact where every request is read', async () => {
    const lines = textsOf('english', 20, '1').map((text, index) => chatOf(index, text.slice(0, 4_000)));
    expect(await estimatesOf(await planOf(lines))).toEqual([countedOf(lines)]);
  });

  it('counts arrays of tokens, which hold no text', async () => {
    const lines = Array.from({ length: 900 }, (_, index) => {
      const input = Array.from({ length: 50 + (index % 90) }, (_, at) => 1_000 + at);
      return lineOf(index, { input }, '/v1/embeddings', 'text-embedding-3-small');
    });
    const [estimated] = await estimatesOf(await planOf(lines));
    expectWithin(5, estimated, countedOf(lines));
  });

  it('takes an image for what it costs and not for text, beside requests that have none', async () => {
    const url = `data:image/png;base64,${'A'.repeat(60_000)}`;
    const lines = Array.from({ length: 400 }, (_, index) =>
      index % 2 === 0
        ? chatOf(index, [{ type: 'image_url', image_url: { url, detail: 'low' } }])
        : chatOf(index, 'What is in the picture? '.repeat(100)),
    );
    const [estimated] = await estimatesOf(await planOf(lines));
    expectWithin(5, estimated, countedOf(lines) + 200 * imageTokens(MODEL, { detail: 'low' }).tokens);
  });

  it('takes audio, and images of models without a rule, for the most that they may cost', async () => {
    const url = `data:image/png;base64,${'A'.repeat(60_000)}`;
    const parts = [
      { type: 'image_url', image_url: { url } },
      { type: 'input_audio', input_audio: { data: 'A'.repeat(40_000), format: 'mp3' } },
    ];
    const body = { messages: [{ role: 'user', content: parts }] };
    const line = lineOf(1, body, CHAT, 'gpt-6-luna');
    const [estimated] = await estimatesOf(await planOf([line]));
    const { atMost } = imageTokens('gpt-6-luna', {});
    expect(estimated).toBe(countedOf([line]) + atMost + 300);
  });

  it.each([
    [
      'a file',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] },
      CHAT,
    ],
    ['a stored prompt', { prompt: { id: 'pmpt_1' } }, '/v1/responses'],
    ['a tool of OpenAI', { input: 'What is new?', tools: [{ type: 'web_search' }] }, '/v1/responses'],
  ])('gives no estimate where a request has %s', async (_, body, url) => {
    expect(await estimatesOf(await planOf([chatOf(1, 'plain')].concat(lineOf(2, body, url))))).toContain(
      undefined,
    );
  });

  it('reads a small part of a large batch', async () => {
    const { objects, plan } = await planOf(firstLines('b400', 20_000));
    let reads = 0;
    const counting = {
      get: (key: string) => objects.get(key),
      read: (...args: Parameters<MemoryObjects['read']>) => {
        reads++;
        return objects.read(...args);
      },
    };
    await estimateBatchTokens(counting, plan.batches[0]!, o200k, OPENAI_RULES);
    expect(reads).toBeLessThan(400);
  });

  it('leaves out what was taken out of the batch: the later of two equal ids', async () => {
    const lines = textsOf('english', 20, '1').map((text, index) => chatOf(index, text.slice(0, 4_000)));
    const repeated = [...lines, chatOf(3, 'Something else altogether. '.repeat(1_000))];
    expect(await estimatesOf(await planOf(repeated))).toEqual([countedOf(lines)]);
  });

  it('fails where the object is gone, or is not what was planned', async () => {
    const gone = await planOf([chatOf(1, 'one')]);
    gone.objects.destroy(KEY);
    await expect(estimatesOf(gone)).rejects.toBeInstanceOf(ObjectGoneError);
    const { objects, plan } = await planOf([chatOf(1, 'one')]);
    const read = async (...args: Parameters<MemoryObjects['read']>) => {
      const pieces = await Array.fromAsync(await objects.read(...args));
      return (async function* () {
        yield Buffer.concat(pieces).fill(0x20);
      })();
    };
    const other = { get: (key: string) => objects.get(key), read };
    await expect(estimateBatchTokens(other, plan.batches[0]!, o200k, OPENAI_RULES)).rejects.toBeInstanceOf(
      CorruptWorkFileError,
    );
  });
});
