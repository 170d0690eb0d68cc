/** Prompts that begin alike are given one `prompt_cache_key`: which requests are, and what else becomes of them. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Route } from '../../../../src/contract/route.ts';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import { MAX_LINE_BYTES } from '../../../../src/core/model/limits.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { promptCacheKeyOf } from '../../../../src/core/requests/prompt-cache-key.ts';
import { checkFilledIn, fillIn } from '../../../../src/core/steps/ingest/fill-in.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { INLINE_RULES } from '../../../support/memory/inline-provider.ts';
import type { Pipeline } from '../../../support/pipeline.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { requestLine } from '../../../support/request-lines.ts';
import { BATCH_ONLY } from '../../../support/routes.ts';
import { startTestPipeline } from '../../../support/test-pipeline.ts';

const RESPONSES = '/v1/responses';
const CHAT = '/v1/chat/completions';
/** Of OpenAI's endpoints: four for each of 1,024 tokens. */
const KEYED_BYTES = 4_096;
const LONG = 'Be brief and to the point. '.repeat(200);
const always = () => true;
const keyOf = (body: Record<string, unknown>, url: string = RESPONSES): string | undefined =>
  promptCacheKeyOf(OPENAI_RULES.endpoints, url, { model: 'gpt-6-luna', ...body }, always)?.key;
const filled = (line: string): string =>
  Buffer.from(fillIn(Buffer.from(line), { hasCachedRate: always }, OPENAI_RULES)).toString('utf8');

/** Well-formed text of a byte or more a character. */
const textArbitrary = fc.string({ unit: 'grapheme', maxLength: 40 });

describe('the key of a prompt', () => {
  test('is the same for the same beginning, whatever follows it, and another one for another', () => {
    const place = fc.integer({ min: 0, max: KEYED_BYTES + 50 });
    const property = fc.property(
      textArbitrary,
      textArbitrary,
      textArbitrary,
      place,
      (head, one, other, at) => {
        const begin = `${head}${'x'.repeat(KEYED_BYTES)}`;
        const key = keyOf({ input: `${begin}${one}` });
        expect(key).toMatch(/^batchdrop-[0-9a-f]{32}$/);
        expect(keyOf({ input: `${begin}${other}` })).toBe(key);
        const changed = `${begin.slice(0, at)}y${begin.slice(at)}`;
        const keyed = (text: string) => Buffer.from(`user\0${text}`).toString('hex', 0, KEYED_BYTES);
        expect(keyOf({ input: changed }) === key).toBe(keyed(changed) === keyed(begin));
      },
    );
    fc.assert(property, { numRuns: propertyRuns(200) });
  });

  test('is another one for another model, another endpoint, other tools and other boundaries of messages', () => {
    const messages = (...contents: string[]) => ({
      messages: contents.map((content) => ({ role: 'user', content })),
    });
    const keys = [
      keyOf({ input: LONG }),
      keyOf({ input: LONG, model: 'gpt-5.4-mini' }),
      keyOf({ input: LONG, tools: [{ type: 'function', name: 'f' }] }),
      keyOf({ instructions: LONG, input: LONG }),
      keyOf(messages(LONG), CHAT),
      keyOf(messages('Be', LONG), CHAT),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).not.toContain(undefined);
    expect(keyOf({ instructions: LONG, input: 'a' })).toBe(keyOf({ instructions: LONG, input: 'b' }));
  });

  test('is this one, today and in every later version: other files and other days have to find it again', () => {
    expect(keyOf({ input: LONG })).toBe('batchdrop-1e024cb8858ee7740a5403bc8c58e3db');
  });

  test('goes by bytes: text of three bytes a character needs a third of the characters', () => {
    expect(keyOf({ input: '漢'.repeat(1_364) })).toBeDefined();
    expect(keyOf({ input: 'a'.repeat(1_364) })).toBeUndefined();
  });

  test('goes by the minimum of the provider, and belongs in its member', () => {
    const { endpoints } = INLINE_RULES;
    const keyAt = (text: string, body: object = {}) =>
      promptCacheKeyOf(endpoints, '/v2/generate', { model: 'inline-1', text, ...body }, always);
    // 50 tokens of 4 bytes, with the byte that ends the text.
    expect(keyAt('x'.repeat(198))).toBeUndefined();
    expect(keyAt('x'.repeat(199))).toMatchObject({ member: 'alike' });
    expect(keyAt('x'.repeat(300))?.key).toBe(keyAt('x'.repeat(400))?.key);
    expect(keyAt('x'.repeat(300), { alike: 'mine' })).toBeUndefined();
  });

  const image = { type: 'input_image', image_url: 'https://example.com/a.png' };
  const text = { type: 'input_text', text: LONG };
  test.each<[string, Record<string, unknown>, string]>([
    ['names one itself', { input: LONG, prompt_cache_key: 'mine' }, RESPONSES],
    ['says null in its place', { input: LONG, prompt_cache_key: null }, RESPONSES],
    ['is short', { input: 'a' }, RESPONSES],
    ['begins with an image', { input: [{ role: 'user', content: [image, text] }] }, RESPONSES],
    ['goes on from what OpenAI keeps', { input: LONG, previous_response_id: 'resp_1' }, RESPONSES],
    ['is one for embeddings', { input: LONG }, '/v1/embeddings'],
    ['is one for moderations', { input: LONG }, '/v1/moderations'],
    ['has no model that is a text', { input: LONG, model: 5 }, RESPONSES],
  ])('is not made for a request that %s', (_what, body, url) => {
    expect(keyOf(body, url)).toBeUndefined();
  });

  test('goes by the text before an image, if that is long enough', () => {
    const withImage = (image_url: string) => ({
      input: [{ role: 'user', content: [text, { ...image, image_url }] }],
    });
    expect(keyOf(withImage('https://example.com/b.png'))).toBeDefined();
    expect(keyOf(withImage('https://example.com/b.png'))).toBe(keyOf(withImage('https://example.com/c.png')));
  });
});

