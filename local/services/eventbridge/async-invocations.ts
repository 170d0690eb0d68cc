/** Asynchronous invocations of functions, with the retries that Lambda makes. */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { waitAfter } from '../../../src/core/base/backoff.ts';
import type { Sleep } from '../../../src/core/ports/ambient.ts';
import { sleep as realSleep } from '../../../src/runtime/ambient.ts';
import type { Invocation } from '../lambda/sandbox.ts';

/** AWS: Lambda keeps an asynchronous event for six hours. */
const DEFAULT_MAX_AGE_MS = 6 * HOUR_MS;

/**
 * AWS: an asynchronous invocation that is throttled is tried again after a second, then after twice as long each
 * time, up to five minutes. Source: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous
 * invocation".
 */
const FIRST_THROTTLED_WAIT_MS = SECOND_MS;
const MAX_THROTTLED_WAIT_MS = 5 * MINUTE_MS;

/** A function that a rule sends events to. */
export interface FunctionTarget {
  kind: 'function';
  functionName: string;
  input?: string | undefined;
  /** How often an invocation that failed is run again. */
  maxRetries: number;
  /** How long Lambda tries to run an event that is throttled, in ms. @default six hours, as in AWS */
  maxAgeMs?: number | undefined;
}

/** What asynchronous invocations need. */
export interface AsyncInvocationsOptions {
  invokeFunction: (functionName: string, event: unknown) => Promise<Invocation>;
  /** Interval of the schedules, if it is not that of the template. */
  scheduleEveryMs?: number | 'manual' | undefined;
  /** Waits before a throttled invocation is tried again. @default real time passes */
  sleep?: Sleep | undefined;
}

/** The function deliveries of one event bus. */
export class AsyncInvocations {
  readonly #options: AsyncInvocationsOptions;
  readonly #closing = new AbortController();
  #active = 0;

  constructor(options: AsyncInvocationsOptions) {
    this.#options = options;
  }

  /** Deliveries that have not ended. */
  get active(): number {
    return this.#active;
  }

  /** Tries nothing again from now on. */
  stop(): void {
    this.#closing.abort();
  }

  /** Runs the function until it succeeds or has failed as often as it may. */
  async invoke(target: FunctionTarget, event: unknown): Promise<Invocation> {
    this.#active += 1;
    try {
      let invocation = await this.#invokeWithRoom(target, event);
      for (let retry = 0; !invocation.ok && retry < target.maxRetries; retry += 1) {
        if (invocation.isThrottled) break;
        invocation = await this.#invokeWithRoom(target, event);
      }
      return invocation;
    } finally {
      this.#active -= 1;
    }
  }

  /** Being throttled uses up no retry, only the event's age. */
  async #invokeWithRoom(target: FunctionTarget, event: unknown): Promise<Invocation> {
    const { scheduleEveryMs, invokeFunction, sleep = realSleep } = this.#options;
    // A schedule that runs faster than the template says is not to rest for longer than its interval, as in AWS.
    const maxMs = Math.min(
      MAX_THROTTLED_WAIT_MS,
      typeof scheduleEveryMs === 'number' ? scheduleEveryMs : MAX_THROTTLED_WAIT_MS,
    );
    const { maxAgeMs = DEFAULT_MAX_AGE_MS } = target;
    let ageMs = 0;
    for (let tries = 1; ; tries += 1) {
      const invocation = await invokeFunction(target.functionName, event);
      const isThrottled = !invocation.ok && invocation.isThrottled === true;
      const waitMs = waitAfter({ firstMs: FIRST_THROTTLED_WAIT_MS, maxMs }, tries);
      if (!isThrottled || ageMs + waitMs > maxAgeMs || this.#closing.signal.aborted) return invocation;
      await sleep(waitMs, this.#closing.signal);
      ageMs += waitMs;
    }
  }
}
