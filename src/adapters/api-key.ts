import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { API_KEY_PLACEHOLDER, setApiKeyCommand } from '../contract/api-key.ts';
import { ApiKeyMissingError, ApiKeyUnknownError } from '../core/base/errors.ts';

/** How long a key is kept: a new one is in use after five minutes at the latest. */
export const API_KEY_CACHE_MS = 5 * 60_000;

/** The OpenAI API key and which version of the secret it is. */
export interface ApiKeyValue {
  key: string;
  versionId: string;
}

/** The versions of one key, each for as long as it is kept. */
export interface ApiKeys {
  /** The current one; it may have been read some minutes ago. */
  read(): Promise<ApiKeyValue>;
  /** The current one, read now. */
  readAgain(): Promise<ApiKeyValue>;
  /** An earlier one; `undefined` if it is not kept any more. */
  readVersion(versionId: string): Promise<ApiKeyValue | undefined>;
}

/**
 * Reads the OpenAI API key, kept as plain text in a Secrets Manager secret. A secret keeps what it held before:
 * versions younger than 24 hours always, and about a hundred in all (Secrets Manager user guide, "What's in a
 * secret").
 */
export class ApiKey implements ApiKeys {
  readonly #client: SecretsManagerClient;
  readonly #secretId: string;
  readonly #now: () => number;
  #cached: { value: Promise<ApiKeyValue>; readAt: number } | undefined;
  /** Earlier values, by version: they never change. */
  readonly #versions = new Map<string, ApiKeyValue>();

  /** @param now epoch milliseconds; ages the cache. */
  constructor(client: SecretsManagerClient, names: { secretId: string }, now: () => number) {
    this.#client = client;
    this.#secretId = names.secretId;
    this.#now = now;
  }

  /**
   * The key, from the secret or from what was read in the last five minutes.
   * @throws {ApiKeyMissingError} if the secret is empty or still holds a placeholder.
   */
  read(): Promise<ApiKeyValue> {
    const now = this.#now();
    if (this.#cached === undefined || now - this.#cached.readAt >= API_KEY_CACHE_MS) {
      const cached = { value: this.#fetch(), readAt: now };
      this.#cached = cached;
      // A failure is not kept.
      cached.value.catch(() => {
        if (this.#cached === cached) this.#cached = undefined;
      });
    }
    return this.#cached.value;
  }

  /** The key, from the secret: what is kept of it may be out of date. */
  readAgain(): Promise<ApiKeyValue> {
    this.#cached = undefined;
    return this.read();
  }

  /** The key as an earlier version of the secret has it; `undefined` if there is no such version any more. */
  async readVersion(versionId: string): Promise<ApiKeyValue | undefined> {
    const known = this.#versions.get(versionId);
    if (known !== undefined) return known;
    const current = await this.#cached?.value.catch(() => undefined);
    if (current?.versionId === versionId) return current;
    let value: ApiKeyValue;
    try {
      value = await this.#fetch(versionId);
    } catch (error) {
      if (error instanceof ApiKeyMissingError) return undefined;
      throw error;
    }
    this.#versions.set(versionId, value);
    return value;
  }

  async #fetch(versionId?: string): Promise<ApiKeyValue> {
    let secret: { SecretString?: string | undefined; VersionId?: string | undefined };
    try {
      secret = await this.#client.send(
        new GetSecretValueCommand({
          SecretId: this.#secretId,
          VersionId: versionId,
        }),
      );
    } catch (error) {
      // A secret that was created without a value has no version yet.
      if ((error as Error).name === 'ResourceNotFoundException') {
        throw this.#missing('does not exist or has no value', error);
      }
      throw error;
    }
    const key = secret.SecretString?.trim() ?? '';
    if (key === '') throw this.#missing('is empty');
    if (key === API_KEY_PLACEHOLDER) throw this.#missing('still holds what the deployment put there');
    // Would otherwise fail as an invalid header, with the value in the message.
    if (!/^[\x21-\x7e]+$/.test(key) || key.startsWith('{')) {
      throw this.#missing('does not hold the key alone, as plain text');
    }
    return { key, versionId: secret.VersionId ?? '' };
  }

  #missing(problem: string, cause?: unknown): ApiKeyMissingError {
    return new ApiKeyMissingError(
      `the secret ${this.#secretId} ${problem}; set the OpenAI API key with: ` +
        setApiKeyCommand(this.#secretId),
      cause === undefined ? undefined : { cause },
    );
  }
}

/** A key that this deployment has no secret for: a job was created with it, and its route has gone since. */
export class UnknownApiKey implements ApiKeys {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /** @throws {ApiKeyUnknownError} always. */
  async read(): Promise<never> {
    throw new ApiKeyUnknownError(
      `this deployment has no secret for the API key "${this.#name}", with which a job was dropped: deploy a route with ` +
        `"apiKey": "${this.#name}" again and set the key; until then its batches wait`,
    );
  }

  readAgain = this.read;
  readVersion = this.read;
}
