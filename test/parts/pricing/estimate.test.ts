import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Content, generateLines } from '../../../bench/inputs/generate.ts';
import {
  estimateTokens,
  type TokenEstimate,
  type Tokenizer,
} from '../../../src/core/pricing/tokens/estimate.ts';
import { PromptSample, SampleBudget } from '../../../src/core/pricing/tokens/sample.ts';
import { type LineHandlers, LineScanner } from '../../../src/core/requests/line-scanner.ts';
import { loadTokenizer } from '../../../src/providers/openai/gpt-tokenizer.ts';
import { OPENAI_RULES } from '../../../src/providers/openai/rules.ts';
import { CORPORA, textsOf } from './corpora.ts';

const CHAT = '/v1/chat/completions';
const MODEL = 'gpt-6-luna';
const o200k = await loadTokenizer(MODEL);

interface Sampled {
  sample: PromptSample;
  /** Every token of every request, counted. */
  counted: number;
}

/** Sends lines through the real scanner. All must be of one endpoint and model. */
function sampleOf(
  lines: Iterable<string>,
  { tokenizer = o200k, budget = new SampleBudget(), jobId = '00c0ffee'.repeat(4) } = {},
): Sampled {
  let sample: PromptSample | undefined;
  let counted = 0;
  const handlers: LineHandlers = {
    onSpan: (span) => {
      sample ??= new PromptSample(OPENAI_RULES, span.endpoint, span.model, budget);
      for (const request of span.requests()) sample.add(request);
    },
    onLine: ({ line }) => {
      throw new Error(`line ${line} is not certain`);
    },
  };
  const scanner = new LineScanner(jobId, handlers, { rules: OPENAI_RULES });
  for (const line of lines) {
    scanner.push(Buffer.from(`${line}\n`));
    counted += countWhole(JSON.parse(line), tokenizer);
  }
  scanner.end();
  return { sample: sample!, counted };
}

function countWhole(
  { url, body }: { url: string; body: Record<string, unknown> },
  tokenizer: Tokenizer,
): number {
  const prompt = OPENAI_RULES.endpoints.get(url)!.readPrompt(body);
  const texts = prompt.texts.reduce((sum, text) => sum + tokenizer(text), 0);
  return texts + prompt.tokens + (prompt.messages === 0 ? 0 : 3 * prompt.messages + 3);
}

const lineOf = (index: number, body: object, url = CHAT, model = MODEL): string =>
  JSON.stringify({ custom_id: `request-${index}`, method: 'POST', url, body: { model, ...body } });

const chatOf = (index: number, content: unknown, model = MODEL): string =>
  lineOf(index, { messages: [{ role: 'user', content }] }, CHAT, model);

function* take<Item>(items: Iterable<Item>, count: number): Generator<Item> {
  for (const item of items) {
    if (count-- <= 0) return;
    yield item;
  }
}

function expectWithin(percent: number, { inputTokens }: TokenEstimate, counted: number): void {
  const off = (100 * Math.abs(inputTokens - counted)) / counted;
  expect(off, `${inputTokens} estimated, ${counted} counted`).toBeLessThan(percent);
}

