/**
 * Admission against limits of every kind, on virtual time: the rules alone, with a service that judges each batch as it
 * comes and tells what it made of it at the next poll. Nothing is random.
 */

import { describe, expect, test } from 'vitest';
import { DEFAULT_API_KEY } from '../../../../src/contract/api-key.ts';
import { quotaSchema } from '../../../../src/contract/quota.ts';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { batchIdOf } from '../../../../src/core/model/batch-id.ts';
import type { Ledger } from '../../../../src/core/model/ledger.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { admit } from '../../../../src/core/scheduling/admit.ts';
import { newLedger, reserveOn, settleOn } from '../../../../src/core/scheduling/ledger.ts';
import { tokensLedgerOf } from '../../../../src/core/scheduling/scopes.ts';
import {
  type GivenLimit,
  lessonOfAcceptance,
  lessonOfRefusal,
} from '../../../../src/core/scheduling/token-limit.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { QUOTA_RULES } from '../../../../src/providers/openai/quota.ts';

const POLL_MS = 5 * MINUTE_MS;
const STARTED_AT = 1_790_000_000_000;
const MODEL = 'gpt-6-luna';
const LEDGER = tokensLedgerOf({ model: MODEL });
const TOKENS = 50_000_000;
const BYTES = 190_000_000;

interface Regime {
  /** Batches of each job that is dropped at the beginning. */
  jobs: readonly number[];
  /** The limit at a time since the beginning, as OpenAI tells it. */
  limit: (atMs: number) => number;
  /** What others have enqueued of it. */
  others?: (atMs: number) => number;
  /** How many tokens OpenAI counts for one of ours. Default: 1. */
  countedAs?: number;
  /** How long a batch takes. */
  hours: number;
  /** Whether a refusal reports the limit. Default: yes. */
  isReported?: boolean;
}

interface Outcome {
  endedAtMs: number;
  refused: number;
  accepted: number;
  /** When the last batch of the first wave was enqueued, and how many were enqueued at each poll. */
  enqueued: { atMs: number; tokens: number; room: number; waiting: number }[];
  mostUnjudged: number;
  mostRefusedOfAJob: number;
}

const GIVEN: GivenLimit = { configured: undefined, first: QUOTA_RULES.firstEnqueuedTokensOf(MODEL) };

interface Sent {
  batch: BatchRecord;
  id: string;
  isTaken: boolean;
  isSeen: boolean;
  endsAt: number;
}

/** Plays a regime until every batch has run, or for 30 days. */
function play(regime: Regime): Outcome {
  const { limit, others = () => 0, countedAs = 1, hours, isReported = true } = regime;
  let ledger: Ledger = newLedger(LEDGER, STARTED_AT);
  let waiting = regime.jobs.flatMap((count, job) =>
    Array.from({ length: count }, (_, index) => batchOf(`job${job}`, index, count)),
  );
  let sent: Sent[] = [];
  const refusedOf = new Map<string, number>();
  const outcome: Outcome = {
    endedAtMs: 0,
    refused: 0,
    accepted: 0,
    enqueued: [],
    mostUnjudged: 0,
    mostRefusedOfAJob: 0,
  };
  let ids = 0;
  const learn = (lesson: object | undefined): void => {
    ledger = { ...ledger, ...lesson };
  };
  for (let now = STARTED_AT; now < STARTED_AT + 30 * 24 * HOUR_MS; now += POLL_MS) {
    const atMs = now - STARTED_AT;
    // The poll: what was taken, what was refused, what has ended.
    for (const one of sent) {
      if (one.isTaken && !one.isSeen) learn(lessonOfAcceptance(ledger, one.batch, GIVEN, now));
      if (one.isTaken && !one.isSeen) outcome.accepted++;
      if (!one.isTaken) {
        learn(settleOn(ledger, one.id, TOKENS, 0, now));
        const refusal = {
          openaiBatchId: one.id,
          tokens: TOKENS,
          reported: isReported ? limit(atMs) : undefined,
        };
        learn(lessonOfRefusal(ledger, refusal, GIVEN, now));
        outcome.refused++;
        const { jobId } = one.batch;
        refusedOf.set(jobId, (refusedOf.get(jobId) ?? 0) + 1);
        waiting.push({ ...one.batch, state: 'planned', history: { tokenRefusals: 1 } });
      } else if (one.endsAt <= now) learn(settleOn(ledger, one.id, TOKENS, 0, now));
      one.isSeen = true;
    }
    sent = sent.filter(({ isTaken, endsAt }) => isTaken && endsAt > now);
    if (waiting.length === 0 && sent.length === 0) {
      outcome.endedAtMs = atMs;
      break;
    }
    const { admissions, recuts } = admit({
      waiting,
      reservations: sent.map(({ batch }) => ({
        jobId: batch.jobId,
        amounts: [{ ledger: LEDGER, amount: TOKENS }],
      })),
      ledgers: new Map([[LEDGER, ledger]]),
      suspensions: new Map(),
      pauses: [],
      retired: new Map(),
      turnsLeft: new Map([[DEFAULT_API_KEY, 2_000]]),
      quota: quotaSchema.parse({}),
      quotaRules: QUOTA_RULES,
      rulesOf: () => ({ name: 'x', budget: 'unlimited', overBudget: 'wait', allowUnpriced: true }),
      prices: new Prices(OPENAI_PRICES),
      now,
    });
    expect(recuts).toEqual([]);
    for (const { batch, demands } of admissions) {
      const id = `r${ids++}`;
      ledger = reserveOn(ledger, demands[0]!, id, now)!;
      const mine = sent.filter(({ isTaken }) => isTaken).length * TOKENS * countedAs;
      const isTaken = mine + TOKENS * countedAs + others(atMs) <= limit(atMs);
      sent.push({
        batch: { ...batch, admission: { reservation: id } },
        id,
        isTaken,
        isSeen: false,
        endsAt: now + hours * HOUR_MS,
      });
      waiting = waiting.filter((other) => other !== batch);
    }
    outcome.mostUnjudged = Math.max(outcome.mostUnjudged, Object.keys(ledger.unjudged ?? {}).length);
    const tokens = sent.filter(({ isTaken }) => isTaken).length * TOKENS * countedAs;
    outcome.enqueued.push({ atMs, tokens, room: limit(atMs) - others(atMs), waiting: waiting.length });
  }
  outcome.mostRefusedOfAJob = Math.max(0, ...refusedOf.values());
  return outcome;
}

