/**
 * OpenAI's responses in the background, as the simulation has them: created once, found by their ids alone, kept for
 * some time after they have ended. What each has come to follows from the virtual clock.
 */

import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { ApiKeyMissingError, CallUnansweredError } from '../../../src/core/base/errors.ts';
import type { BackgroundApi, BackgroundResponse, CreateAnswer } from '../../../src/core/ports/provider.ts';
import { drawResponseSteps, WINDOWS } from './openai-background-fates.ts';
import { projectOf } from './openai-files.ts';
import {
  calledAlone,
  type Execution,
  type RecordedResponse,
  type ServiceResponse,
  type ServiceWorld,
} from './openai-model.ts';
import type { Refusals } from './openai-refusals.ts';
import { tokensIn } from './oracle/tokens.ts';
import type { Random } from './random.ts';
import type { OpenAIScenario, Weather } from './scenario.ts';

/** Tokens of each answer. */
const ANSWER_TOKENS = 5;
/** How long a response is kept after it has ended: `store: false`, and `store: true`. */
const SHORT_RETENTION_MS = 10 * MINUTE_MS;
const RETENTION_MS = 30 * DAY_MS;
/** What one shows that was cancelled before it began. */
const UNUSED = { input_tokens: 0, output_tokens: 0, total_tokens: 0 };
/** For so long at the most, what answers does not find a response that is there. */
const HIDDEN_MS = 50 * SECOND_MS;

const isEnded = ({ status }: Pick<ServiceResponse, 'status'>): boolean =>
  status !== 'queued' && status !== 'in_progress';

interface ServiceParts {
  scenario: OpenAIScenario;
  weather: Weather;
  refusals: Refusals;
  /** The version of a key that is current. */
  keyVersionOf: (apiKey: string) => string;
  /** Told of each request that goes out. */
  onCreate: (marker: string) => void;
}

/** What a create asks for. */
interface Asked {
  stackId: string;
  apiKey: string;
  model: string;
  window: keyof typeof WINDOWS;
  marker: string;
  kind: string;
  metadata: Record<string, string>;
  store: boolean | undefined;
  tokens: number;
}

export class SimulatedBackground {
  readonly responses: ServiceResponse[] = [];
  /** What was asked for and answered at once, or is known to nobody: nothing was made of it. */
  readonly #unmade: Execution[] = [];
  /** Whether an answer is where it can be found again, by its request id. */
  isKept: (id: string) => boolean = () => false;
  /** What the files of its slice say of a response; `undefined`: not even its id. */
  recordOf: (id: string) => RecordedResponse | undefined = () => undefined;
  readonly #world: ServiceWorld;
  readonly #random: Random;
  readonly #parts: ServiceParts;
  #made = 0;

  constructor(world: ServiceWorld, random: Random, parts: ServiceParts) {
    this.#world = world;
    this.#random = random;
    this.#parts = parts;
  }

