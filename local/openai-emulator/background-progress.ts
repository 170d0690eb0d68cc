/** What becomes of background responses as time passes: start, execution, end. */
import { hashRequest } from './answers.ts';
import {
  type BackgroundSettings,
  endsAtMs,
  hasEnded,
  identity,
  ownAnswer,
  type ResponseRecord,
  type ResponseStatus,
  rateOf,
  readyAtMs,
  responseFault,
  revivesAtMs,
  tierOfWindow,
  unfinished,
  usageShown,
} from './background-lifecycle.ts';
import { NO_TOKENS, type TokenUsage, usageObject } from './batch-lifecycle.ts';
import { type Clock, unixSeconds } from './clock.ts';
import type { Body } from './exchange.ts';
import { type Executed, type ExecutionDeps, execute } from './execution.ts';
import { isObject } from './json-lines.ts';
import type { Execution } from './ledger-row.ts';
import { lineOf, scriptedAnswer } from './result-lines.ts';
import type { Store } from './store.ts';
import { usageOf } from './tokens.ts';
import type { Webhooks } from './webhooks.ts';

/** What background responses need of the emulator. */
export type BackgroundDeps = ExecutionDeps & {
  store: Store;
  clock: Clock;
  /** Read at each use, so that a script can replace them. */
  settings: BackgroundSettings;
  webhooks: Pick<Webhooks, 'plan'>;
};

/** The emulator's own status of an execution that was cancelled: no answer came of it. */
const CANCELLED_STATUS = 499;

/** What happens to a response, and when. */
type Step = { record: ResponseRecord; atMs: number };

/** The responses of a store. Nothing runs by itself: {@link settle} brings all up to the clock. */
export class BackgroundProgress {
  readonly #deps: BackgroundDeps;
  readonly #live: Set<string>;
  /** With an upstream: what is being asked, and what was answered. */
  readonly #asked = new Map<string, { abort: AbortController; answer: Executed | undefined }>();
  /** When a place in the pool was last given free. */
  #freedAtMs: number;

  constructor(deps: BackgroundDeps) {
    this.#deps = deps;
    const all = [...deps.store.responses.values()];
    this.#live = new Set(all.filter(isLive).map(({ id }) => id));
    this.#freedAtMs = Math.max(0, ...all.map(({ endedAtMs }) => endedAtMs ?? 0));
  }

  /** Adds a new response. */
  add(record: ResponseRecord): void {
    this.#deps.store.save(record.createdAtMs, { type: 'response', record });
    this.#live.add(record.id);
  }

