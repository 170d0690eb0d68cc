/** When responses in the background are looked at: sparingly, because most are ready long after they were created. */
import { MINUTE_MS } from '../../../contract/time.ts';

/**
 * How a response is watched. `sparing`: by looks alone. `reported`: a webhook says when it has ended, looks are for those
 * that are lost. `close`: OpenAI keeps it for minutes after it has ended, too short to find out that webhooks are lost.
 */
export type Watch = 'sparing' | 'reported' | 'close';

/** What decides when a response is looked at. */
export interface Watched {
  /** When it was created, epoch ms. */
  createdAt: number;
  /** Within which time its provider aims to end it, in ms. */
  windowMs: number;
  watch: Watch;
}

/** At these shares of the window since the create; after the last one at every further quarter. */
const SHARES = {
  sparing: [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1],
  reported: [1 / 2, 1],
} as const;
const FURTHER_SHARE = 1 / 4;

/**
 * No two looks at a response are nearer to each other than this. A response that is kept for 10 minutes after it has
 * ended is looked at so often: a look may be late by a poll.
 */
export const MIN_LOOK_MS = 4 * MINUTE_MS;

/** The first time (epoch ms) after `after` at which a response is to be looked at, if it has not ended by then. */
export function nextLook({ createdAt, windowMs, watch }: Watched, after: number): number {
  const age = Math.max(0, after - createdAt);
  if (watch === 'close') return createdAt + (Math.floor(age / MIN_LOOK_MS) + 1) * MIN_LOOK_MS;
  let at = 0;
  for (const share of SHARES[watch]) {
    at = Math.max(share * windowMs, at + MIN_LOOK_MS);
    if (at > age) return createdAt + Math.ceil(at);
  }
  const furtherMs = Math.max(FURTHER_SHARE * windowMs, MIN_LOOK_MS);
  return createdAt + Math.ceil(at + (Math.floor((age - at) / furtherMs) + 1) * furtherMs);
}