  /** The service as one stack sees it with one of its keys. */
  apiFor(stackId: string, apiKey: string): BackgroundApi {
    const find = (id: string, keyVersion?: string): ServiceResponse | undefined =>
      this.#find(id, apiKey, keyVersion);
    return {
      create: ({ body, timeoutMs }) => this.#create(stackId, apiKey, body, timeoutMs),
      get: async (id, keyVersion) => {
        // A webhook's worker knows of no version; what it misses, its slice may have read before.
        const isVisit = keyVersion !== undefined;
        const response = this.#get(apiKey, find(id, keyVersion), isVisit);
        return response && { ...response, keyVersion: this.#versionThatSees(id, apiKey, keyVersion) };
      },
      cancel: async (id, keyVersion) => this.#cancel(stackId, apiKey, find(id, keyVersion)),
      remove: async (id, keyVersion) => this.#remove(stackId, apiKey, find(id, keyVersion)),
    };
  }

  /** What became of each request that went out: as far as its stack can know by now. */
  executions(): Execution[] {
    this.advance();
    const kept = (execution: Execution): Execution =>
      execution.result === 'lost' || this.isKept(execution.batch.id)
        ? execution
        : { ...execution, result: 'lost', code: 'no_response' };
    const made = this.responses.filter(({ stackId }) => stackId !== 'foreign');
    return [...made.flatMap((response) => this.#executionOf(response)), ...this.#unmade.map(kept)];
  }

  /** None: it was cancelled before it began. */
  #executionOf(response: ServiceResponse): Execution[] {
    const { execution, status, hasBegun, isSilent, requestId } = response;
    if (isEnded(response) && this.isKept(requestId)) return [execution];
    const record = this.recordOf(response.id);
    const { line: _, usedBody: __, ...lost } = execution;
    // The worker that cancelled it may not have seen the reply, and nobody sees it any more.
    const isCancelled = status === 'cancelled' && record?.leaving !== undefined && !response.wasGone;
    if (!isCancelled) {
      const code =
        record === undefined ? 'no_response' : response.wasMissed ? 'response_gone' : 'request_timeout';
      return [{ ...lost, result: 'lost', code }];
    }
    // Whether it had begun after the last look shows in its usage alone.
    const isUnknown = record.leaving === 'queued' && isSilent;
    if (!isUnknown && !hasBegun && record.leaving === 'queued') return [];
    return [{ ...lost, result: 'lost', code: isUnknown ? 'background_left' : 'background_cancelled' }];
  }

  /** Lets every response come to where it is by now. */
  advance(): void {
    const now = this.#world.now();
    for (const response of this.responses)
      for (let [step] = response.steps; step !== undefined && step.at <= now; [step] = response.steps) {
        response.steps.shift();
        this.#step(response, step.to, step.at);
      }
  }

  #find(id: string, apiKey: string, keyVersion?: string): ServiceResponse | undefined {
    this.advance();
    const response = this.responses.find((one) => one.id === id);
    return this.#versionThatSees(id, apiKey, keyVersion) === undefined ? undefined : response;
  }

  #versionThatSees(id: string, apiKey: string, keyVersion?: string): string | undefined {
    const response = this.responses.find((one) => one.id === id);
    return [keyVersion, this.#parts.keyVersionOf(apiKey)].find(
      (version) => version !== undefined && response?.project === projectOf(apiKey, version),
    );
  }