describe('a line with a key', () => {
  test('is the line, but for that member, and filling it in again changes nothing', () => {
    const body = fc.dictionary(
      fc.constantFrom('n', 'metadata', '__proto__', 'prompt_cache_key', ''),
      fc.jsonValue(),
    );
    const line = fc.record(
      {
        custom_id: fc.jsonValue(),
        url: fc.constantFrom(RESPONSES, CHAT, '/v1/embeddings', 7),
        body: fc.oneof(body, fc.jsonValue()),
        '': fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    let keyed = 0;
    const property = fc.property(line, fc.boolean(), (said, isLong) => {
      const own = structuredClone(said) as { body?: Record<string, unknown> };
      if (typeof own.body === 'object' && own.body !== null && !Array.isArray(own.body)) {
        const content = isLong ? LONG : 'a';
        own.body = { ...own.body, model: 'gpt-6-luna', input: LONG, messages: [{ role: 'user', content }] };
      }
      const json = JSON.stringify(own);
      const result = filled(json);
      expect(filled(result)).toBe(result);
      if (result === json) return;
      keyed++;
      const { prompt_cache_key, ...rest } = JSON.parse(result).body;
      expect(prompt_cache_key).toMatch(/^batchdrop-/);
      expect({ ...JSON.parse(result), body: rest }).toEqual(JSON.parse(json));
      expect(Object.hasOwn(JSON.parse(json).body, 'prompt_cache_key')).toBe(false);
    });
    const numRuns = propertyRuns(1_000, 400);
    fc.assert(property, { numRuns });
    // About one line in twelve; with none, nothing would be compared.
    expect(keyed).toBeGreaterThan(numRuns / 50);
  });

  test('keeps everything else as it is; one without a key stays as it is, byte for byte', () => {
    const line = (input: string): string =>
      `{ "custom_id": "a", "url": "/v1/responses", "body": {"model": "gpt-6-luna", "temperature": 1.0, "seed": 12345678901234567890, "input": "${input}"}}`;
    expect(filled(line(LONG))).toBe(
      line(LONG).replace('"}}', '","prompt_cache_key":"batchdrop-1e024cb8858ee7740a5403bc8c58e3db"}}'),
    );
    expect(filled(line('short'))).toBe(line('short'));
  });

  test('does without where it would be too long or is nested too deeply: what is valid stays so', () => {
    const hasCachedRate = always;
    const around = Buffer.byteLength(requestLine('a', { body: { model: 'gpt-6-luna', messages: [] } }));
    const content = 'x'.repeat(MAX_LINE_BYTES - around - 50);
    const long = requestLine('a', { body: { model: 'gpt-6-luna', messages: [{ role: 'user', content }] } });
    const deep = `{"custom_id":"a","method":"POST","url":"${CHAT}","body":{"model":"gpt-6-luna","x":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`;
    for (const line of [long, deep]) {
      const { verdict, bytes } = checkFilledIn(Buffer.from(line), { hasCachedRate }, OPENAI_RULES);
      expect(verdict.valid).toBe(true);
      expect(Buffer.from(line).equals(bytes)).toBe(true);
    }
  });
});

test('prices say whose cached tokens cost less: in batch those of gpt-5.1 and later, not of gpt-4o, nor of what is unknown', () => {
  const prices = new Prices(OPENAI_PRICES);
  const at = Date.UTC(2026, 9, 1);
  const has = (model: string, tier: 'batch' | 'flex' | 'standard') => prices.hasCachedRate(model, tier, at);
  expect(has('gpt-5.1', 'batch')).toBe(true);
  expect(has('gpt-6-luna', 'batch')).toBe(true);
  expect(has('gpt-6-luna-2026-09-22', 'batch')).toBe(true);
  expect(has('gpt-4o-mini', 'batch')).toBe(false);
  expect(has('gpt-4o-mini', 'standard')).toBe(true);
  expect(has('o3', 'flex')).toBe(true);
  expect(has('text-embedding-3-small', 'batch')).toBe(false);
  expect(has('unheard-of', 'batch')).toBe(false);
});

describe('a route with promptCacheKey', () => {
  const responseLine = (id: string, body: Record<string, unknown>): string =>
    requestLine(id, { url: RESPONSES, body });
  const LINES = [
    responseLine('a', { model: 'gpt-6-luna', instructions: LONG, input: 'one' }),
    responseLine('b', { model: 'gpt-6-luna', instructions: LONG, input: 'two' }),
    responseLine('own', {
      model: 'gpt-6-luna',
      instructions: LONG,
      input: 'three',
      prompt_cache_key: 'mine',
    }),
    responseLine('short', { model: 'gpt-6-luna', input: 'four' }),
    responseLine('other', { model: 'gpt-5.4-mini', instructions: LONG, input: 'five' }),
    responseLine('undiscounted', { model: 'gpt-4o-mini', instructions: LONG, input: 'six' }),
    '{"custom_id":  "bad"}',
  ];

  async function keysOf(route: Partial<Route>, key = 'input/a.jsonl', started?: Pipeline) {
    const settings = settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'keyed', prefix: 'input/', ...route }],
    });
    const p = started ?? (await startTestPipeline({ settings, twice: true }));
    await p.drop(key, Buffer.from(LINES.join('\n')));
    await p.run();
    expect(p.failures).toEqual([]);
    const output = await p.output(key);
    return {
      p,
      keys: Object.fromEntries(
        output.map(({ custom_id, response }) => [custom_id, response.body.prompt_cache_key]),
      ),
    };
  }

  test('sends prompts that begin alike with one key, in later files too, and gives back lines as they were dropped', async () => {
    const { p, keys } = await keysOf({ promptCacheKey: 'by_prefix' });
    expect(keys.a).toMatch(/^batchdrop-/);
    expect(keys).toEqual({
      a: keys.a,
      b: keys.a,
      own: 'mine',
      short: null,
      other: expect.stringMatching(/^batchdrop-/),
      undiscounted: null,
    });
    expect(keys.other).not.toBe(keys.a);
    expect(await p.retry('input/a.jsonl')).toBe(`${LINES.at(-1)}\n`);
    const later = await keysOf({ promptCacheKey: 'by_prefix' }, 'input/b.jsonl', p);
    expect(later.keys).toEqual(keys);
  });

  test('goes by all tiers that the file may use', async () => {
    const { keys } = await keysOf({
      promptCacheKey: 'by_prefix',
      tiers: ['batch', 'standard'],
      deadline: '2d',
    });
    expect(keys.undiscounted).toMatch(/^batchdrop-/);
  });

  test('keeps a key in its defaults, and without the setting nothing has one', async () => {
    const { keys } = await keysOf({
      promptCacheKey: 'by_prefix',
      defaults: { body: { prompt_cache_key: 'ours' } },
    });
    expect(new Set(Object.values(keys))).toEqual(new Set(['ours', 'mine']));
    const without = await keysOf({});
    expect(new Set(Object.values(without.keys))).toEqual(new Set([null, 'mine']));
  });
});