describe('estimateTokens', () => {
  it.each<[Content, number]>([
    ['a4k', 600],
    ['b400', 6_000],
    ['multi', 900],
    ['tools', 200],
    ['ids', 6_000],
  ])('is within five percent of the count for the input %s of the benchmark', (content, count) => {
    const { sample, counted } = sampleOf(take(generateLines(content), count));
    expectWithin(5, estimateTokens(sample, o200k), counted);
  });

  it.each(Object.keys(CORPORA))('is within five percent of the count for %s', (kind) => {
    const { sample, counted } = sampleOf(textsOf(kind, 400, '1').map((text, index) => chatOf(index, text)));
    expectWithin(5, estimateTokens(sample, o200k), counted);
  });

  it('is within five percent of the count where all kinds of text and lengths are mixed, whatever the seed', () => {
    for (const seed of ['1', '2', '3']) {
      const texts = Object.keys(CORPORA).flatMap((kind) => textsOf(kind, 90, seed));
      const { sample, counted } = sampleOf(
        texts.map((text, index) => chatOf(index, text)),
        { jobId: `0000000${seed}`.repeat(4) },
      );
      expectWithin(5, estimateTokens(sample, o200k), counted);
    }
  });

  it('is exact where every request is in the sample', () => {
    const { sample, counted } = sampleOf(
      textsOf('english', 20, '1').map((text, index) => chatOf(index, text.slice(0, 4_000))),
    );
    expect(estimateTokens(sample, o200k)).toEqual({
      inputTokens: counted,
      inputTokensAtMost: counted,
      unestimated: {},
      relativeError: 0,
    });
  });

  it('does not let a few very long requests hide the many short ones', () => {
    const lines = [
      ...textsOf('english', 3_000, '1').map((text, index) => chatOf(index, text.slice(0, 300))),
      ...textsOf('chinese', 6, '1').map((text, index) => chatOf(10_000 + index, text.repeat(40))),
    ];
    const { sample, counted } = sampleOf(lines);
    expectWithin(5, estimateTokens(sample, o200k), counted);
  });

  it('uses the encoding of the model: embeddings are cut by cl100k_base', async () => {
    const cl100k = await loadTokenizer('text-embedding-3-small');
    const texts = textsOf('hindi', 600, '1');
    const lines = texts.map((input, index) =>
      lineOf(index, { input }, '/v1/embeddings', 'text-embedding-3-small'),
    );
    const { sample, counted } = sampleOf(lines, { tokenizer: cl100k });
    expect(counted).toBeGreaterThan(1.5 * sampleOf(lines).counted);
    expectWithin(5, estimateTokens(sample, cl100k), counted);
  });

  it('counts arrays of tokens, which hold no text', () => {
    const lines = Array.from({ length: 900 }, (_, index) =>
      lineOf(
        index,
        { input: Array.from({ length: 50 + (index % 90) }, (_, at) => 1_000 + at) },
        '/v1/embeddings',
      ),
    );
    const { sample, counted } = sampleOf(lines);
    expectWithin(5, estimateTokens(sample, o200k), counted);
  });

  it('without a tokenizer takes 4 bytes of text for a token, and 3 tokens for a message and for the reply', () => {
    const { sample } = sampleOf([chatOf(1, 'x'.repeat(396))]);
    expect(estimateTokens(sample)).toEqual({ inputTokens: 106, inputTokensAtMost: 106, unestimated: {} });
  });

  it('does not take base64 for text: an audio of 1 MB is flagged, and bounded', () => {
    const audio = { type: 'input_audio', input_audio: { data: 'A'.repeat(1_000_000), format: 'mp3' } };
    const text = { type: 'text', text: 'What is said?' };
    const lines = Array.from({ length: 3 }, (_, index) => chatOf(index, [text, audio]));
    const long: Parameters<PromptSample['add']>[0][] = lines.map((line, index) => ({
      hash0: index,
      hash1: index,
      length: line.length,
      textBytes: 1_000_050,
      dataUrlBytes: 0,
      bytes: () => Buffer.from(line),
    }));
    const sample = new PromptSample(OPENAI_RULES, CHAT, 'gpt-4o');
    for (const request of long) sample.add(request);
    const { inputTokens, inputTokensAtMost, unestimated } = estimateTokens(sample, o200k);
    expect(inputTokens).toBe(3 * (o200k('user') + o200k('What is said?') + 6));
    expect(inputTokensAtMost).toBe(inputTokens + 3 * 7_500);
    expect(unestimated).toEqual({ audio: 3 });
  });

  it('counts an image by its size, whatever its bytes, and by its bound where the size is not known', () => {
    const png = Buffer.alloc(60_000);
    png.writeUInt32BE(0x89504e47, 0);
    png.writeUInt32BE(1_024, 16);
    png.writeUInt32BE(1_024, 20);
    const dataUrl = {
      type: 'image_url',
      image_url: { url: `data:image/png;base64,${png.toString('base64')}` },
    };
    const remote = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } };
    const text = estimateTokens(sampleOf([chatOf(1, '', 'gpt-4o')]).sample, o200k).inputTokens;
    const known = estimateTokens(sampleOf([chatOf(1, [dataUrl], 'gpt-4o')]).sample, o200k);
    expect(known).toMatchObject({ inputTokens: text + 765, inputTokensAtMost: text + 765, unestimated: {} });
    const unknown = estimateTokens(sampleOf([chatOf(1, [remote], 'gpt-4o')]).sample, o200k);
    expect(unknown).toMatchObject({ inputTokensAtMost: text + 1_445, unestimated: { image: 1 } });
  });

  it('bounds files, stored prompts and hosted tools by the context of the model', () => {
    const file = { type: 'input_file', file_id: 'file-1' };
    for (const [kind, body] of [
      ['file', { input: [{ role: 'user', content: [file] }] }],
      ['stored', { input: 'x', previous_response_id: 'resp_1' }],
      ['hosted_tool', { input: 'x', tools: [{ type: 'web_search' }] }],
    ] as const) {
      const { sample } = sampleOf([lineOf(1, body, '/v1/responses', 'gpt-5.4-mini')]);
      const { inputTokens, inputTokensAtMost, unestimated } = estimateTokens(sample, o200k);
      expect(unestimated).toEqual({ [kind]: 1 });
      expect(inputTokens).toBeLessThan(100);
      expect(inputTokensAtMost).toBe(inputTokens + 400_000);
    }
  });

  it('reads text with special tokens and lone surrogates as text', () => {
    const { sample, counted } = sampleOf([chatOf(1, '<|endoftext|> <|im_start|>')]);
    expect(estimateTokens(sample, o200k).inputTokens).toBe(counted);
  });
});

describe('PromptSample', () => {
  it('is the same whatever order the requests come in', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(
          textsOf('english', 200, '2').map((text, index) => chatOf(index, text)),
          { minLength: 200 },
        ),
        (lines) => {
          const [shuffled, sorted] = [sampleOf(lines), sampleOf([...lines].sort())];
          expect(estimateTokens(shuffled.sample, o200k)).toEqual(estimateTokens(sorted.sample, o200k));
        },
      ),
      { numRuns: 3 },
    );
  });

  it('stays within its budget, but for a few requests, and gives it back', () => {
    const budget = new SampleBudget(100_000);
    const { sample, counted } = sampleOf(take(generateLines('a4k'), 500), { budget });
    expect(budget.left).toBeGreaterThan(-8_192 * 48);
    expectWithin(5, estimateTokens(sample, o200k), counted);
    sample.release();
    expect(budget.left).toBe(100_000);
  });
});
