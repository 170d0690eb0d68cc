/** Cases from public reports, from the drop to the receipt: what OpenAI answered, and what must become of it. */
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Tier } from '../../../src/contract/route.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { answerWith, type ResultLines } from '../../support/result-lines.ts';

const KEY = 'input/a.jsonl';
const running: Pipeline[] = [];
afterEach(async () => {
  for (const pipeline of running.splice(0)) await pipeline.stop();
});

const fixture = (name: string): Promise<string> =>
  readFile(new URL(`./cases/${name}`, import.meta.url), 'utf8');

/** A pipeline of one route, and the case's file in it. */
async function start(name: string, route: { tiers?: Tier[]; maxTries?: number } = {}): Promise<Pipeline> {
  const pipeline = await startPipeline({
    settings: settingsSchema.parse({
      routes: [{ name: 'r', prefix: 'input/', tiers: ['batch'], budget: 'unlimited', maxTries: 2, ...route }],
    }),
  });
  running.push(pipeline);
  await pipeline.drop(KEY, await fixture(`${name}/input.jsonl`));
  return pipeline;
}

/** Runs a case in the Batch API, with its result lines. */
async function run(name: string): Promise<Pipeline> {
  const pipeline = await start(name);
  answerWith(pipeline, JSON.parse(await fixture(`${name}/lines.json`)) as ResultLines);
  await pipeline.run();
  expect(pipeline.failures).toEqual([]);
  return pipeline;
}

describe('a body that is rewritten', () => {
  test.each(['flex', 'standard'] as const)('keeps the order of its keys in %s (case 01)', async (tier) => {
    const pipeline = await start('01-key-order-flex', { tiers: [tier] });
    const bodies: string[] = [];
    const { call } = pipeline.deps.calls;
    pipeline.deps.calls.call = (request) => {
      bodies.push(request.body);
      return call(request);
    };
    await pipeline.run();
    expect(bodies).toHaveLength(1);
    expect(bodies[0]).toContain(
      '"properties":{"10":{"type":"string"},"2":{"type":"string"},"b":{"type":"string"},"1":{"type":"string"}}',
    );
    const own = (await fixture('01-key-order-flex/input.jsonl')).trim();
    const tierName = tier === 'flex' ? 'flex' : 'default';
    expect(own).toContain(bodies[0]!.replace(`,"service_tier":"${tierName}"}`, '}'));
  });
});