function batchOf(jobId: string, index: number, count: number): BatchRecord {
  return {
    v: 1,
    jobId,
    batchId: batchIdOf(0, index),
    round: 0,
    state: 'planned',
    endpoint: '/v1/responses',
    model: MODEL,
    manifestKey: 'work/m',
    requests: 10,
    bytes: BYTES,
    jobBytes: count * BYTES,
    tokens: TOKENS,
    createdAt: STARTED_AT,
    updatedAt: STARTED_AT,
  };
}

/** The part of the room that was used, while something waited, from `fromHours` to `toHours`. */
function useOf({ enqueued }: Outcome, fromHours: number, toHours = Number.POSITIVE_INFINITY): number {
  const within = enqueued.filter(
    ({ atMs, waiting }) => atMs >= fromHours * HOUR_MS && atMs < toHours * HOUR_MS && waiting > 0,
  );
  return (
    within.reduce((sum, { tokens, room }) => sum + tokens / (Math.floor(room / TOKENS) * TOKENS), 0) /
    within.length
  );
}

/** How often what is enqueued, while something waits, changes from growing to shrinking by more than two batches. */
function swingsOf({ enqueued }: Outcome, fromHours: number): number {
  const levels = enqueued.filter(({ atMs, waiting }) => atMs >= fromHours * HOUR_MS && waiting > 0);
  let swings = 0;
  let top = 0;
  let isFalling = false;
  for (const { tokens } of levels) {
    if (!isFalling && tokens < top - 2 * TOKENS) {
      swings++;
      isFalling = true;
    }
    if (tokens >= top) isFalling = false;
    top = isFalling ? tokens : Math.max(top, tokens);
  }
  return swings;
}

describe('a new stack', () => {
  test('has the ten batches of its first file enqueued within half an hour, not one after the other', () => {
    const outcome = play({ jobs: [10], limit: () => 15_000_000_000, hours: 6 });
    expect(outcome.enqueued.find(({ waiting }) => waiting === 0)!.atMs).toBeLessThanOrEqual(30 * MINUTE_MS);
    expect(outcome.refused).toBe(0);
    expect(outcome.endedAtMs).toBeLessThanOrEqual(6.6 * HOUR_MS);
  });

  test('has at most four batches unjudged at first, of as many jobs as there are, and doubles with acceptances', () => {
    const outcome = play({
      jobs: Array.from({ length: 300 }, () => 1),
      limit: () => 100_000_000_000,
      hours: 6,
    });
    const steps = outcome.enqueued.slice(0, 4).map(({ tokens }) => tokens / TOKENS);
    expect(steps).toEqual([4, 12, 28, 60]);
    expect(outcome.mostUnjudged).toBeLessThanOrEqual(32);
    expect(outcome.enqueued.find(({ waiting }) => waiting === 0)!.atMs).toBeLessThanOrEqual(60 * MINUTE_MS);
  });

  test('risks two batches of a file, or a twentieth of it', () => {
    for (const [batches, risked] of [
      [10, 2],
      [100, 5],
      [400, 20],
    ] as const) {
      const outcome = play({ jobs: [batches], limit: () => 45 * TOKENS, hours: 3 });
      expect(outcome.mostRefusedOfAJob, `${batches} batches`).toBeLessThanOrEqual(risked);
    }
  });
});

