/**
 * Calls of the simulated OpenAI that are refused or fail: by chance, or while something is wrong that takes a person.
 */

import {
  ApiKeyMissingError,
  CreateRefusedError,
  KeyUnusableError,
  UploadRefusedError,
} from '../../../src/core/base/errors.ts';
import { OpenAIRequestError } from '../../../src/providers/openai/request-error.ts';
import type { ServiceWorld } from './openai-model.ts';
import type { Random } from './random.ts';
import { type OpenAIScenario, START_MS, type Trouble, type Weather } from './scenario.ts';

const TROUBLE_STATUS: Readonly<Record<Exclude<Trouble['code'], 'api_key_missing'>, number>> = {
  invalid_api_key: 401,
  insufficient_quota: 429,
  billing_hard_limit_reached: 400,
  model_not_found: 403,
};

/** Calls that ask for one batch or file: what takes them waits for the key. */
const ASKING: ReadonlySet<string> = new Set(['get', 'read', 'size']);

export class Refusals {
  readonly #world: Pick<ServiceWorld, 'now' | 'isStormy' | 'note'>;
  readonly #random: Random;
  readonly #scenario: OpenAIScenario;
  readonly #weather: Weather;

  constructor(
    world: Pick<ServiceWorld, 'now' | 'isStormy' | 'note'>,
    random: Random,
    scenario: OpenAIScenario,
    weather: Weather,
  ) {
    this.#world = world;
    this.#random = random;
    this.#scenario = scenario;
    this.#weather = weather;
  }

  /** Never while nothing may go wrong. */
  chance(probability: number): boolean {
    return this.#world.isStormy() && this.#random.chance(probability);
  }

  /** A failure of a call, if it is to fail. */
  draw(call: string): { when: 'before' | 'after'; error: Error } | undefined {
    if (!this.chance(this.#weather.openaiError)) return undefined;
    const status = this.#random.pick([429, 500, 502, 503, undefined]);
    this.#world.note(`error:${call} ${status ?? 'ECONNRESET'}`);
    const error =
      status === undefined
        ? new OpenAIRequestError(`${call} got no answer`, undefined, 'ECONNRESET')
        : new OpenAIRequestError(`${call} was answered ${status}`, status);
    return { when: this.#random.chance(0.5) ? 'before' : 'after', error };
  }

  /** What a call gets while something is wrong that only a person can fix; nothing is made then. */
  refusalOf(call: string, apiKey: string, model?: string): Error | undefined {
    const { trouble, apiKeys } = this.#scenario;
    const now = this.#world.now() - START_MS;
    if (
      trouble?.apiKey !== apiKey ||
      !(this.#world.isStormy() || trouble.isLasting) ||
      now < trouble.from ||
      now >= trouble.until
    )
      return undefined;
    const { code, isOfCreatesOnly } = trouble;
    const isKeyError = code === 'api_key_missing' || code === 'invalid_api_key';
    if ((!isKeyError || isOfCreatesOnly) && call !== 'create') return undefined;
    if (code === 'model_not_found' && model !== trouble.model) return undefined;
    this.#world.note(`error:${call} ${code}`);
    if (apiKeys.length > 1) this.#world.note('fault:one API key of two is out of order');
    if (code === 'api_key_missing') return new ApiKeyMissingError('the secret is empty');
    const status = TROUBLE_STATUS[code];
    const message = `${call} was answered ${status} ${code}`;
    if (call === 'create') return new CreateRefusedError(message, status, code);
    if (ASKING.has(call)) return new KeyUnusableError(message);
    return call === 'upload'
      ? new UploadRefusedError(message, status, code)
      : new OpenAIRequestError(message, status, code);
  }

  /** Fails as drawn, or as whatever is wrong says. */
  throwDrawn(call: string, apiKey: string): void {
    const refusal = this.refusalOf(call, apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = this.draw(call);
    if (failure !== undefined) throw failure.error;
  }
}
