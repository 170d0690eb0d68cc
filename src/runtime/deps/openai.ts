import OpenAI from 'openai';
import { ApiKey } from '../../adapters/api-key.ts';
import { OpenAIBatches } from '../../adapters/openai-batches.ts';
import { OpenAICalls } from '../../adapters/openai-calls.ts';
import type { BatchApi, CallApi } from '../../core/ports.ts';
import { systemAmbient } from '../ambient.ts';
import { createSecretsManagerClient } from '../clients.ts';

interface OpenAIConfig {
  API_KEY_SECRET_ARN: string;
  OPENAI_BASE_URL?: string | undefined;
}

/** The key is read when the first request is sent, and again when it is five minutes old. */
function createApiKey(config: OpenAIConfig): ApiKey {
  const secret = { secretArn: config.API_KEY_SECRET_ARN };
  return new ApiKey(createSecretsManagerClient(), secret, systemAmbient.now);
}

export function createCallApi(config: OpenAIConfig): CallApi {
  const apiKey = createApiKey(config);
  return new OpenAICalls(createOpenAIClient(async () => (await apiKey.read()).key, config.OPENAI_BASE_URL));
}

export function createBatchApi(config: OpenAIConfig): BatchApi {
  const apiKey = createApiKey(config);
  const client = createOpenAIClient(async () => (await apiKey.read()).key, config.OPENAI_BASE_URL);
  return new OpenAIBatches(client, apiKey);
}

/** Until the headers of an answer; uploads bring their own. Creating a batch has been seen to take tens of seconds. */
const OPENAI_TIMEOUT_MS = 120_000;

/**
 * @param readKey called before each request, so that a new key is taken up.
 * @param baseUrl default: `OPENAI_BASE_URL`, else OpenAI.
 */
export function createOpenAIClient(readKey: () => Promise<string>, baseUrl?: string): OpenAI {
  return new OpenAI({
    apiKey: readKey,
    timeout: OPENAI_TIMEOUT_MS,
    maxRetries: 2,
    // Would log bodies at `debug`; whatever OPENAI_LOG says.
    logLevel: 'off',
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl }),
  });
}
