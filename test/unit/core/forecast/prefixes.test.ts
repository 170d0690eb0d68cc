import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SharedPrefixes } from '../../../../src/core/forecast/prefixes.ts';

const KIND = { endpoint: '/v1/responses', model: 'gpt-6.1-terra', minTokens: 1_024 };

/** One token a word. */
const tokenizer = (text: string): number => text.split(' ').filter((word) => word !== '').length;
const wordsOf = (count: number, seed: string): string =>
  Array.from({ length: count }, (_, index) => `${seed}${index}`).join(' ');

function reportOf(
  prompts: readonly string[][],
  { maxNodes, minTokens = 1_024 }: { maxNodes?: number; minTokens?: number } = {},
) {
  const prefixes = new SharedPrefixes(() => tokenizer, maxNodes === undefined ? {} : { maxNodes });
  prompts.forEach((texts, index) => {
    prefixes.add({ ...KIND, minTokens }, texts, index + 1);
  });
  return prefixes.report();
}

describe('SharedPrefixes', () => {
  it('finds how many requests begin alike, with how many tokens, and what the first of them is', () => {
    const system = wordsOf(1_400, 's');
    const prompts = Array.from({ length: 50 }, (_, index) => [system, `${wordsOf(2_000, `u${index}.`)}`]);
    const { shared, requests, cachedTokens } = reportOf([[wordsOf(3_000, 'other')], ...prompts]);
    expect(shared).toHaveLength(1);
    expect(shared[0]).toMatchObject({ requests: 50, firstLine: 2 });
    expect(shared[0]!.tokens).toBeGreaterThanOrEqual(1_399);
    expect(shared[0]!.tokens).toBeLessThanOrEqual(1_401);
    expect(requests).toBe(50);
    expect(cachedTokens.get('gpt-6.1-terra')).toBe(49 * shared[0]!.tokens);
  });

  it.each([
    [1_023, 'tooShort'],
    [1_025, 'shared'],
  ] as const)('tells a common beginning of %i tokens from one that can be cached', (tokens, list) => {
    const system = wordsOf(tokens, 'a');
    const report = reportOf(
      Array.from({ length: 9 }, (_, index) => [`${system} `, `${index}${'x'.repeat(2_000)}`]),
    );
    expect(report[list]).toHaveLength(1);
    expect(report[list === 'shared' ? 'tooShort' : 'shared']).toHaveLength(0);
  });

  it('goes by the minimum of the endpoint', () => {
    const system = wordsOf(1_500, 'a');
    const prompts = Array.from({ length: 9 }, (_, index) => [system, wordsOf(600, `u${index}.`)]);
    const { shared, tooShort } = reportOf(prompts, { minTokens: 2_048 });
    expect(shared).toEqual([]);
    expect(tooShort).toMatchObject([{ requests: 9, minTokens: 2_048 }]);
    expect(reportOf(prompts, { minTokens: 4_096 })).toMatchObject({ shared: [], tooShort: [] });
  });

  it('distinguishes two kinds of requests that begin with the same preamble', () => {
    const preamble = wordsOf(1_100, 'p');
    const kinds = ['a', 'b'].map((kind) => [preamble, wordsOf(2_000, kind)]);
    const prompts = Array.from({ length: 40 }, (_, index) => [...kinds[index % 2]!, `${index} `.repeat(300)]);
    const { shared, requests } = reportOf(prompts);
    expect(requests).toBe(40);
    expect(shared.filter(({ requests }) => requests === 20)).toHaveLength(2);
    for (const { tokens } of shared) expect(tokens).toBeGreaterThan(2_700);
  });

  it('does not mix models and endpoints, and finds nothing where nothing is shared', () => {
    const prefixes = new SharedPrefixes(() => tokenizer);
    const text = wordsOf(2_000, 'x');
    prefixes.add({ ...KIND, endpoint: '/v1/responses', model: 'gpt-6-luna' }, [text], 1);
    prefixes.add({ ...KIND, endpoint: '/v1/responses', model: 'gpt-6.1-terra' }, [text], 2);
    prefixes.add({ ...KIND, endpoint: '/v1/chat/completions', model: 'gpt-6-luna' }, [text], 3);
    expect(prefixes.report()).toEqual({ shared: [], tooShort: [], cachedTokens: new Map(), requests: 0 });
  });

  it('still finds what most requests share when it has to forget what only one has', () => {
    const system = wordsOf(1_500, 's');
    const prompts = Array.from({ length: 2_000 }, (_, index) => [system, wordsOf(600, `u${index}.`)]);
    const { shared } = reportOf(prompts, { maxNodes: 500 });
    expect(shared[0]!.requests).toBeGreaterThan(1_900);
    expect(shared[0]!.tokens).toBeGreaterThan(1_400);
  });

  it('never reports more than two requests really share', () => {
    const word = fc.constantFrom('a', 'b');
    const block = fc.array(word, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(block, { minLength: 2, maxLength: 12 }), (requests) => {
        const prompts = requests.map((blocks) => [blocks.map((each) => wordsOf(400, each)).join(' ')]);
        for (const { requests: sharing, tokens, firstLine } of reportOf(prompts).shared) {
          expect(tokens).toBeGreaterThanOrEqual(KIND.minTokens);
          const first = prompts[firstLine - 1]![0]!.split(' ');
          const alike = prompts.filter(([text]) => {
            const words = text!.split(' ');
            return (
              words.length >= tokens - 1 && first.slice(0, tokens - 1).every((each, at) => words[at] === each)
            );
          });
          expect(alike.length).toBeGreaterThanOrEqual(sharing);
        }
      }),
    );
  });
});
