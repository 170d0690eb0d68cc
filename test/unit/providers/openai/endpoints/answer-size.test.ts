import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withRequest } from '../../../../../src/core/model/predicted-output.ts';
import { ENDPOINTS } from '../../../../../src/providers/openai/endpoints/all.ts';
import { OPENAI_LIMITS } from '../../../../../src/providers/openai/limits.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';

const predict = (url: string, body: Record<string, unknown>, inputs = 0, requestBytes = 200): number =>
  withRequest(ENDPOINTS.get(url)!.predictOutput({ model: 'm', ...body }, inputs), requestBytes);

/** Bytes of an answer's line with an embedding of so many dimensions for each input, at full precision. */
function embeddingLineBytes(inputs: number, dimensions: number): number {
  const embedding = new Array(dimensions).fill(-0.012345678);
  const data = Array.from({ length: inputs }, (_, index) => ({ object: 'embedding', index, embedding }));
  return JSON.stringify({ id: 'batch_req_x', custom_id: 'a', response: { status_code: 200, body: { data } } })
    .length;
}

describe('predictOutput', () => {
  it('is at least what an embedding takes, by model and by dimensions asked for', () => {
    const small = predict('/v1/embeddings', { model: 'text-embedding-3-small' }, 3);
    expect(small).toBeGreaterThanOrEqual(embeddingLineBytes(3, 1_536));
    const large = predict('/v1/embeddings', { model: 'text-embedding-3-large' }, 3);
    expect(large).toBeGreaterThanOrEqual(embeddingLineBytes(3, 3_072));
    const asked = predict('/v1/embeddings', { model: 'text-embedding-3-large', dimensions: 256 }, 3);
    expect(asked).toBeGreaterThanOrEqual(embeddingLineBytes(3, 256));
    expect(asked).toBeLessThan(large / 5);
  });

  it('takes the embeddings of a model it does not know for the largest', () => {
    const known = predict('/v1/embeddings', { model: 'text-embedding-3-large' }, 1);
    expect(predict('/v1/embeddings', { model: 'new-embedding' }, 1)).toBe(known);
  });

  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    'takes a model named %s for one it does not know',
    (model) => {
      const known = predict('/v1/embeddings', { model: 'text-embedding-3-large' }, 1);
      expect(predict('/v1/embeddings', { model }, 1)).toBe(known);
    },
  );

  it('counts embeddings in base64 as the smaller text that they are', () => {
    const float = predict('/v1/embeddings', { model: 'text-embedding-3-large' }, 10);
    const base64 = predict(
      '/v1/embeddings',
      { model: 'text-embedding-3-large', encoding_format: 'base64' },
      10,
    );
    expect(base64).toBeLessThan(float / 2);
    expect(base64).toBeGreaterThan(10 * Math.ceil((3_072 * 4) / 3) * 4 * 0.25);
  });

  it('grows with the tokens that a request allows, under each of their names', () => {
    const chat = '/v1/chat/completions';
    const few = predict(chat, { max_completion_tokens: 100 });
    expect(predict(chat, { max_completion_tokens: 10_000 })).toBeGreaterThan(few + 40_000);
    expect(predict(chat, { max_tokens: 10_000 })).toBe(predict(chat, { max_completion_tokens: 10_000 }));
    expect(predict('/v1/responses', { max_output_tokens: 10_000 })).toBeGreaterThan(
      predict('/v1/responses', { max_output_tokens: 100 }) + 40_000,
    );
    expect(predict('/v1/completions', { max_tokens: 10_000 })).toBeGreaterThan(
      predict('/v1/completions', {}) + 40_000,
    );
  });

  it('multiplies by the answers asked for', () => {
    const one = predict('/v1/chat/completions', { max_tokens: 1_000 });
    expect(predict('/v1/chat/completions', { max_tokens: 1_000, n: 8 })).toBeGreaterThan(5 * one);
    const image = predict('/v1/images/generations', {});
    expect(image).toBeGreaterThan(1_000_000);
    expect(predict('/v1/images/generations', { n: 4 })).toBeGreaterThan(3.9 * image);
  });

  it('counts images by URL as short', () => {
    expect(predict('/v1/images/generations', { response_format: 'url' })).toBeLessThan(10_000);
  });

  it('counts logprobs and their alternatives', () => {
    const plain = predict('/v1/chat/completions', { max_tokens: 1_000 });
    const logprobs = predict('/v1/chat/completions', { max_tokens: 1_000, logprobs: true });
    expect(logprobs).toBeGreaterThan(10 * plain);
    expect(
      predict('/v1/chat/completions', { max_tokens: 1_000, logprobs: true, top_logprobs: 20 }),
    ).toBeGreaterThan(15 * logprobs);
    expect(predict('/v1/chat/completions', { max_tokens: 1_000, logprobs: false })).toBe(plain);
    expect(predict('/v1/chat/completions', { max_tokens: 1_000, logprobs: null })).toBe(plain);
    expect(predict('/v1/completions', { max_tokens: 1_000, logprobs: 5 })).toBeGreaterThan(
      predict('/v1/completions', { max_tokens: 1_000, logprobs: 1 }),
    );
  });

  it('counts the request itself where the answer repeats it', () => {
    expect(predict('/v1/responses', {}, 0, 1_000_000)).toBeGreaterThan(1_000_000);
    expect(predict('/v1/completions', { echo: true }, 0, 1_000_000)).toBeGreaterThan(1_000_000);
    expect(predict('/v1/chat/completions', {}, 0, 1_000_000)).toBeLessThan(100_000);
  });

  it('lets a full batch of short answers through: 50,000 requests without limits fit one output file', () => {
    expect(50_000 * predict('/v1/chat/completions', {})).toBeLessThanOrEqual(OPENAI_LIMITS.outputBytes);
  });

  it.each<[string, string, Record<string, unknown>]>([
    ['negative logprobs', '/v1/completions', { logprobs: -1_000_000 }],
    ['logprobs of minus infinity', '/v1/completions', { logprobs: Number.NEGATIVE_INFINITY }],
    ['negative n', '/v1/chat/completions', { n: -5 }],
    ['negative max_tokens', '/v1/chat/completions', { max_tokens: -5 }],
    ['negative dimensions', '/v1/embeddings', { dimensions: -5 }],
    ['negative n of images', '/v1/images/generations', { n: -5 }],
    ['n of zero', '/v1/chat/completions', { n: 0 }],
  ])('is positive for %s', (_what, url, body) => {
    expect(predict(url, body, url === '/v1/embeddings' ? 1 : 0)).toBeGreaterThan(0);
  });

  it('is positive for any body, never NaN', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom(-1, 0, 1e308, -1e308, Number.POSITIVE_INFINITY, 0.5, true, 'base64', 'url'),
    );
    const fields = [
      'n best_of max_tokens max_completion_tokens max_output_tokens logprobs top_logprobs dimensions',
      'encoding_format response_format input echo model',
    ].flatMap((names) => names.split(' '));
    fc.assert(
      fc.property(
        fc.constantFrom(...ENDPOINTS.keys()),
        fc.dictionary(fc.constantFrom(...fields), value),
        fc.integer({ min: 1, max: 50_000 }),
        (url, body, inputs) => {
          const bytes = predict(url, body, inputs);
          expect(bytes).toBeGreaterThan(0);
        },
      ),
      { numRuns: propertyRuns(1_000) },
    );
  });
});