  /** Does everything that is due at the clock's present, in its order. */
  async settle(): Promise<void> {
    const now = this.#deps.clock.now();
    const { capacity } = this.#deps.settings;
    const { ends, starts, ...found } = this.#due(now);
    let { running } = found;
    for (;;) {
      const end = ends[0];
      const start = running < capacity ? this.#started(starts[0], running) : undefined;
      if (start !== undefined && start.atMs <= now && (end === undefined || start.atMs < end.atMs)) {
        starts.shift();
        running += 1;
        this.#change(start.record, start.atMs, { status: 'in_progress', inProgressAtMs: start.atMs });
        if (this.#deps.upstream !== undefined) this.#ask(start.record.id);
        const record = this.#get(start.record.id);
        const atMs = this.#endMs(record, now);
        if (atMs <= now) insert(ends, { record, atMs });
      } else if (end !== undefined) {
        ends.shift();
        if (end.record.status === 'in_progress') running -= 1;
        await this.#finish(end.record, end.atMs);
      } else return;
    }
  }

  /** Ends a response that has not ended, as a cancel does. */
  async cancel(record: ResponseRecord): Promise<void> {
    const now = this.#deps.clock.now();
    const race = responseFault(record, 'response.cancel_race');
    if (race !== undefined && race.seconds === undefined) return this.#finish(record, now);
    this.#stop(record, now, race === undefined);
  }

  /** Takes a response away. One that has not ended is stopped as by a cancel; no event tells of it (inferred). */
  remove(record: ResponseRecord): void {
    const now = this.#deps.clock.now();
    if (!hasEnded(record)) this.#stop(record, now, true, false);
    this.#change(this.#get(record.id), now, { isDeleted: true, body: null, answer: null });
  }

  /** Stops what runs upstream; after a restart it is asked again. */
  async close(): Promise<void> {
    for (const { abort } of this.#asked.values()) abort.abort();
  }

  #get(id: string): ResponseRecord {
    return this.#deps.store.responses.get(id)!;
  }

  /** What is due, each in its order, and how many are in_progress. */
  #due(nowMs: number): { ends: Step[]; starts: Step[]; running: number } {
    const { settings } = this.#deps;
    const ends: Step[] = [];
    const starts: Step[] = [];
    let running = 0;
    for (const id of this.#live) {
      const record = this.#get(id);
      const isQueued = record.status === 'queued';
      if (record.status === 'in_progress') running += 1;
      const atMs = isQueued
        ? readyAtMs(record, settings)
        : (revivesAtMs(record) ?? this.#endMs(record, nowMs));
      if (atMs <= nowMs) (isQueued ? starts : ends).push({ record, atMs });
    }
    // Of two that are due together, the older goes first.
    const inOrder = (a: Step, b: Step) => a.atMs - b.atMs || a.record.ordinal - b.record.ordinal;
    return { ends: ends.sort(inOrder), starts: starts.sort(inOrder), running };
  }

  /** When a response starts: for the last place in the pool, not before that was given free. */
  #started(step: Step | undefined, running: number): Step | undefined {
    if (step === undefined || running + 1 < this.#deps.settings.capacity) return step;
    return { ...step, atMs: Math.max(step.atMs, this.#freedAtMs) };
  }

  /** When a response that is in_progress ends; with an upstream as soon as it has answered. */
  #endMs(record: ResponseRecord, nowMs: number): number {
    if (this.#deps.upstream === undefined) return endsAtMs(record, this.#deps.settings);
    return this.#answered(record) ? nowMs : Number.POSITIVE_INFINITY;
  }

  /** Whether the upstream has answered; it is asked when it has not been, as after a restart. */
  #answered({ id }: ResponseRecord): boolean {
    const asked = this.#asked.get(id);
    if (asked === undefined) this.#ask(id);
    return asked?.answer !== undefined;
  }

  #ask(id: string): void {
    const asked = { abort: new AbortController(), answer: undefined as Executed | undefined };
    this.#asked.set(id, asked);
    this.#execute(this.#get(id), this.#deps.clock.now(), asked.abort.signal)
      .then((answer) => {
        asked.answer = answer;
      })
      .catch((error: unknown) => {
        if (!asked.abort.signal.aborted) console.error(`response ${id} stopped until a restart:`, error);
      });
  }

  #execute(record: ResponseRecord, nowMs: number, signal: AbortSignal): Promise<Executed> {
    const { background: _, background_options: _options, ...body } = record.body!;
    const tier = typeof body.service_tier === 'string' ? body.service_tier : null;
    return execute(this.#deps, {
      endpoint: '/v1/responses',
      body,
      subject: {
        custom_id: record.customId,
        model: record.model,
        endpoint: '/v1/responses',
        metadata: record.metadata,
        via: 'background',
        tier,
        response: record.ordinal,
        window: record.window,
        atMs: nowMs,
      },
      executionKey: record.id,
      nowMs,
      signal,
    });
  }

  /** Executes what has not been executed, and ends the response with what came of it. */
  async #finish(record: ResponseRecord, atMs: number): Promise<void> {
    const answered = this.#asked.get(record.id)?.answer;
    const executed = answered ?? (await this.#execute(record, atMs, new AbortController().signal));
    const failed = responseFault(record, 'response.fail');
    const answer = failed === undefined ? answerOf(record, executed, atMs) : undefined;
    const error = failed === undefined ? executed.answer.body.error : failed;
    const outcome: ResponseStatus = answer === undefined ? 'failed' : (answer.status as ResponseStatus);
    const usage = failed === undefined || failed.billed ? executed.usage : NO_TOKENS;
    const status = failed === undefined ? executed.answer.status : 500;
    const execution = this.#execution(record, atMs, { outcome, status, usage, hash: executed.requestHash });
    const changes: Body = { error: errorShown(error), usage: failed?.billed ? usageShown(execution) : null };
    this.#change(record, atMs, {
      status: outcome,
      endedAtMs: atMs,
      answer: answer ?? unfinished(record, 'failed', changes),
      execution: { ...execution, model: String(answer?.model ?? execution.model) },
      body: null,
    });
  }

  /** @param isFinal it can no longer turn out to be completed */
  #stop(record: ResponseRecord, atMs: number, isFinal: boolean, isTold = true): void {
    this.#asked.get(record.id)?.abort.abort();
    const ran = record.status === 'in_progress' && isFinal;
    const billing = responseFault(record, 'response.cancel_billing')?.as;
    const isBilled = (billing ?? this.#deps.settings.cancelledInProgress) === 'billed';
    const usage = isBilled ? usageOf(ownAnswer(record)) : NO_TOKENS;
    const execution = ran
      ? this.#execution(record, atMs, { outcome: 'cancelled', status: CANCELLED_STATUS, usage })
      : null;
    const isShownUnused = record.status === 'queued' && this.#deps.settings.cancelledQueued === 'zeros';
    const shown = isShownUnused
      ? { usage: usageObject(NO_TOKENS) }
      : execution !== null && isBilled
        ? { usage: usageShown(execution) }
        : {};
    const changes: Partial<ResponseRecord> = {
      status: 'cancelled',
      endedAtMs: atMs,
      answer: unfinished(record, 'cancelled', shown),
      execution,
      ...(isFinal ? { body: null } : {}),
    };
    this.#change(record, atMs, changes, isTold);
  }

  #execution(
    record: ResponseRecord,
    atMs: number,
    of: { outcome: ResponseStatus; status: number; usage: TokenUsage; hash?: string },
  ): Execution {
    return {
      custom_id: record.customId,
      batch_id: null,
      response_id: record.id,
      outcome: of.outcome,
      endpoint: '/v1/responses',
      model: record.model,
      tier: tierOfWindow(record.window),
      rate: rateOf(record, atMs, this.#deps.settings),
      request_hash: of.hash ?? hashRequest('/v1/responses', record.body!),
      at_ms: atMs,
      status: of.status,
      usage: of.usage,
      billed_tokens: of.usage.input + of.usage.output,
    };
  }

  /** Changes a response; the event of its end comes into being in the same journal line. */
  #change(record: ResponseRecord, atMs: number, changes: Partial<ResponseRecord>, isTold = true): void {
    const { store, webhooks } = this.#deps;
    const isEnd = changes.endedAtMs !== undefined;
    const changed = { ...record, ...changes };
    const { id, project, status, metadata, model, ordinal, customId, window } = changed;
    const facts = { metadata, model, response: ordinal, custom_id: customId, window };
    const deliveries =
      isEnd && isTold ? webhooks.plan({ id, project, event: `response.${status}`, facts }, atMs) : [];
    store.save(
      Math.max(atMs, store.lastSeenMs),
      { type: 'response_changed', id, changes },
      ...deliveries.map((delivery) => ({ type: 'delivery' as const, record: delivery })),
    );
    if (!isEnd && !changed.isDeleted) return;
    if (record.status === 'in_progress') this.#freedAtMs = Math.max(this.#freedAtMs, atMs);
    this.#asked.delete(id);
    if (!isLive(this.#get(id))) this.#live.delete(id);
  }
}

const isLive = (record: ResponseRecord): boolean =>
  !record.isDeleted && (!hasEnded(record) || revivesAtMs(record) !== undefined);

/** Puts a step into its place among steps in the order of time. */
function insert(steps: Step[], step: Step): void {
  const before = steps.findLastIndex(({ atMs }) => atMs <= step.atMs);
  steps.splice(before + 1, 0, step);
}

/** The Response object of an answer, or undefined when there is none: the response has failed. */
function answerOf(record: ResponseRecord, executed: Executed, atMs: number): Body | undefined {
  const { answer, effects } = executed;
  if (answer.status !== 200 && !effects.some(({ kind }) => kind === 'line.lines')) return undefined;
  const body: Body = { ...answer.body, ...identity(record), completed_at: unixSeconds(atMs) };
  const whole = { ...executed, answer: { status: answer.status, body } };
  const isScripted = effects.some(({ kind }) => kind === 'line.lines' || kind === 'line.patch');
  const shown = isScripted ? scriptedAnswer(lineOf(record.id, '', whole), effects) : whole.answer;
  return shown.status === 200 && isObject(shown.body) ? shown.body : undefined;
}

/** The `error` of a failed response: code and message alone are documented as always there. */
const errorShown = (error: unknown): Body => ({
  code: (isObject(error) ? error.code : null) ?? 'server_error',
  message: isObject(error) ? error.message : 'An error occurred while processing your request.',
});