describe('a fixed limit', () => {
  test.each([3, 7, 40])('of %i batches is used whole, with a refusal or two a day and no swings', (fits) => {
    const outcome = play({ jobs: [60, 60, 60], limit: () => fits * TOKENS, hours: 2 });
    const days = Math.ceil(outcome.endedAtMs / (24 * HOUR_MS));
    expect(outcome.refused).toBeLessThanOrEqual(9 + 2 * days);
    expect(outcome.mostRefusedOfAJob).toBeLessThanOrEqual(3 + days);
    expect(useOf(outcome, 2)).toBeGreaterThan(0.93);
    expect(swingsOf(outcome, 2)).toBeLessThanOrEqual(days);
  });

  test('that OpenAI counts otherwise than we do is used to four fifths, and one in twenty batches is refused', () => {
    const outcome = play({ jobs: [300], limit: () => 20 * TOKENS, countedAs: 1.5, hours: 2 });
    expect(outcome.refused / outcome.accepted).toBeLessThan(1 / 20);
    expect(useOf({ ...outcome, enqueued: outcome.enqueued }, 3)).toBeGreaterThan(0.75);
  });

  test('that no refusal reports is found all the same', () => {
    const outcome = play({ jobs: [300], limit: () => 20 * TOKENS, hours: 2, isReported: false });
    expect(outcome.refused / outcome.accepted).toBeLessThan(1 / 20);
    expect(useOf(outcome, 3)).toBeGreaterThan(0.75);
  });
});

describe('a limit that others share', () => {
  test('leaves little unused, and at most one batch in twenty is refused', () => {
    const outcome = play({ jobs: [200, 200], limit: () => 40 * TOKENS, others: () => 15 * TOKENS, hours: 2 });
    expect(outcome.refused / outcome.accepted).toBeLessThan(1 / 20);
    expect(useOf(outcome, 3)).toBeGreaterThan(0.75);
  });

  test('is used whole again once they have left', () => {
    const others = (atMs: number): number => (atMs < 10 * HOUR_MS ? 30 * TOKENS : 0);
    const outcome = play({ jobs: [500], limit: () => 40 * TOKENS, others, hours: 2 });
    expect(useOf(outcome, 3, 10)).toBeGreaterThan(0.6);
    expect(useOf(outcome, 16)).toBeGreaterThan(0.75);
    expect(outcome.refused / outcome.accepted).toBeLessThan(1 / 20);
  });

  test('takes in others that come and go, without swings of its own', () => {
    const others = (atMs: number): number => (Math.floor(atMs / (8 * HOUR_MS)) % 2 === 0 ? 0 : 20 * TOKENS);
    const outcome = play({ jobs: [600], limit: () => 40 * TOKENS, others, hours: 2 });
    expect(outcome.refused / outcome.accepted).toBeLessThan(1 / 16);
    expect(useOf(outcome, 3)).toBeGreaterThan(0.6);
  });
});

describe('a limit that changes', () => {
  test('is followed when it falls: what is refused says so once', () => {
    const limit = (atMs: number): number => (atMs < 6 * HOUR_MS ? 40 : 12) * TOKENS;
    const outcome = play({ jobs: [200], limit, hours: 2 });
    const days = Math.ceil(outcome.endedAtMs / (24 * HOUR_MS));
    expect(outcome.refused).toBeLessThanOrEqual(35 + days);
    expect(useOf(outcome, 9)).toBeGreaterThan(0.9);
  });

  test('is found when it rises, within a day and an hour', () => {
    const limit = (atMs: number): number => (atMs < 6 * HOUR_MS ? 10 : 80) * TOKENS;
    const outcome = play({ jobs: [2_000], limit, hours: 2 });
    expect(useOf(outcome, 1, 6)).toBeGreaterThan(0.9);
    const found = outcome.enqueued.find(({ tokens }) => tokens > 20 * TOKENS)!;
    expect(found.atMs).toBeLessThanOrEqual(26 * HOUR_MS);
    expect(useOf(outcome, 28)).toBeGreaterThan(0.9);
    expect(outcome.refused / outcome.accepted).toBeLessThan(0.02);
  });
});