describe('a 200', () => {
  test('without an answer is tried again, and then an error (case 05)', async () => {
    const pipeline = await run('05-empty-body-200');
    expect(await pipeline.receipt(KEY)).toMatchObject({
      result: 'partial',
      counts: { succeeded: 1, failed: 1 },
      errorsByCode: { no_answer: 1 },
      possiblyBilledTwice: { no_answer: 1 },
    });
    expect(await pipeline.errors(KEY)).toMatchObject([
      { custom_id: 'eb1', tries: 2, response: { body: {} } },
    ]);
    expect((await pipeline.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(['eb_ok']);
  });

  test('that says error in text is an error (case 07)', async () => {
    const pipeline = await run('07-error-text-200');
    expect(await pipeline.receipt(KEY)).toMatchObject({
      result: 'failed',
      errorsByCode: { response_failed: 1 },
    });
    expect(await pipeline.errors(KEY)).toMatchObject([
      { response: { body: { error: 'upstream timed out' } } },
    ]);
  });

  test('of a response that is not finished is none (case 09)', async () => {
    const pipeline = await run('09-response-not-finished');
    expect(await pipeline.receipt(KEY)).toMatchObject({
      result: 'failed',
      errorsByCode: { response_queued: 1, response_in_progress: 1, response_cancelled: 1 },
    });
    expect(await pipeline.output(KEY)).toEqual([]);
  });

  test('that is whole stays an answer beside an error that says nothing (case 10)', async () => {
    const pipeline = await run('10-blank-error-beside-answer');
    expect(await pipeline.receipt(KEY)).toMatchObject({ result: 'succeeded', counts: { succeeded: 2 } });
    expect((await pipeline.output(KEY)).map(({ error }) => error)).toEqual([{}, { code: '', message: '' }]);
    expect(await pipeline.retry(KEY)).toBeUndefined();
  });

  test('that was cut by a filter is not counted as cut at the token limit (case 18)', async () => {
    const pipeline = await run('18-incomplete-content-filter');
    expect(await pipeline.receipt(KEY)).toMatchObject({
      result: 'succeeded',
      incomplete: 1,
      filtered: 2,
      cutOtherwise: 0,
    });
  });
});

test('an error whose code is a number is tried again as that status is, and keeps its code (case 14)', async () => {
  const pipeline = await run('14-error-code-number');
  const receipt = await pipeline.receipt(KEY);
  expect(receipt.errorsByCode).toEqual({ 429: 1, 503: 1 });
  expect(receipt.batches.map(({ retried, failed }) => [retried, failed])).toEqual([
    [2, 0],
    [0, 2],
  ]);
  expect((await pipeline.errors(KEY)).map(({ error, tries }) => [error.code, tries])).toEqual([
    [429, 2],
    [503, 2],
  ]);
});

describe('what an answer cost', () => {
  test('is read from usage with both families of names, one of zeros (case 12)', async () => {
    const { usage, cost } = await (await run('12-usage-two-families')).receipt(KEY);
    expect(usage).toMatchObject({ inputTokens: 100, outputTokens: 50 });
    expect(cost).toMatchObject({ usd: '0.0000125', unpriced: 0, withoutUsage: 0, possibleUsd: '0' });
  });

  test('is with the fee of web searches, which batch does not halve (case 16)', async () => {
    const { cost } = await (await run('16-web-search-fee')).receipt(KEY);
    expect(cost).toMatchObject({
      usd: '0.1000125',
      toolUsd: '0.1',
      standardUsd: '0.100025',
      savedUsd: '0.0000125',
      unpriced: 0,
    });
  });
});

/** The same answers as result lines of a batch, and as answers to calls. */
describe.each<Tier>(['batch', 'flex', 'standard'])('in %s', (tier) => {
  /** By model, because a call has no custom_id. */
  const patch = (model: string, path: string, value: unknown) => ({
    match: { model: `^${model}$` },
    effect: { kind: 'line.patch', operations: [{ op: 'replace', path: `/response/body${path}`, value }] },
  });
  const embeddings = (id: string, input: unknown, model = 'text-embedding-3-small') =>
    JSON.stringify({
      custom_id: id,
      method: 'POST',
      url: '/v1/embeddings',
      body: { model, dimensions: 4, input },
    });
  const MODELS = {
    empty: 'gpt-5.5',
    message: 'gpt-5.4-mini',
    blank: 'gpt-5.1',
    text: 'gpt-5.2',
    queued: 'gpt-5.4',
    few: 'text-embedding-3-large',
  };
  const vectors = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ object: 'embedding', index, embedding: [0.5] }));

  test('a 200 is an answer only if there is one in it, for each input, and nothing says error', async () => {
    // Embeddings have no flex, and continue in the next tier.
    const ladder = tier === 'flex' ? { tiers: ['flex', 'standard'], deadline: '12h' } : { tiers: [tier] };
    const pipeline = await startPipeline({
      settings: settingsSchema.parse({
        routes: [{ name: 'r', prefix: 'input/', ...ladder, budget: 'unlimited', maxTries: 1 }],
      }),
      emulator: {
        faults: [
          patch(MODELS.empty, '', {}),
          patch(MODELS.message, '/choices/0/message', null),
          patch(MODELS.blank, '/choices', []),
          patch(MODELS.text, '', { error: 'upstream timed out' }),
          patch(MODELS.queued, '/status', 'queued'),
          patch(MODELS.few, '/data', vectors(2)),
        ] as never,
      },
    });
    running.push(pipeline);
    await pipeline.drop(
      KEY,
      [
        ...(['empty', 'message', 'blank', 'text'] as const).map((id) => chatLine(id, { model: MODELS[id] })),
        chatLine('whole'),
        chatLine('queued', { url: '/v1/responses', model: MODELS.queued }),
        chatLine('done', { url: '/v1/responses' }),
        embeddings('few', ['a', 'b', 'c'], MODELS.few),
        embeddings('all', ['a', 'b', 'c']),
        embeddings('tokens', [5, 6, 7]),
      ].join('\n'),
    );
    await pipeline.run();
    expect(pipeline.failures).toEqual([]);
    expect((await pipeline.output(KEY)).map(({ custom_id }) => custom_id)).toEqual([
      'whole',
      'done',
      'all',
      'tokens',
    ]);
    const receipt = await pipeline.receipt(KEY);
    expect(receipt.errorsByCode).toEqual({ no_answer: 4, response_failed: 1, response_queued: 1 });
    // None of those that failed was an answer.
    expect(receipt.cost.withoutUsage).toBe(0);
  });
});
