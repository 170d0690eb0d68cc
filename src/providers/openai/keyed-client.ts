/**
 * OpenAI's client with the versions of one API key: which of them a call is made with, and which one if that is
 * refused.
 */
import type OpenAI from 'openai';
import type { ApiKeys, ApiKeyValue } from '../../adapters/api-key.ts';
import { KeyUnusableError } from '../../core/base/errors.ts';
import { isNotFound, isUnauthorized } from './request-error.ts';

/** The client with each version of one key. */
export class KeyedClient {
  readonly #client: OpenAI;
  readonly #keys: ApiKeys | undefined;

  /** @param keys default: the client's own key, the only one there is. */
  constructor(client: OpenAI, keys?: ApiKeys) {
    this.#client = client;
    this.#keys = keys;
  }

  #clientWith({ key }: ApiKeyValue): OpenAI {
    return this.#client.withOptions({ apiKey: key });
  }

  /** The client with the current key, and which version of the key that is. */
  async current(): Promise<{ client: OpenAI; keyVersion?: string | undefined }> {
    if (this.#keys === undefined) return { client: this.#client };
    const key = await this.#keys.read();
    return { client: this.#clientWith(key), keyVersion: key.versionId };
  }

  /** Whether a version of the key is not the current one any more: the key is read now. */
  async isReplaced(keyVersion: string | undefined): Promise<boolean> {
    if (this.#keys === undefined || keyVersion === undefined) return false;
    return (await this.#keys.readAgain()).versionId !== keyVersion;
  }

  /** Calls with the current key, and once more if it turns out to have been replaced. */
  async call<Result>(call: (client: OpenAI, keyVersion?: string) => Promise<Result>): Promise<Result> {
    if (this.#keys === undefined) return call(this.#client);
    const key = await this.#keys.read();
    try {
      return await call(this.#clientWith(key), key.versionId);
    } catch (error) {
      if (!isUnauthorized(error)) throw error;
      const now = await this.#keys.readAgain();
      if (now.versionId === key.versionId) throw error;
      return call(this.#clientWith(now), now.versionId);
    }
  }

  /**
   * Calls with the key of a version; with the current one, if that key is refused or does not know what is asked for.
   */
  async callFirst<Result>(
    keyVersion: string | undefined,
    call: (client: OpenAI, keyVersion?: string) => Promise<Result>,
  ): Promise<Result> {
    if (this.#keys === undefined || keyVersion === undefined) return this.call(call);
    const own = await this.#keys.readVersion(keyVersion);
    if (own === undefined) return this.call(call);
    try {
      return await call(this.#clientWith(own), keyVersion);
    } catch (error) {
      if (!isNotFound(error) && !isUnauthorized(error)) throw error;
      const current = await (isUnauthorized(error) ? this.#keys.readAgain() : this.#keys.read());
      if (current.versionId === keyVersion) throw error;
      try {
        return await this.call(call);
      } catch (second) {
        // That a key which is good does not know of it says more than that another one is not good.
        throw isUnauthorized(second) ? error : second;
      }
    }
  }

  /**
   * Calls with the key of a version and no other.
   * @throws {KeyUnusableError} if it is refused or not kept.
   */
  async callOnly<Result>(
    keyVersion: string | undefined,
    call: (client: OpenAI, keyVersion?: string) => Promise<Result>,
  ): Promise<Result> {
    if (this.#keys === undefined || keyVersion === undefined) return this.call(call);
    const own = await this.#keys.readVersion(keyVersion);
    if (own === undefined)
      throw new KeyUnusableError(`version ${keyVersion} of the API key is not kept any more`);
    try {
      return await call(this.#clientWith(own), keyVersion);
    } catch (error) {
      if (isUnauthorized(error))
        throw new KeyUnusableError(`OpenAI refuses version ${keyVersion} of the API key`);
      throw error;
    }
  }
}
