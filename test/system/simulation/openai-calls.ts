/** OpenAI's endpoints that answer at once, as the simulation has them: each call is executed at most once. */
import { CallUnansweredError } from '../../../src/core/base/errors.ts';
import type { CallAnswer, CallApi } from '../../../src/core/ports/provider.ts';
import { calledAlone, type Execution, type ServiceWorld } from './openai-model.ts';
import type { Oddities } from './openai-oddities.ts';
import { tokensIn } from './oracle/tokens.ts';
import type { Random } from './random.ts';
import type { Weather } from './scenario.ts';

/** Answers that say that nothing was done and nothing is charged, and that there may be room later. */
const REFUSALS = [
  { code: 'resource_unavailable', tiers: ['flex'] },
  { code: 'rate_limit_exceeded', tiers: ['flex', 'default'] },
] as const;

export class SimulatedCalls {
  readonly #executions: Execution[] = [];
  /** Whether an answer is where it can be found again, by its request id. */
  isKept: (id: string) => boolean = () => false;
  readonly #world: ServiceWorld;
  readonly #random: Random;
  readonly #weather: Weather;
  readonly #oddities: Oddities;
  /** Told of each request that goes out. */
  readonly #onCall: (marker: string) => void;
  #made = 0;

  constructor(
    world: ServiceWorld,
    random: Random,
    { weather, oddities }: { weather: Weather; oddities: Oddities },
    onCall: (marker: string) => void,
  ) {
    this.#oddities = oddities;
    this.#world = world;
    this.#random = random;
    this.#weather = weather;
    this.#onCall = onCall;
  }

  /**
   * Every execution of every call, oldest first. One whose answer nobody kept counts as lost: its caller was killed.
   */
  executions(): Execution[] {
    return this.#executions.map((execution) =>
      execution.result === 'lost' || this.isKept(execution.batch.id)
        ? execution
        : { ...execution, result: 'lost', code: 'no_response' },
    );
  }

  /** The service as one stack sees it with one of its keys. */
  apiFor(stackId: string, apiKey: string): CallApi {
    return { call: ({ body, timeoutMs }) => this.#call(stackId, apiKey, { body, timeoutMs }) };
  }

  async #call(
    stackId: string,
    apiKey: string,
    { body, timeoutMs }: { body: string; timeoutMs: number },
  ): Promise<CallAnswer> {
    const random = this.#random;
    const isStormy = this.#world.isStormy();
    const { model, service_tier } = JSON.parse(body) as { model: string; service_tier: string };
    const [, marker = '', kind = ''] = /prompt-([0-9.]+)-(\w+)\./.exec(body) ?? [];
    this.#world.note(`call:${service_tier}`);
    const own = this.#world.apiKeyOfLine(marker) ?? apiKey;
    if (own !== apiKey)
      this.#world.violation(`request ${marker} was called with the key "${apiKey}", not with "${own}"`);
    const refusal = random.pick(
      REFUSALS.filter(({ tiers }) => (tiers as readonly string[]).includes(service_tier)),
    );
    if (isStormy && random.chance(this.#weather.openaiError * 4)) {
      this.#world.note(`call:${refusal.code}`);
      const answer = this.#answer(429, { error: { message: 'No room.', code: refusal.code } });
      return random.chance(0.5) ? { ...answer, retryAfterMs: random.whole(100, 20_000) } : answer;
    }
    if (isStormy && random.chance(this.#weather.openaiError)) {
      this.#world.note('call:never connected');
      throw new CallUnansweredError('ECONNREFUSED', false);
    }
    this.#onCall(marker);
    const id = `req_${++this.#made}`;
    const execution = calledAlone({ marker, stackId, id, at: this.#world.now(), result: 'transient' });
    this.#executions.push(execution);
    const isFault = isStormy && random.chance(this.#weather.lineFault);
    await this.#takeTime(execution, { serviceTier: service_tier, timeoutMs });
    if (isFault) {
      const fault = random.weighted({ transient: 3, lost: 2, operator: 2 });
      if (fault === 'lost') {
        this.#world.note('call:no answer');
        Object.assign(execution, { result: 'lost', isBilled: true, code: 'request_timeout' });
        throw new CallUnansweredError('ECONNRESET', true);
      }
      const [status, code] =
        fault === 'operator'
          ? random.pick([
              [429, 'insufficient_quota'],
              [401, 'invalid_api_key'],
            ] as const)
          : ([random.pick([408, 409, 500, 502, 503]), random.pick([null, 'some_code'])] as const);
      this.#world.note(`call:${fault}`);
      Object.assign(execution, { result: fault, code: code ?? `http_${status}` });
      return this.#answer(status, { error: { message: 'It failed.', code } }, id);
    }
    if (kind === 'refused' || kind === 'poison') {
      Object.assign(execution, { result: 'final', code: 'http_400' });
      return this.#answer(400, { error: { message: 'It is refused.', code: null } }, id);
    }
    const tokens = tokensIn(body);
    const answer = this.#answer(
      200,
      {
        id,
        model,
        service_tier,
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: `answer to ${marker}.` },
            finish_reason: 'stop',
          },
        ],
        ...(this.#oddities.hasUsage()
          ? { usage: { prompt_tokens: tokens, completion_tokens: 5, total_tokens: tokens + 5 } }
          : {}),
      },
      id,
    );
    const response = { status_code: 200, request_id: answer.requestId, body: JSON.parse(answer.body) };
    const line = JSON.stringify({ id: `call_${answer.requestId}`, custom_id: '', response, error: null });
    Object.assign(execution, { result: 'answered', isBilled: true, line });
    return answer;
  }

  /**
   * OpenAI works on the request, for as long as its caller waits.
   * @throws {CallUnansweredError} if that is too short; what was executed is lost then.
   */
  async #takeTime(
    execution: Execution,
    { serviceTier, timeoutMs }: { serviceTier: string; timeoutMs: number },
  ): Promise<void> {
    const ms = this.#oddities.latencyMs(serviceTier);
    if (ms === 0) return;
    const isCut = ms > timeoutMs;
    this.#oddities.longCall(ms, isCut);
    await new Promise<void>((resolve) => this.#world.after(Math.min(ms, timeoutMs), '', resolve));
    if (!isCut) return;
    const code = 'request_timeout';
    Object.assign(execution, { result: 'lost', isBilled: true, code, waitedMs: timeoutMs });
    throw new CallUnansweredError(`no answer in ${timeoutMs} ms`, true);
  }

  #answer(status: number, body: unknown, requestId = `req_${this.#made}`): CallAnswer {
    return {
      status,
      requestId,
      body: JSON.stringify(body),
      requestsPerMinute: 1_000,
      tokensPerMinute: 1_000_000,
    };
  }
}
