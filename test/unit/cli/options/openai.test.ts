/** What answers in place of the emulator. */
import { describe, expect, it } from 'vitest';
import { chooseOpenAI } from '../../../../cli/options/openai.ts';

const KEY = { OPENAI_API_KEY: 'sk-test' };

describe('what answers in place of the emulator', () => {
  it('is the address of the region that the settings say, where money may be spent', () => {
    expect(chooseOpenAI(KEY, true)?.baseUrl).toBe('https://api.openai.com/v1');
    expect(chooseOpenAI(KEY, true, { default: 'eu' })?.baseUrl).toBe('https://eu.api.openai.com/v1');
    expect(chooseOpenAI({}, false, { default: 'eu' })).toBeUndefined();
  });

  it.each<[string, object, Parameters<typeof chooseOpenAI>[2], RegExp]>([
    [
      'two regions',
      {},
      { default: 'eu', search: 'us' },
      /dataResidency \(eu, us\): all requests of a local stack/,
    ],
    [
      'a region and an address',
      { OPENAI_BASE_URL: 'https://llm.example.com/v1' },
      { default: 'eu' },
      /dataResidency \(eu\) and OPENAI_BASE_URL is "https:\/\/llm/,
    ],
  ])('is refused for %s', (_what, env, residency, message) => {
    expect(() => chooseOpenAI({ ...KEY, ...env }, true, residency)).toThrow(message);
  });

  it('is never the real OpenAI without --live, also not in a region', () => {
    for (const host of ['api', 'eu.api'])
      expect(() => chooseOpenAI({ OPENAI_BASE_URL: `https://${host}.openai.com/v1` }, false)).toThrow(
        /names the real OpenAI/,
      );
  });
});
