import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../contract/time.ts';
import { WEBHOOK_SECRET_PLACEHOLDER, webhookSecretName } from '../contract/webhooks.ts';
import type { WebhookSecrets } from '../core/ports/webhooks.ts';

/** How long what was read is used. */
const CACHE_MS = 5 * MINUTE_MS;
/** Forged requests must not read secrets as often as they come. */
const READ_AGAIN_MS = 30 * SECOND_MS;
/**
 * OpenAI signs with the secret before as well for 24 hours after a rotation (openai 7.59.0
 * `WebhookRotateSecretParams`); an hour more for the time between the rotation and its record.
 */
const PREVIOUS_VALID_MS = 25 * HOUR_MS;

/** One version of a secret. */
interface Version {
  value: string;
  createdAt: number;
}

/**
 * {@link WebhookSecrets} in Secrets Manager: a secret holds one signing secret as plain text. When another one is
 * put, Secrets Manager keeps the one before as `AWSPREVIOUS`, which is valid for 25 hours more.
 */
export class SecretsManagerWebhookSecrets implements WebhookSecrets {
  readonly #client: SecretsManagerClient;
  readonly #stackId: string;
  readonly #now: () => number;
  readonly #known = new Map<string, { secrets: readonly string[]; readAt: number }>();

  /** @param now epoch milliseconds. */
  constructor(client: SecretsManagerClient, { stackId }: { stackId: string }, now: () => number) {
    this.#client = client;
    this.#stackId = stackId;
    this.#now = now;
  }

  async read(apiKey: string): Promise<readonly string[]> {
    const known = this.#known.get(apiKey);
    return known !== undefined && this.#now() < known.readAt + CACHE_MS ? known.secrets : this.#fetch(apiKey);
  }

  async readAgain(apiKey: string): Promise<readonly string[] | undefined> {
    const known = this.#known.get(apiKey);
    return known !== undefined && this.#now() < known.readAt + READ_AGAIN_MS
      ? undefined
      : this.#fetch(apiKey);
  }

  async #fetch(apiKey: string): Promise<readonly string[]> {
    const now = this.#now();
    const current = await this.#version(apiKey, 'AWSCURRENT');
    const isRotated = current !== undefined && now < current.createdAt + PREVIOUS_VALID_MS;
    const previous = isRotated ? await this.#version(apiKey, 'AWSPREVIOUS') : undefined;
    const secrets = [current, previous].flatMap((version) =>
      version === undefined || !isSigningSecret(version.value) ? [] : [version.value],
    );
    this.#known.set(apiKey, { secrets, readAt: now });
    return secrets;
  }

  async #version(apiKey: string, stage: 'AWSCURRENT' | 'AWSPREVIOUS'): Promise<Version | undefined> {
    const secretId = webhookSecretName(this.#stackId, apiKey);
    try {
      const { SecretString = '', CreatedDate } = await this.#client.send(
        new GetSecretValueCommand({ SecretId: secretId, VersionStage: stage }),
      );
      return { value: SecretString.trim(), createdAt: CreatedDate?.getTime() ?? 0 };
    } catch (error) {
      // There is no such version.
      if ((error as Error).name === 'ResourceNotFoundException') return undefined;
      throw error;
    }
  }
}

/** Plain text; what the deployment put there, or JSON, is none. */
function isSigningSecret(value: string): boolean {
  return value !== WEBHOOK_SECRET_PLACEHOLDER && /^[\x21-\x7e]+$/.test(value) && !value.startsWith('{');
}