  async #create(stackId: string, apiKey: string, body: string, timeoutMs: number): Promise<CreateAnswer> {
    const asked = this.#read(stackId, apiKey, body);
    const refusal = this.#refusalOf(asked);
    if (refusal !== undefined) return refusal;
    const { openaiError } = this.#parts.weather;
    const random = this.#random;
    const kind = this.#world.isStormy()
      ? random.weighted({ made: 1, lost: openaiError, failed: openaiError, hanging: openaiError / 2 })
      : 'made';
    this.#parts.onCreate(asked.marker);
    if (kind === 'failed' || (kind === 'hanging' && random.chance(0.5))) {
      // Nobody but OpenAI knows that nothing was made.
      this.#world.note('response:create failed');
      this.#unmade.push({
        ...this.#executionFor(asked, `req_b${++this.#made}`),
        result: 'lost',
        code: 'no_response',
      });
    } else this.#make(asked);
    if (kind === 'made') {
      const made = this.responses.at(-1)!;
      made.isReported = true;
      return {
        ...this.#answer(200, {}),
        body: made.body,
        response: { ...this.#view(made), keyVersion: made.keyVersion },
      };
    }
    this.#world.note(`response:create ${kind === 'hanging' ? 'hangs' : 'without an answer'}`);
    if (kind === 'hanging') await new Promise<void>((resolve) => this.#world.after(timeoutMs, '', resolve));
    throw new CallUnansweredError('POST /responses got no answer', true);
  }

  #read(stackId: string, apiKey: string, body: string): Asked {
    const { model, background, background_options, metadata, store, service_tier, stream } = JSON.parse(
      body,
    ) as Record<string, unknown>;
    const [, marker = '', kind = ''] = /prompt-([0-9.]+)-(\w+)\./.exec(body) ?? [];
    const window = (background_options as { completion_window: keyof typeof WINDOWS } | undefined)
      ?.completion_window;
    const say = (what: string): void => this.#world.violation(`request ${marker} was created ${what}`);
    if (background !== true || window === undefined || !(window in WINDOWS))
      say('in the background without a window');
    if (stream === true || (service_tier !== undefined && service_tier !== 'default'))
      say('in another way than a window needs');
    const own = this.#world.apiKeyOfLine(marker) ?? apiKey;
    if (own !== apiKey) say(`with the key "${apiKey}", not with "${own}"`);
    const wanted = this.#world.termsOfLine(marker);
    if (wanted?.store !== undefined && wanted.store !== store) say(`with store ${store}`);
    for (const [name, value] of Object.entries(wanted?.metadata ?? {}))
      if ((metadata as Record<string, string>)[name] !== value) say(`without its own metadata ${name}`);
    return {
      stackId,
      apiKey,
      model: model as string,
      window: window ?? '2h',
      marker,
      kind,
      metadata: (metadata ?? {}) as Record<string, string>,
      store: store as boolean | undefined,
      tokens: tokensIn(body),
    };
  }

  /** An answer that says that nothing was made. */
  #refusalOf(asked: Asked): CreateAnswer | undefined {
    const random = this.#random;
    const { openaiError, lineFault } = this.#parts.weather;
    const isStormy = this.#world.isStormy();
    const missing = this.#parts.refusals.refusalOf('get', asked.apiKey);
    if (missing instanceof ApiKeyMissingError) throw missing;
    if (isStormy && random.chance(openaiError * 3)) {
      this.#world.note('response:rate_limit_exceeded');
      const answer = this.#answer(429, { error: { message: 'No room.', code: 'rate_limit_exceeded' } });
      return random.chance(0.5) ? { ...answer, retryAfterMs: random.whole(100, 20_000) } : answer;
    }
    if (isStormy && random.chance(openaiError)) {
      this.#world.note('response:never connected');
      throw new CallUnansweredError('ECONNREFUSED', false);
    }
    if (this.#parts.scenario.windowless?.includes(asked.model)) {
      this.#world.note('response:window refused');
      const message = 'background_options is not supported with this model.';
      return this.#answer(400, { error: { message, param: 'background_options', code: null } });
    }
    const refused = (status: number, code: string | null, result: Execution['result']): CreateAnswer => {
      this.#parts.onCreate(asked.marker);
      const answer = this.#answer(status, { error: { message: 'It is refused.', code } });
      const execution = this.#executionFor(asked, answer.requestId!);
      this.#unmade.push({ ...execution, result, code: code ?? `http_${status}` });
      return answer;
    };
    if (isStormy && random.chance(lineFault * 0.1)) {
      this.#world.note('response:operator');
      const [status, code] = random.pick([
        [429, 'insufficient_quota'],
        [401, 'invalid_api_key'],
      ] as const);
      return refused(status, code, 'operator');
    }
    if (asked.kind === 'refused' || asked.kind === 'poison') return refused(400, null, 'final');
    return undefined;
  }

  #executionFor({ marker, stackId }: Asked, id: string): Execution {
    return calledAlone({ marker, stackId, id, at: this.#world.now(), result: 'lost' });
  }

  #make(asked: Asked): void {
    const { stackId, apiKey, model, window, marker, metadata, store, tokens } = asked;
    const random = this.#random;
    const now = this.#world.now();
    const isStormy = this.#world.isStormy();
    const keyVersion = this.#parts.keyVersionOf(apiKey);
    const requestId = `req_b${++this.#made}`;
    const mark = /^[^/]+\/([^/]+)\/\d+\//.exec(metadata.batchdrop_request ?? '');
    const isOdd = isStormy && random.chance(0.2 + this.#parts.weather.batchFate);
    const response: ServiceResponse = {
      id: `resp_${String(this.responses.length).padStart(4, '0')}`,
      requestId,
      marker,
      model,
      window,
      stackId,
      apiKey,
      keyVersion,
      project: projectOf(apiKey, keyVersion),
      metadata,
      batchId: mark?.[1],
      store,
      tokens,
      isShortLived: store === false || this.#world.termsOfLine(marker)?.isShortLived === true,
      createdAt: now,
      status: 'queued',
      steps: drawResponseSteps(random, (what) => this.#world.note(what), { now, window, isOdd }),
      hasBegun: false,
      isSilent: random.chance(0.5),
      isStrange: isOdd && random.chance(0.2),
      shownWindow: window,
      body: '',
      seenFrom: now,
      isReported: false,
      execution: this.#executionFor(asked, requestId),
    };
    this.#render(response);
    // OpenAI's services do not all know of it at once.
    if (isStormy && random.chance(this.#parts.weather.batchFate * 0.3))
      response.seenFrom += random.spread(SECOND_MS, response.isShortLived ? 8 * MINUTE_MS : HOUR_MS);
    if (metadata.batchdrop_stack !== undefined && metadata.batchdrop_stack !== stackId)
      this.#world.violation(`${stackId} made a response with the mark of ${metadata.batchdrop_stack}`);
    if (mark === null) this.#world.note('response:without marks');
    this.responses.push(response);
    this.#watch(response);
    if (this.#world.hasWebhooks(apiKey) && isStormy && random.chance(0.3)) this.#copyLater(response);
  }

  /**
   * Somebody of the project sends the same again, with its marks or with those of another stack, and asks for another
   * answer: OpenAI tells of that, too.
   */
  #copyLater(response: ServiceResponse): void {
    const random = this.#random;
    const isOtherStack = random.chance(0.6);
    this.#world.after(random.spread(SECOND_MS, 20 * MINUTE_MS), '', () => {
      this.advance();
      // Of what its stack does not know itself, nobody could tell it.
      const isKnown = this.recordOf(response.id) !== undefined;
      if (isEnded(response) || (!isOtherStack && !isKnown)) return;
      const stack = isOtherStack ? { batchdrop_stack: `${response.stackId}-staging` } : {};
      const copy: ServiceResponse = {
        ...response,
        id: `resp_${String(this.responses.length).padStart(4, '0')}`,
        requestId: `req_b${++this.#made}`,
        marker: 'theirs',
        stackId: 'foreign',
        metadata: { ...response.metadata, ...stack },
        createdAt: this.#world.now(),
        seenFrom: this.#world.now(),
        steps: [],
        execution: { ...response.execution, marker: 'theirs' },
      };
      this.responses.push(copy);
      this.#step(copy, 'completed', this.#world.now());
      this.#world.note(`response:a copy ${isOtherStack ? 'of another stack' : 'with the same marks'}`);
      this.#tell(copy);
    });
  }

  /** Says when it has ended. */
  #watch(response: ServiceResponse): void {
    const end = response.steps.at(-1);
    if (end === undefined || !this.#world.hasWebhooks(response.apiKey)) return;
    this.#world.after(end.at - this.#world.now(), '', () => {
      this.advance();
      if (response.endedAt === end.at) this.#tell(response);
    });
  }

  #tell({ id, status, apiKey }: ServiceResponse): void {
    this.#world.webhook(`response.${status as 'completed'}`, id, apiKey);
  }

  #step(response: ServiceResponse, to: ServiceResponse['status'], at: number): void {
    const { status } = response;
    this.#world.note(`response:${status} -> ${to}`);
    response.status = to;
    if (to !== 'queued' && to !== 'cancelled') response.hasBegun = true;
    if (isEnded(response)) {
      response.endedAt = at;
      response.steps = [];
      const keptMs = response.isShortLived ? SHORT_RETENTION_MS : RETENTION_MS;
      response.expiresAt = at + keptMs;
    }
    if (to === 'failed')
      response.failure = this.#random.pick([
        'server_error',
        'server_error',
        'rate_limit_exceeded',
        'invalid_prompt',
      ]);
    if (isEnded(response) && at > response.createdAt + WINDOWS[response.window]) {
      this.#world.note('response:window missed');
      response.shownWindow = this.#random.pick([response.window, 'soonest', 'none']);
    }
    this.#render(response);
  }

  /** What it looks like now, and what it comes to if its stack keeps that. */
  #render(response: ServiceResponse): void {
    const { id, requestId, status, model, marker, tokens, metadata, hasBegun, isSilent, failure } = response;
    const usage = {
      input_tokens: tokens,
      output_tokens: ANSWER_TOKENS,
      total_tokens: tokens + ANSWER_TOKENS,
    };
    const hasAnswer = status === 'completed' || status === 'incomplete';
    const seconds = (ms: number): number => Math.floor((ms + this.#parts.scenario.clockSkewMs) / SECOND_MS);
    const body = {
      id,
      object: 'response',
      created_at: seconds(response.createdAt),
      completed_at: status === 'completed' ? seconds(response.endedAt!) : null,
      status,
      model,
      service_tier: 'default',
      background: true,
      ...(response.shownWindow === 'none'
        ? {}
        : { background_options: { completion_window: response.shownWindow } }),
      metadata,
      error: status === 'failed' ? { code: failure, message: 'It failed.' } : null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      output: hasAnswer
        ? [
            {
              type: 'message',
              role: 'assistant',
              content: [{ type: 'output_text', text: `answer to ${marker}.` }],
            },
          ]
        : [],
      usage: hasAnswer ? usage : status === 'cancelled' && !isSilent ? (hasBegun ? usage : UNUSED) : null,
    };
    response.body = JSON.stringify(body);
    const { execution } = response;
    if (hasAnswer) {
      const line = JSON.stringify({
        id: `call_${requestId}`,
        custom_id: '',
        response: { status_code: 200, request_id: requestId, body },
        error: null,
      });
      Object.assign(execution, { result: 'answered', isBilled: true, line });
    } else if (status === 'failed') {
      const result =
        failure === 'server_error' ? 'lost' : failure === 'invalid_prompt' ? 'final' : 'transient';
      Object.assign(execution, { result, code: failure });
    } else if (status === 'cancelled')
      Object.assign(execution, {
        result: 'lost',
        code: 'response_cancelled',
        ...(hasBegun && !isSilent ? { usedBody: response.body } : {}),
      });
  }

  #view(response: ServiceResponse): BackgroundResponse {
    const { id, requestId, hasBegun, isSilent, body, metadata } = response;
    const isStatusKnown = !response.isStrange || isEnded(response);
    if (!isStatusKnown) this.#world.note('response:strange word');
    const status = isStatusKnown ? response.status : 'in_progress';
    const isUnsaid = status === 'cancelled' && isSilent;
    const begun = isUnsaid ? 'unsaid' : hasBegun || status === 'in_progress' ? 'yes' : 'no';
    return { id, requestId, status, isStatusKnown, begun, body, metadata };
  }

  /** Whether anybody can read it now. */
  isThere(response: ServiceResponse): boolean {
    const now = this.#world.now();
    const { seenFrom, isRemoved, expiresAt = Number.POSITIVE_INFINITY } = response;
    return now >= seenFrom && !isRemoved && now < expiresAt;
  }

  #get(
    apiKey: string,
    response: ServiceResponse | undefined,
    isVisit: boolean,
  ): BackgroundResponse | undefined {
    this.#parts.refusals.throwDrawn('get', apiKey);
    if (response === undefined || !this.isThere(response) || this.#isHidden(response))
      return this.#missed(response, isVisit);
    return this.#view(response);
  }

  /** Whether what answers does not find it, for a moment. */
  #isHidden(response: ServiceResponse): boolean {
    const { weather } = this.#parts;
    const now = this.#world.now();
    if (
      response.hiddenUntil === undefined &&
      this.#world.isStormy() &&
      this.#random.chance(weather.batchFate)
    ) {
      this.#world.note('response:hidden');
      response.hiddenUntil = now + this.#random.spread(SECOND_MS, HIDDEN_MS);
    }
    return now < (response.hiddenUntil ?? 0);
  }

  #missed(response: ServiceResponse | undefined, isVisit = true): undefined {
    if (response === undefined) return;
    const now = this.#world.now();
    // What is hidden for a moment is not given up for it.
    response.wasMissed ||= isVisit && now >= (response.hiddenUntil ?? 0);
    const isExpired = !response.isRemoved && now >= response.seenFrom && now >= (response.hiddenUntil ?? 0);
    response.wasGone ||= isVisit && isExpired;
    this.#world.note(`response:${isExpired ? 'retention over' : '404'}`);
  }

  #cancel(
    stackId: string,
    apiKey: string,
    response: ServiceResponse | undefined,
  ): BackgroundResponse | undefined {
    const { refusals } = this.#parts;
    const refusal = refusals.refusalOf('cancel', apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = refusals.draw('cancel');
    if (failure?.when === 'before') throw failure.error;
    if (response === undefined || !this.isThere(response)) return this.#missed(response);
    if (response.stackId !== stackId)
      this.#world.violation(`${stackId} cancelled ${response.id}, a response of ${response.stackId}`);
    if (!isEnded(response)) this.#cancelLive(response);
    if (failure !== undefined) throw failure.error;
    return this.#view(response);
  }

  #cancelLive(response: ServiceResponse): void {
    const random = this.#random;
    const now = this.#world.now();
    const isRace = this.#world.isStormy() && random.chance(0.5) && !response.isStrange;
    if (isRace && response.status === 'queued' && random.chance(0.4))
      this.#step(response, 'in_progress', now);
    if (isRace && response.status === 'in_progress') {
      this.#world.note('response:cancel race');
      if (random.chance(0.6)) {
        this.#step(response, 'completed', now);
        if (this.#world.hasWebhooks(response.apiKey)) this.#tell(response);
        return;
      }
      // It goes on for a while, and is cancelled then.
      const at = now + random.spread(SECOND_MS, 5 * MINUTE_MS);
      if (response.steps.every((step) => step.at > at)) {
        response.steps = [{ at, to: 'cancelled' }];
        this.#watch(response);
        return;
      }
    }
    this.#world.note(`response:cancelled while ${response.status}`);
    this.#step(response, 'cancelled', now);
    if (this.#world.hasWebhooks(response.apiKey)) this.#tell(response);
  }

  #remove(stackId: string, apiKey: string, response: ServiceResponse | undefined): void {
    const { refusals } = this.#parts;
    const refusal = refusals.refusalOf('delete', apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = refusals.draw('delete');
    if (failure?.when === 'before') throw failure.error;
    if (response !== undefined && !response.isRemoved) {
      this.#checkRemoved(stackId, response);
      response.isRemoved = true;
      this.#world.note('response:deleted');
    }
    if (failure !== undefined) throw failure.error;
  }

  #checkRemoved(stackId: string, response: ServiceResponse): void {
    const { id, marker, status } = response;
    const say = (why: string): void => this.#world.violation(`${stackId} deleted ${id}, ${why}`);
    if (response.stackId !== stackId) say(`a response of ${response.stackId}`);
    if (response.store === true) say('which its line says is to be stored');
    const isNeeded = status !== 'cancelled' && !this.isKept(response.requestId);
    if (isNeeded && this.isThere(response) && !this.mayBeGivenUp(response))
      say(`which is ${status} and holds the only answer to ${marker}`);
  }

  /**
   * Whether its request may run again although the response is there: nobody knows its id, and there is no time left
   * for waiting; or OpenAI lets nobody ask for it until the deadline has come; or, without a deadline, it was for a day
   * in a state that nobody knows, and then could not be read.
   */
  mayBeGivenUp(response: ServiceResponse): boolean {
    const now = this.#world.now();
    const { deadlineAt, lastTier, isCancelled } = this.#world.termsOfLine(response.marker)!;
    if (isCancelled) return true;
    const { createdAt, window } = response;
    if (this.recordOf(response.id) !== undefined) {
      const isTooStrange = response.isStrange === true && now >= createdAt + DAY_MS;
      return deadlineAt === undefined ? isTooStrange : now >= deadlineAt;
    }
    const isLast = deadlineAt === undefined || lastTier === `background-${window}`;
    return now >= (isLast ? createdAt + 2 * WINDOWS[window] : deadlineAt - LAST_TIER_MS);
  }

  /** Reports a request that goes out although a response to it is being made, or can be had. */
  checkNotTwice(of: { id: string }, marker: string): void {
    this.advance();
    for (const response of this.responses) {
      if (response.marker !== marker || response.stackId === 'foreign') continue;
      const { id, status } = response;
      const mayRun =
        status === 'cancelled' || status === 'failed' || response.isRemoved || this.mayBeGivenUp(response);
      const isPast = isEnded(response) && !this.isThere(response);
      if (mayRun || isPast) continue;
      this.#world.violation(`request ${marker} goes out in ${of.id} while ${id} is ${status}`);
    }
  }

  #answer(status: number, body: unknown, requestId = `req_b${++this.#made}`): CreateAnswer {
    return {
      status,
      requestId,
      body: JSON.stringify(body),
      requestsPerMinute: 1_000,
      tokensPerMinute: 1_000_000,
    };
  }
}

/** The last tier is given no more time than this before the deadline, with a few requests to do. */
const LAST_TIER_MS = HOUR_MS;
