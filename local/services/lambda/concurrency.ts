/**
 * How many invocations an account runs at a time. Above its limit Lambda throttles: it answers
 * `TooManyRequestsException` and runs nothing; who tries again, and when, is up to the caller (the event source, or
 * the queue of asynchronous invocations). Source: Lambda Developer Guide, "Understanding Lambda function scaling".
 */

/** What an account gives its functions. */
export interface AccountConcurrency {
  /** The limit of the account; `Infinity` without one. */
  readonly limit: number;
  /** Invocations running now. */
  readonly running: number;
  /** Most that ran at a time. */
  readonly peak: number;
  /** The share of one function. @param name as in the map of reserved concurrencies */
  shareOf(name: string): ConcurrencyShare;
}

/** What one function may use. */
export interface ConcurrencyShare {
  /** Takes room for an invocation. `false`: there is none, so it is throttled. */
  enter(): boolean;
  /** Gives the room back. */
  leave(): void;
}

/** AWS: so much of an account's limit must stay unreserved; all of it where the limit is lower. */
const MIN_UNRESERVED = 100;

/**
 * @param limit of the account; AWS gives 1,000 by default and new accounts as few as 10. `Infinity`: no limit
 * @param reserved by name of the function: its reserved concurrency, which is taken out of what the others share
 * @throws when AWS would refuse the deployment, because too little would stay unreserved
 */
export function createAccountConcurrency(
  limit: number,
  reserved: ReadonlyMap<string, number>,
): AccountConcurrency {
  const taken = [...reserved.values()].reduce((sum, each) => sum + each, 0);
  const unreserved = { limit: limit - taken, running: 0 };
  const min = Math.min(MIN_UNRESERVED, limit);
  if (taken > 0 && unreserved.limit < min) {
    throw new Error(
      `The functions reserve ${taken} of the account's concurrency of ${limit}: AWS refuses to leave less than ${min} ` +
        'unreserved. Reserve less, or nothing.',
    );
  }
  const pools = new Map([...reserved].map(([name, each]) => [name, { limit: each, running: 0 }]));
  let running = 0;
  let peak = 0;
  return {
    limit,
    get running() {
      return running;
    },
    get peak() {
      return peak;
    },
    shareOf(name) {
      const pool = pools.get(name) ?? unreserved;
      return {
        enter() {
          if (pool.running >= pool.limit) return false;
          pool.running += 1;
          running += 1;
          peak = Math.max(peak, running);
          return true;
        },
        leave() {
          pool.running -= 1;
          running -= 1;
        },
      };
    },
  };
}
