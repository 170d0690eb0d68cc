/** Which batches are admitted, in which order, within which limit: a table of cases, and properties. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_API_KEY } from '../../../../src/contract/api-key.ts';
import { type QuotaSettings, quotaSchema } from '../../../../src/contract/quota.ts';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import { ManifestEntries } from '../../../../src/core/files/manifest.ts';
import { apiKeyOf, type BatchRecord, tokensOf } from '../../../../src/core/model/batch.ts';
import type { Ledger } from '../../../../src/core/model/ledger.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { cutByTokens } from '../../../../src/core/pricing/recut.ts';
import { admit, type Situation } from '../../../../src/core/scheduling/admit.ts';
import type { MoneyRules } from '../../../../src/core/scheduling/budget.ts';
import { newLedger } from '../../../../src/core/scheduling/ledger.ts';
import {
  callsLedgerOf,
  createTurnsOf,
  suspensionScope,
  suspensionScopesOf,
  tokensLedgerOf,
} from '../../../../src/core/scheduling/scopes.ts';
import { suspended } from '../../../../src/core/scheduling/suspensions.ts';
import {
  givenLimitOf,
  lessonOfAcceptance,
  lessonOfRefusal,
  tokenLimitOf,
} from '../../../../src/core/scheduling/token-limit.ts';
import { type MinuteOfTurns, takeTurnOf, turnsLeftOf } from '../../../../src/core/scheduling/turns.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { QUOTA_RULES } from '../../../../src/providers/openai/quota.ts';
import { batchOf } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;
const MODEL = 'gpt-5.4-mini';
const LEDGER = tokensLedgerOf({ model: MODEL });

function batch(jobId: string, index: number, changes: Partial<BatchRecord> = {}): BatchRecord {
  return batchOf(jobId, index, { model: MODEL, requests: 10, bytes: 400, tokens: 100, ...changes });
}

function quotaOf(enqueuedTokens: Record<string, number>, more: Partial<QuotaSettings> = {}): QuotaSettings {
  return quotaSchema.parse({ enqueuedTokens, ...more });
}

const UNLIMITED: MoneyRules = {
  name: 'default',
  budget: 'unlimited',
  overBudget: 'wait',
  allowUnpriced: false,
};

function situation(waiting: BatchRecord[], changes: Partial<Situation> = {}): Situation {
  return {
    waiting,
    reservations: [],
    ledgers: new Map(),
    suspensions: new Map(),
    pauses: [],
    retired: new Map(),
    turnsLeft: new Map([[DEFAULT_API_KEY, 2_000]]),
    quota: quotaOf({ [MODEL]: 1_000 }),
    quotaRules: QUOTA_RULES,
    rulesOf: () => UNLIMITED,
    prices: new Prices(OPENAI_PRICES),
    now: NOW,
    ...changes,
  };
}

const namesOf = (of: readonly { batch: BatchRecord }[]) =>
  of.map(({ batch: { jobId, batchId } }) => `${jobId}${Number(batchId.split('-')[1])}`);
const job = (jobId: string, jobCreatedAt: number, count: number, changes: Partial<BatchRecord> = {}) =>
  Array.from({ length: count }, (_, index) => batch(jobId, index, { jobCreatedAt, ...changes }));

describe('who is admitted', () => {
  test('of several jobs each gets a turn, the oldest first', () => {
    const waiting = [...job('b', 2, 3), ...job('a', 1, 3), ...job('c', 3, 3)];
    expect(namesOf(admit(situation(waiting)).admissions)).toEqual('a0 b0 c0 a1 b1 c1 a2 b2 c2'.split(' '));
  });

  test('a job whose batches are on their way already waits for those that have fewer', () => {
    const held = [1, 2].map(() => ({ jobId: 'a', amounts: [{ ledger: LEDGER, amount: 100 }] }));
    const ledgers = new Map([[LEDGER, { ...newLedger(LEDGER, NOW), reserved: 200 }]]);
    const waiting = [...job('a', 1, 2), ...job('b', 2, 4)];
    const { admissions } = admit(situation(waiting, { reservations: held, ledgers }));
    expect(namesOf(admissions)).toEqual('b0 b1 a0 b2 a1 b3'.split(' '));
  });

  test('what is on its way for another model does not count', () => {
    const held = [{ jobId: 'a', amounts: [{ ledger: 'tokens/default/other', amount: 1 }] }];
    const waiting = [...job('a', 1, 1), ...job('b', 2, 1)];
    expect(namesOf(admit(situation(waiting, { reservations: held })).admissions)).toEqual(['a0', 'b0']);
  });

  test('a batch that does not fit keeps its place: nothing smaller overtakes it on its ledger', () => {
    const ledgers = new Map([[LEDGER, { ...newLedger(LEDGER, NOW), reserved: 500 }]]);
    const other = batch('c', 0, { model: 'gpt-6-luna', jobCreatedAt: 3 });
    const waiting = [batch('a', 0, { tokens: 600, jobCreatedAt: 1 }), ...job('b', 2, 2), other];
    const decisions = admit(situation(waiting, { ledgers }));
    expect(namesOf(decisions.admissions)).toEqual(['c0']);
    expect(Object.fromEntries(decisions.waitingFor)).toEqual({ tokens: 3 });
  });

  test('no more are admitted than may be created in this hour', () => {
    const decisions = admit(situation(job('a', 1, 5), { turnsLeft: new Map([[DEFAULT_API_KEY, 2]]) }));
    expect(namesOf(decisions.admissions)).toEqual(['a0', 'a1']);
    expect(Object.fromEntries(decisions.waitingFor)).toEqual({ turns: 3 });
  });

  test('turns are those of a key: the batches of another one continue', () => {
    const waiting = [...job('a', 1, 3), ...job('b', 2, 3, { apiKey: 'team-b' })];
    const turnsLeft = new Map([
      [DEFAULT_API_KEY, 1],
      ['team-b', 2],
    ]);
    const decisions = admit(situation(waiting, { turnsLeft }));
    expect(namesOf(decisions.admissions)).toEqual(['a0', 'b0', 'b1']);
    expect(Object.fromEntries(decisions.waitingFor)).toEqual({ turns: 3 });
  });

  test('tokens are those of a key: what one has enqueued takes no room from another one', () => {
    const ledgers = new Map([[LEDGER, { ...newLedger(LEDGER, NOW), reserved: 1_000 }]]);
    const waiting = [...job('a', 1, 1), ...job('b', 2, 1, { apiKey: 'team-b' })];
    const turnsLeft = new Map([DEFAULT_API_KEY, 'team-b'].map((name) => [name, 9]));
    const { admissions } = admit(situation(waiting, { ledgers, turnsLeft }));
    expect(namesOf(admissions)).toEqual(['b0']);
    expect(admissions[0]!.demands[0]!.ledger).toBe(`tokens/team-b/${MODEL}`);
  });

  test('a batch that is not to go yet waits, and holds up no other', () => {
    const waiting = [batch('a', 0, { wait: { notBefore: NOW + 1 }, jobCreatedAt: 1 }), ...job('b', 2, 1)];
    const decisions = admit(situation(waiting));
    expect(namesOf(decisions.admissions)).toEqual(['b0']);
    expect(Object.fromEntries(decisions.waitingFor)).toEqual({ time: 1 });
  });

  test('nothing goes while a ledger pauses', () => {
    const ledgers = new Map([[LEDGER, { ...newLedger(LEDGER, NOW), pausedUntil: NOW + 1 }]]);
    expect(admit(situation(job('a', 1, 2), { ledgers })).admissions).toEqual([]);
    expect(admit(situation(job('a', 1, 2), { ledgers, now: NOW + 1 })).admissions).toHaveLength(2);
  });
});

describe('what is too large', () => {
  test('a batch above four fifths of a known limit is cut again', () => {
    const { recuts, admissions } = admit(
      situation([batch('a', 0, { tokens: 801 }), batch('a', 1, { tokens: 800 })]),
    );
    expect(recuts).toMatchObject([{ batch: { batchId: '0-00000' }, tokens: 800, limit: 1_000 }]);
    expect(namesOf(admissions)).toEqual(['a1']);
  });

  test('a limit that is only assumed cuts nothing: batches above it try', () => {
    const waiting = job('a', 1, 3, { tokens: 50_000_000 });
    const { recuts, admissions } = admit(situation(waiting, { quota: quotaOf({}) }));
    expect(recuts).toEqual([]);
    expect(namesOf(admissions)).toEqual(['a0', 'a1']);
  });

  test('a single request above the limit of the user fails', () => {
    const { recuts } = admit(situation([batch('a', 0, { requests: 1, tokens: 1_001 })]));
    expect(recuts).toMatchObject([{ limit: 1_000 }]);
  });

  test('a single request above the limit that OpenAI reported is sent once, alone, before it fails', () => {
    const ledgers = new Map<string, Ledger>([
      [LEDGER, { ...newLedger(LEDGER, NOW), limit: 1_000, limitLearnedAt: NOW }],
    ]);
    const quota = quotaOf({});
    const single = batch('a', 0, { requests: 1, tokens: 1_001 });
    const first = admit(situation([single], { ledgers, quota }));
    expect([namesOf(first.admissions), first.recuts]).toEqual([['a0'], []]);
    const second = admit(situation([{ ...single, history: { tokenRefusals: 1 } }], { ledgers, quota }));
    expect([second.admissions, namesOf(second.recuts)]).toEqual([[], ['a0']]);
  });

  test('a batch that was refused three times although it should fit is halved, unless it is tiny', () => {
    const refused = { history: { tokenRefusals: 3 } };
    const { recuts, admissions } = admit(
      situation([batch('a', 0, { ...refused, tokens: 125 }), batch('a', 1, { ...refused, tokens: 124 })]),
    );
    expect(recuts).toMatchObject([{ batch: { batchId: '0-00000' }, tokens: 62 }]);
    expect(namesOf(admissions)).toEqual(['a1']);
  });

  test('parts have every request once, in order, and none is above the limit unless it is alone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 200 }),
        fc.integer({ min: 1, max: 3_000 }),
        fc.integer({ min: 1, max: 100_000 }),
        (lengths, most, tokens) => {
          const entries = new ManifestEntries();
          for (const [index, length] of lengths.entries())
            entries.push({
              line: index + 1,
              offset: index * 10_000,
              length,
              tried: index % 4,
              hash0: index,
              hash1: 7,
            });
          const parts = cutByTokens({ tokens, bytes: 1 }, entries, most);
          const all = parts.flatMap((part) =>
            Array.from({ length: part.entries.count }, (_, index) => part.entries.at(index)),
          );
          expect(all).toEqual(lengths.map((_, index) => entries.at(index)));
          for (const part of parts) expect(part.entries.count === 1 || part.tokens! <= most).toBe(true);
          if (tokens > most && lengths.length > 1) expect(parts.length).toBeGreaterThan(1);
        },
      ),
    );
  });
});

describe('suspensions', () => {
  const suspensionOf = (scope: string, probeAt: number) => ({
    ...suspended(undefined, scope, 'invalid_api_key', 'created', NOW - HOUR_MS),
    probeAt,
  });

  test('nothing goes with a suspended key until a probe may, and then the smallest batch alone', () => {
    const waiting = [
      batch('a', 0, { bytes: 500 }),
      batch('b', 0, { bytes: 90 }),
      batch('c', 0, { model: 'x' }),
    ];
    const early = admit(
      situation(waiting, {
        suspensions: new Map([
          [suspensionScope(DEFAULT_API_KEY), suspensionOf(suspensionScope(DEFAULT_API_KEY), NOW + 1)],
        ]),
      }),
    );
    expect(early.admissions).toEqual([]);
    expect(Object.fromEntries(early.waitingFor)).toEqual({ operator: 3 });
    const due = admit(
      situation(waiting, {
        suspensions: new Map([
          [suspensionScope(DEFAULT_API_KEY), suspensionOf(suspensionScope(DEFAULT_API_KEY), NOW)],
        ]),
      }),
    );
    expect(due.admissions).toMatchObject([
      { batch: { jobId: 'b' }, probes: [suspensionScope(DEFAULT_API_KEY)] },
    ]);
    expect(Object.fromEntries(due.waitingFor)).toEqual({ operator: 2 });
  });

  test('a suspended model holds up no other model', () => {
    const scope = suspensionScope(DEFAULT_API_KEY, 'x');
    const waiting = [batch('a', 0, { model: 'x' }), batch('b', 0)];
    const decisions = admit(
      situation(waiting, { suspensions: new Map([[scope, suspensionOf(scope, NOW + 1)]]) }),
    );
    expect(decisions.admissions).toMatchObject([{ batch: { jobId: 'b' }, probes: [] }]);
  });

  test('a suspended key holds up the batches of no other key, of the same model or not', () => {
    const waiting = [batch('a', 0), batch('b', 0, { apiKey: 'team-b' }), batch('c', 0, { apiKey: 'team-c' })];
    const model = suspensionScope('team-c', MODEL);
    const suspensions = new Map([
      [DEFAULT_API_KEY, suspensionOf(DEFAULT_API_KEY, NOW + 1)],
      [model, suspensionOf(model, NOW + 1)],
    ]);
    const turnsLeft = new Map([DEFAULT_API_KEY, 'team-b', 'team-c'].map((name) => [name, 9]));
    const decisions = admit(situation(waiting, { suspensions, turnsLeft }));
    expect(decisions.admissions).toMatchObject([{ batch: { jobId: 'b' }, probes: [] }]);
    expect(Object.fromEntries(decisions.waitingFor)).toEqual({ operator: 2 });
  });

  test('the names of what belongs to the own key of the stack are those that tables contain', () => {
    const own = batch('a', 0);
    expect(own).not.toHaveProperty('apiKey');
    expect(suspensionScopesOf(own)).toEqual(['default', `default/${MODEL}`]);
    expect(tokensLedgerOf(own)).toBe(`tokens/default/${MODEL}`);
    expect(callsLedgerOf({ ...own, tier: 'flex' })).toBe(`calls/default/flex/${MODEL}`);
    expect(createTurnsOf(apiKeyOf(own))).toBe('creates/default');
  });

  test('the probe of a key is never a batch that its own model keeps from going', () => {
    const model = suspensionScope(DEFAULT_API_KEY, 'x');
    const suspensions = new Map([
      [suspensionScope(DEFAULT_API_KEY), suspensionOf(suspensionScope(DEFAULT_API_KEY), NOW)],
      [model, suspensionOf(model, NOW + 1)],
    ]);
    const waiting = [batch('a', 0, { model: 'x', bytes: 1 }), batch('b', 0, { bytes: 900 })];
    expect(admit(situation(waiting, { suspensions })).admissions).toMatchObject([{ batch: { jobId: 'b' } }]);
  });
});

test('never is more admitted than the limit, in any situation; what goes alone goes alone', () => {
  const batches = fc.array(
    fc.record({
      job: fc.constantFrom('a', 'b', 'c', 'd'),
      tokens: fc.integer({ min: 1, max: 1_200 }),
      requests: fc.integer({ min: 1, max: 3 }),
      tokenRefusals: fc.integer({ min: 0, max: 3 }),
      model: fc.constantFrom(MODEL, 'other'),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(batches, fc.nat({ max: 1_500 }), fc.nat({ max: 9 }), (made, reserved, turnsLeft) => {
      const waiting = made.map(({ job: id, tokenRefusals, ...rest }, index) =>
        batch(id, index, { ...rest, history: { tokenRefusals }, jobCreatedAt: id.charCodeAt(0) }),
      );
      const ledgers = new Map([[LEDGER, { ...newLedger(LEDGER, NOW), reserved }]]);
      const { admissions, recuts, waitingFor } = admit(
        situation(waiting, { ledgers, turnsLeft: new Map([[DEFAULT_API_KEY, turnsLeft]]) }),
      );
      expect(admissions.length).toBeLessThanOrEqual(turnsLeft);
      const waits = [...waitingFor.values()].reduce((sum, count) => sum + count, 0);
      expect(admissions.length + recuts.length + waits).toBe(waiting.length);
      const sums = new Map([[LEDGER, reserved]]);
      for (const { demands } of admissions) {
        for (const { ledger, amount, limit } of demands) {
          const before = sums.get(ledger) ?? 0;
          expect(before === 0 || before + amount <= limit).toBe(true);
          sums.set(ledger, before + amount);
        }
      }
    }),
  );
});

test('no batch starves: while old batches end and new jobs keep coming, every batch is admitted in the end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 800 }), { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 800 })),
      (first, more) => {
        let waiting = first.map((tokens, index) => batch('old', index, { tokens, jobCreatedAt: 0 }));
        let running: { jobId: string; tokens: number; endsAt: number }[] = [];
        for (let step = 1; step <= 60; step++) {
          running = running.filter(({ endsAt }) => endsAt > step);
          const tokens = more.next().value!;
          waiting.push(batch(`new${step}`, 0, { tokens, jobCreatedAt: step }));
          const reserved = running.reduce((sum, one) => sum + one.tokens, 0);
          const { admissions } = admit(
            situation(waiting, {
              ledgers: new Map([[LEDGER, { ...newLedger(LEDGER, NOW), reserved }]]),
              reservations: running.map(({ jobId, tokens: amount }) => ({
                jobId,
                amounts: [{ ledger: LEDGER, amount }],
              })),
            }),
          );
          for (const { batch: admitted } of admissions)
            running.push({ jobId: admitted.jobId, tokens: tokensOf(admitted), endsAt: step + 2 });
          waiting = waiting.filter((one) => !admissions.some(({ batch: admitted }) => admitted === one));
        }
        expect(waiting.filter(({ jobId }) => jobId === 'old')).toEqual([]);
      },
    ),
    { numRuns: 50 },
  );
});

describe('the limit', () => {
  const GIVEN = { configured: undefined, first: 2_000_000 };
  const refusal = { openaiBatchId: 'batch_1', tokens: 600_000, reported: 2_000_000 };
  const ledgerWith = (changes: Partial<Ledger>): Ledger => ({ ...newLedger(LEDGER, NOW), ...changes });
  const taught = (ledger: Ledger, lesson: object | undefined): Ledger => ({ ...ledger, ...lesson });

  test('starts where the provider says for the model', () => {
    const rules = { firstEnqueuedTokensOf: (model: string) => model.length };
    const given = givenLimitOf(quotaOf({}), rules, 'four');
    expect(tokenLimitOf(undefined, given, NOW)).toEqual({ assumed: 4, ceiling: 4, probes: 4 });
  });

  test('is what OpenAI says when more was enqueued than that, without a pause', () => {
    const lesson = lessonOfRefusal(ledgerWith({ reserved: 1_900_000 }), refusal, GIVEN, NOW);
    expect(lesson).toEqual({
      lastRefusal: 'batch_1',
      limit: 2_000_000,
      limitLearnedAt: NOW,
      ceiling: 2_000_000,
      probes: 1,
    });
  });

  test('is used to three quarters, then to halves, after a pause that doubles, when OpenAI refuses although there is room', () => {
    let ledger = ledgerWith({ reserved: 400_000 });
    const pauses: number[] = [];
    const ceilings: number[] = [];
    let now = NOW;
    for (let round = 0; round < 6; round++) {
      const told = { ...refusal, openaiBatchId: `batch_${round}` };
      ledger = taught(ledger, lessonOfRefusal(ledger, told, GIVEN, now));
      pauses.push((ledger.pausedUntil! - now) / MINUTE_MS);
      // What was sent before the pause teaches nothing more.
      const late = { ...refusal, openaiBatchId: `late_${round}` };
      ledger = taught(ledger, lessonOfRefusal(ledger, late, GIVEN, now));
      now = ledger.pausedUntil!;
      ceilings.push(ledger.ceiling!);
    }
    expect(pauses).toEqual([5, 10, 20, 40, 60, 60]);
    expect(ceilings).toEqual([750_000, 375_000, 187_500, 93_750, 46_875, 23_437]);
  });

  test('is taught nothing by a refusal that is reported twice', () => {
    const ledger = taught(ledgerWith({}), lessonOfRefusal(undefined, refusal, GIVEN, NOW));
    expect(lessonOfRefusal(ledger, refusal, GIVEN, NOW + 1)).toBeUndefined();
  });

  test('is left alone by a refusal that reports none', () => {
    const odd = { ...refusal, reported: undefined };
    expect(lessonOfRefusal(undefined, odd, GIVEN, NOW)).not.toHaveProperty('limit');
  });

  test('is never above the one of the user, and never above the one of OpenAI', () => {
    const ledger = ledgerWith({ limit: 500, limitLearnedAt: NOW });
    expect(tokenLimitOf(ledger, { ...GIVEN, configured: 900 }, NOW)).toMatchObject({
      known: 500,
      ceiling: 500,
    });
    expect(tokenLimitOf(ledger, { ...GIVEN, configured: 100 }, NOW)).toMatchObject({
      known: 100,
      ceiling: 100,
    });
  });

  test('is what OpenAI has taken of ours, and one more batch may be unjudged for each that it takes', () => {
    const batch = { admission: { reservation: 'r1' } };
    const probe = { jobId: 'a', tokens: 3_000_000, bytes: 1 };
    const before = ledgerWith({ reserved: 8_000_000, unjudged: { r1: probe, r2: probe } });
    const ledger = taught(before, lessonOfAcceptance(before, batch, GIVEN, NOW));
    expect(ledger).toMatchObject({ ceiling: 5_000_000, probes: 5, unjudged: { r2: probe } });
    expect(tokenLimitOf(ledger, GIVEN, NOW)).toMatchObject({ ceiling: 5_000_000, probes: 5 });
    // One that was no probe, below what is proven.
    expect(lessonOfAcceptance(ledger, { admission: { reservation: 'r9' } }, GIVEN, NOW)).toBeUndefined();
  });

  test('grows by a hundred-and-sixtieth of where it was refused, while it is used, and is probed again beyond that', () => {
    const batch = { admission: { reservation: 'r1' } };
    let ledger = ledgerWith({ reserved: 900_000, ceiling: 1_000_000 });
    const told = { ...refusal, tokens: 100_000 };
    ledger = taught(ledger, lessonOfRefusal(ledger, told, GIVEN, NOW));
    expect(ledger).toMatchObject({ ceiling: 750_000, refusedAt: 1_000_000, probes: 1 });
    expect(tokenLimitOf(ledger, GIVEN, NOW).probes).toBe(0);
    const later = NOW + HOUR_MS;
    ledger = taught(
      { ...ledger, reserved: 700_000 },
      lessonOfAcceptance({ ...ledger, reserved: 700_000 }, batch, GIVEN, later),
    );
    expect(ledger.ceiling).toBe(756_250);
    expect(ledger.refusals).toBeUndefined();
    expect(lessonOfAcceptance({ ...ledger, reserved: 100_000 }, batch, GIVEN, later)).toBeUndefined();
    ledger = taught(ledger, lessonOfAcceptance({ ...ledger, reserved: 1_000_000 }, batch, GIVEN, later));
    expect(ledger).toMatchObject({ ceiling: 1_000_000, refusedAt: undefined });
    expect(tokenLimitOf(ledger, GIVEN, later).probes).toBe(1);
  });

  test('is believed for a day: then one batch tries whether the account has more by now', () => {
    const ledger = ledgerWith({ limit: 1_600, limitLearnedAt: NOW, ceiling: 1_600, lastRefusal: 'x' });
    const day = NOW + 24 * HOUR_MS;
    expect(tokenLimitOf(ledger, GIVEN, day - 1)).toMatchObject({ known: 1_600, ceiling: 1_600 });
    const after = tokenLimitOf(ledger, GIVEN, day);
    expect(after).toMatchObject({ ceiling: 1_600, probes: 1 });
    expect(after.known).toBeUndefined();
  });
});

describe('batches beyond what is proven', () => {
  const jobOf = (jobId: string, count: number) =>
    job(jobId, jobId.charCodeAt(0), count, { tokens: 5_000_000, bytes: 100, jobBytes: count * 100 });
  const free = { quota: quotaOf({}) };

  test('are two of a job and four of a model, until OpenAI has taken some', () => {
    const waiting = [...jobOf('a', 9), ...jobOf('b', 9), ...jobOf('c', 9)];
    const { admissions, backlog } = admit(situation(waiting, free));
    expect(namesOf(admissions)).toEqual(['a0', 'b0', 'c0', 'a1']);
    expect([...backlog]).toEqual([LEDGER]);
    expect(namesOf(admit(situation(jobOf('a', 9), free)).admissions)).toEqual(['a0', 'a1']);
  });

  test('are a fortieth of a large job', () => {
    const ledgers = new Map<string, Ledger>([[LEDGER, { ...newLedger(LEDGER, NOW), probes: 30 }]]);
    const { admissions } = admit(situation(jobOf('a', 200), { ...free, ledgers }));
    expect(admissions).toHaveLength(5);
  });

  test('never pass the limit that OpenAI reported', () => {
    const told = { ...newLedger(LEDGER, NOW), limit: 12_000_000, limitLearnedAt: NOW, probes: 30 };
    const { admissions } = admit(situation(jobOf('a', 200), { ...free, ledgers: new Map([[LEDGER, told]]) }));
    expect(admissions).toHaveLength(2);
  });
});

test('in any 60 minutes no more turns are taken than there are, on clocks that differ by up to a minute', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.record({ gap: fc.nat({ max: 9 * MINUTE_MS }), skew: fc.nat({ max: MINUTE_MS }) }), {
        minLength: 1,
        maxLength: 150,
      }),
      (perHour, asks) => {
        let minutes: MinuteOfTurns[] = [];
        let now = NOW;
        const granted: number[] = [];
        for (const { gap, skew } of asks) {
          now += gap;
          const left = turnsLeftOf(minutes, perHour, now - skew);
          const taken = takeTurnOf(minutes, perHour, now - skew);
          expect('minutes' in taken).toBe(left > 0);
          if ('waitMs' in taken) expect(taken.waitMs).toBeGreaterThan(0);
          else {
            minutes = taken.minutes;
            granted.push(now);
          }
        }
        for (const [index, at] of granted.entries()) {
          const within = granted.slice(index).filter((other) => other < at + HOUR_MS);
          expect(within.length).toBeLessThanOrEqual(perHour);
        }
      },
    ),
  );
});
