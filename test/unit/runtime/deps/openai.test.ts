/** Where requests go, by the name of their API key. */
import { describe, expect, it } from 'vitest';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import { clientsByKey } from '../../../../src/runtime/deps/openai.ts';
import { BATCH_ONLY } from '../../../support/routes.ts';

const settings = settingsSchema.parse({
  routes: [
    { ...BATCH_ONLY, name: 'a', prefix: 'input/a/' },
    { ...BATCH_ONLY, name: 'b', prefix: 'input/b/', apiKey: 'europe' },
  ],
  dataResidency: { europe: 'eu' },
});

describe('the client of an API key', () => {
  it('goes to the region that the settings say for the key, and others to OpenAI', () => {
    const clientOf = clientsByKey({ STACK_ID: 'stack' }, settings);
    expect(clientOf('europe').client.baseURL).toBe('https://eu.api.openai.com/v1');
    expect(clientOf('default').client.baseURL).toBe('https://api.openai.com/v1');
  });

  it('goes to the address of the environment, which the local stack sets, for all keys', () => {
    const clientOf = clientsByKey({ STACK_ID: 'stack', OPENAI_BASE_URL: 'http://127.0.0.1:1/v1' }, settings);
    expect(clientOf('europe').client.baseURL).toBe('http://127.0.0.1:1/v1');
  });
});
