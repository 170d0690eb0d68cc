/** Tokens, as answers count them. */
import { describe, expect, it } from 'vitest';
import { addUsage, noUsage } from '../../../../src/core/model/usage.ts';
import { usageOf } from '../../../../src/providers/openai/usage.ts';
import { isUsageReported } from '../../../../src/providers/openai/usage-reported.ts';

describe('usage', () => {
  it.each<[string, unknown, number[]]>([
    [
      'chat',
      {
        prompt_tokens: 10,
        completion_tokens: 20,
        total_tokens: 30,
        prompt_tokens_details: { cached_tokens: 4, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 7 },
      },
      [10, 4, 20, 7],
    ],
    [
      'responses',
      {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 20,
        output_tokens_details: { reasoning_tokens: 7 },
        total_tokens: 30,
      },
      [10, 4, 20, 7],
    ],
    ['embeddings', { prompt_tokens: 8, total_tokens: 8 }, [8, 0, 0, 0]],
    [
      'details that are null',
      { input_tokens: 1, output_tokens: 2, input_tokens_details: null },
      [1, 0, 2, 0],
    ],
    ['no usage', undefined, [0, 0, 0, 0]],
    ['usage that is null', null, [0, 0, 0, 0]],
    [
      'nonsense',
      { input_tokens: '5', output_tokens: -3, input_tokens_details: { cached_tokens: 1.5 } },
      [0, 0, 0, 0],
    ],
    [
      'more tokens than a sum of many could hold',
      { input_tokens: Number.MAX_SAFE_INTEGER, output_tokens: 2 },
      [0, 0, 2, 0],
    ],
    [
      'both families of names, one of zeros',
      {
        prompt_tokens: 100,
        completion_tokens: 50,
        input_tokens: 0,
        output_tokens: 0,
        prompt_tokens_details: { cached_tokens: 4 },
        input_tokens_details: { cached_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 7 },
        output_tokens_details: {},
      },
      [100, 4, 50, 7],
    ],
    [
      'both families, the other one of zeros',
      { prompt_tokens: 0, completion_tokens: 0, input_tokens: 100, output_tokens: 50 },
      [100, 0, 50, 0],
    ],
    ['numbers that no sum could hold', { input_tokens: 1e300, output_tokens: 2 }, [0, 0, 2, 0]],
  ])('reads the usage of %s', (_what, usage, [inputTokens, cachedTokens, outputTokens, reasoningTokens]) => {
    expect(usageOf({ usage })).toMatchObject({ inputTokens, cachedTokens, outputTokens, reasoningTokens });
  });

  it.each<[string, object, number]>([
    ['none is said', { input_tokens_details: { cache_write_tokens: 10 } }, 10],
    [
      'both are said',
      {
        input_tokens_details: {
          cache_write_tokens: 10,
          cache_write_tokens_details: { ttl_30m_tokens: 7, ttl_12h_tokens: 3 },
        },
      },
      3,
    ],
    [
      'less is said than was written',
      {
        prompt_tokens_details: { cache_write_tokens: 10, cache_write_tokens_details: { ttl_30m_tokens: 6 } },
      },
      4,
    ],
    [
      'more is said than was written',
      {
        prompt_tokens_details: { cache_write_tokens: 10, cache_write_tokens_details: { ttl_30m_tokens: 60 } },
      },
      0,
    ],
    ['nothing was written', { input_tokens_details: { cache_write_tokens: 0 } }, 0],
  ])(
    'counts cache writes as the dearer kind unless they are said to be for 30 minutes: %s',
    (_what, usage, expected) => {
      expect(usageOf({ usage }).cacheWrite12hTokens).toBe(expected);
      expect(
        usageOf({ usage, prompt_cache_options: { mode: 'implicit', ttl: '30m' } }).cacheWrite12hTokens,
      ).toBe(0);
    },
  );

  it.each<[string, object, number[]]>([
    ['says nothing', {}, [10, 20]],
    [
      'says both',
      {
        input_tokens_details: { text_tokens: 4, image_tokens: 6 },
        output_tokens_details: { text_tokens: 5, image_tokens: 15 },
      },
      [6, 15],
    ],
    ['says more text than tokens', { input_tokens_details: { text_tokens: 40 } }, [0, 20]],
  ])(
    'counts tokens of an answer with images as image tokens unless it says text: %s',
    (_what, details, expected) => {
      const usage = { input_tokens: 10, output_tokens: 20, ...details };
      const { imageInputTokens, imageOutputTokens } = usageOf({
        created: 1,
        data: [{ b64_json: 'A' }],
        usage,
      });
      expect([imageInputTokens, imageOutputTokens]).toEqual(expected);
      // Embeddings have data as well, and say what they are.
      expect(usageOf({ object: 'list', data: [], usage }).imageInputTokens).toBe(0);
    },
  );

  it('adds usage up, field by field', () => {
    const sum = noUsage();
    addUsage(sum, {
      inputTokens: 1,
      cachedTokens: 2,
      cacheWriteTokens: 1,
      cacheWrite12hTokens: 5,
      imageInputTokens: 6,
      imageOutputTokens: 7,
      outputTokens: 3,
      reasoningTokens: 4,
    });
    addUsage(sum, {
      inputTokens: 10,
      cachedTokens: 20,
      cacheWriteTokens: 10,
      cacheWrite12hTokens: 50,
      imageInputTokens: 60,
      imageOutputTokens: 70,
      outputTokens: 30,
      reasoningTokens: 40,
    });
    expect(sum).toEqual({
      inputTokens: 11,
      cachedTokens: 22,
      cacheWriteTokens: 11,
      cacheWrite12hTokens: 55,
      imageInputTokens: 66,
      imageOutputTokens: 77,
      outputTokens: 33,
      reasoningTokens: 44,
    });
    expect(noUsage()).toEqual({
      inputTokens: 0,
      cachedTokens: 0,
      cacheWriteTokens: 0,
      cacheWrite12hTokens: 0,
      imageInputTokens: 0,
      imageOutputTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
    });
  });

  it.each<[string, string, unknown, boolean]>([
    ['counts both', '/v1/responses', { input_tokens: 5, output_tokens: 5 }, true],
    ['counts no output, which it says', '/v1/responses', { input_tokens: 5, output_tokens: 0 }, true],
    ['does not count its output', '/v1/chat/completions', { prompt_tokens: 5 }, false],
    [
      'does not count its output in a number',
      '/v1/completions',
      { prompt_tokens: 5, completion_tokens: '5' },
      false,
    ],
    ['counts its input only, as an embedding', '/v1/embeddings', { prompt_tokens: 5, total_tokens: 5 }, true],
    ['counts nothing, as an embedding', '/v1/embeddings', { prompt_tokens: 0, total_tokens: 0 }, false],
    ['counts its output only', '/v1/responses', { input_tokens: 0, output_tokens: 5 }, false],
    ['counts zeros', '/v1/responses', { input_tokens: 0, output_tokens: 0 }, false],
    ['has none', '/v1/responses', undefined, false],
    ['has null', '/v1/responses', null, false],
    ['has text', '/v1/responses', '5 tokens', false],
  ])('is known of an answer that %s: %s', (_what, endpoint, usage, isReported) => {
    expect(isUsageReported({ usage }, endpoint)).toBe(isReported);
  });
});
