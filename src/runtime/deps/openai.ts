import OpenAI from 'openai';
import { ApiKey, type ApiKeys, UnknownApiKey } from '../../adapters/api-key.ts';
import { apiKeySecretName } from '../../contract/api-key.ts';
import { residentBaseUrl } from '../../contract/data-residency.ts';
import { apiKeyNamesOf, type Settings } from '../../contract/settings.ts';
import { defined } from '../../core/base/defined.ts';
import { systemAmbient } from '../ambient.ts';
import { createSecretsManagerClient } from '../clients.ts';

/** What of the environment a client of OpenAI needs. */
export interface OpenAIConfig {
  STACK_ID: string;
  OPENAI_BASE_URL?: string | undefined;
}

/**
 * One client for each key, at the address of its region. A key is read when the first request is sent with it, and again when it is five minutes
 * old.
 */
export function clientsByKey({ STACK_ID, OPENAI_BASE_URL }: OpenAIConfig, settings: Settings) {
  const secrets = createSecretsManagerClient();
  const names = new Set(apiKeyNamesOf(settings));
  const known = new Map<string, { client: OpenAI; keys: ApiKeys }>();
  return (name: string): { client: OpenAI; keys: ApiKeys } => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const keys = names.has(name)
      ? new ApiKey(secrets, { secretId: apiKeySecretName(STACK_ID, name) }, systemAmbient.now)
      : new UnknownApiKey(name);
    const region = settings.dataResidency[name];
    const baseUrl = OPENAI_BASE_URL ?? (region && residentBaseUrl(region));
    const client = createOpenAIClient(async () => (await keys.read()).key, baseUrl);
    known.set(name, { client, keys });
    return { client, keys };
  };
}

/** Until the headers of an answer; uploads bring their own. Creating a batch has been seen to take tens of seconds. */
const OPENAI_TIMEOUT_MS = 120_000;

/**
 * @param readKey called before each request, so that a new key is taken up.
 * @param baseUrl default: `OPENAI_BASE_URL`, else OpenAI.
 */
export function createOpenAIClient(readKey: () => Promise<string>, baseUrl?: string): OpenAI {
  return new OpenAI(
    defined({
      apiKey: readKey,
      timeout: OPENAI_TIMEOUT_MS,
      maxRetries: 2,
      // Would log bodies at `debug`; whatever OPENAI_LOG says.
      logLevel: 'off',
      baseURL: baseUrl,
    }),
  );
}
