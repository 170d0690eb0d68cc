import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type ExplainFacts, explain, ledgersToRead } from '../../../../cli/view/explain.ts';
import { commandsOf, explanationText } from '../../../../cli/view/explain-text.ts';
import {
  REASONS,
  reasonText,
  WAITS,
  type WaitCode,
  type WaitFacts,
} from '../../../../cli/view/wait-reasons.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import type { Ledger } from '../../../../src/core/model/ledger.ts';
import { CANCELLED, LOST_BATCH } from '../../../../src/core/model/outcome-codes.ts';
import type { Suspension } from '../../../../src/core/model/suspension.ts';
import { newLedger } from '../../../../src/core/scheduling/ledger.ts';
import { operatorScopeOf } from '../../../../src/providers/openai/errors.ts';
import { batchOf, jobOf, remoteOf } from '../../../support/records.ts';
import { explainFactsOf } from './explain-facts.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const HOUR = 3_600_000;
const SINCE = NOW - 2 * HOUR;
const LATER = NOW + HOUR;
const TOKENS = 'tokens/default/gpt-6-luna';

function factsOf(
  job: Partial<Job> | undefined,
  batches: readonly Partial<BatchRecord>[],
  others: Partial<ExplainFacts> = {},
): ExplainFacts {
  const recorded = job && jobOf('j', { state: 'running', createdAt: SINCE, ...job });
  return explainFactsOf([], NOW, {
    key: 'input/j.jsonl',
    records: {
      job: recorded,
      batches: batches.map((batch, index) =>
        batchOf('j', index, { updatedAt: SINCE, route: 'default', ...batch }),
      ),
    },
    setKeyCommandOf: (apiKey) => (apiKey === 'default' ? 'aws secretsmanager put-secret-value' : undefined),
    ...others,
  });
}

const ledger = (changes: Partial<Ledger>): ReadonlyMap<string, Ledger> =>
  new Map([[TOKENS, { ...newLedger(TOKENS, NOW), ...changes }]]);
const suspension = (changes: Partial<Suspension>): Suspension => ({
  v: 1,
  scope: 'default',
  isSuspended: true,
  reason: 'invalid_api_key',
  provenBy: 'created',
  suspendedAt: SINCE,
  probes: 1,
  probeAt: LATER,
  updatedAt: SINCE,
  ...changes,
});
const PAUSE: ExplainFacts['pauses'][number] = {
  route: 'default',
  by: 'arn:aws:iam::1:user/ann',
  at: SINCE,
  reason: 'an incident',
};
const budgetRoute = { ...defaultSettings().routes[0]!, budget: { perDayUsd: '1' }, allowUnpriced: true };

/** Each way to wait, the records of it, and what must be said. */
const CASES: readonly [WaitCode, ExplainFacts, string, string | undefined][] = [
  ['not_seen', factsOf(undefined, []), 'no job is recorded', 'batchdrop jobs --ignored'],
  ['checking', factsOf({ state: 'ingesting' }, []), 'its lines are being checked', undefined],
  [
    'unreadable',
    factsOf(
      {
        state: 'ingesting',
        ingest: {
          starts: 0,
          unreadable: { since: SINCE, tries: 2, code: 'AccessDenied', reason: 'no right', nextAt: LATER },
        },
      },
      [],
    ),
    'S3 does not give the file (AccessDenied): no right',
    undefined,
  ],
  [
    'turn',
    factsOf({ state: 'ingesting', turn: { since: SINCE, waitsFor: 'perDay', nextAt: LATER } }, []),
    'for its turn among the files of route "default": as many files of the route started today as may, at',
    'batchdrop jobs --status waiting_for_turn',
  ],
  [
    'step_of_job',
    factsOf({ failing: { since: SINCE, tries: 3, reason: 'SlowDown', nextAt: LATER } }, []),
    'a step of the job fails: SlowDown',
    'batchdrop logs j',
  ],
  [
    'owner',
    factsOf({ state: 'duplicate', duplicateOf: 'o' }, []),
    'the same content as job o',
    'batchdrop explain o',
  ],
  ['merging', factsOf({}, [{ state: 'collected' }]), 'its results are being merged', undefined],
  [
    'paused',
    factsOf({}, [{}], { pauses: [PAUSE] }),
    'route "default" is paused by arn:aws:iam::1:user/ann: an incident',
    'batchdrop unpause default',
  ],
  [
    'held',
    factsOf({}, [{ hold: { reason: 'server_error', at: SINCE } }]),
    'OpenAI refused it with code server_error',
    'batchdrop resume j',
  ],
  [
    'retry',
    factsOf({}, [{ wait: { notBefore: LATER, lastError: 'create refused: HTTP 429' } }]),
    'create refused: HTTP 429',
    undefined,
  ],
  [
    'suspended',
    factsOf({}, [{}], { suspensions: [suspension({})] }),
    'OpenAI refuses the API key "default" [invalid_api_key]',
    'aws secretsmanager put-secret-value',
  ],
  [
    'budget',
    factsOf({}, [{ hold: { reason: 'budget_exhausted' } }]),
    'for the budget of route "default"',
    'batchdrop limits',
  ],
  [
    'tokens',
    factsOf({}, [{ tokens: 500 }], {
      backlog: [TOKENS],
      ledgers: ledger({ reserved: 1_900, ceiling: 2_000 }),
    }),
    '1,900 of 2,000 are reserved, each of these needs about 500',
    'batchdrop limits',
  ],
  [
    'tokens_rest',
    factsOf({}, [{}], { ledgers: ledger({ pausedUntil: LATER }) }),
    'refused batches of gpt-6-luna for lack of enqueued tokens',
    'batchdrop limits',
  ],
  [
    'slices',
    factsOf({}, [{ tier: 'flex' }], { backlog: ['calls/default/flex/gpt-6-luna'] }),
    'for its turn to be called: other slices of gpt-6-luna in flex',
    undefined,
  ],
  [
    'turns',
    factsOf({}, [{}], { backlog: ['creates/default'] }),
    'with key "default", and they are used up',
    undefined,
  ],
  ['next_poll', factsOf({}, [{}]), 'for the next look at all that waits', undefined],
  ['sending', factsOf({}, [{ state: 'uploaded' }]), 'being sent to OpenAI', undefined],
  ['calling', factsOf({}, [{ state: 'admitted', tier: 'standard' }]), 'being called in standard', undefined],
  [
    'background',
    factsOf({}, [
      {
        state: 'admitted',
        tier: 'background-8h',
        calls: { started: 3, segments: 1, done: 0 },
        wait: { notBefore: LATER },
      },
    ]),
    'OpenAI works on its responses in background-8h',
    undefined,
  ],
  [
    'step_of_batch',
    factsOf({}, [{ state: 'admitted', wait: { failures: 4, lastError: 'TimeoutError' } }]),
    'a step of it fails: TimeoutError',
    'batchdrop logs j',
  ],
  [
    'unknown_create',
    factsOf({}, [{ state: 'submitting', hold: { reason: 'unknown_create' }, wait: { notBefore: LATER } }]),
    'nothing shows whether OpenAI has the batch',
    'batchdrop logs j',
  ],
  [
    'looking_up',
    factsOf({}, [{ state: 'submitting' }]),
    'whether OpenAI has the batch is being found out',
    undefined,
  ],
  [
    'at_openai',
    factsOf({}, [
      {
        state: 'submitted',
        remote: remoteOf({
          status: 'in_progress',
          submittedAt: SINCE,
          expiresAt: LATER,
          progress: { total: 3, completed: 1, failed: 1 },
        }),
      },
    ]),
    'OpenAI works on it (in_progress) (2 of 3 done)',
    undefined,
  ],
  [
    'cancelling',
    factsOf({}, [{ state: 'submitted', remote: remoteOf(), stop: { cancelRequestedAt: SINCE } }]),
    'it is being cancelled at OpenAI',
    undefined,
  ],
  [
    'deadline',
    factsOf({}, [
      { state: 'submitted', remote: remoteOf(), stop: { cancelRequestedAt: SINCE, nextTier: 'flex' } },
    ]),
    'the deadline is near: it is taken out, and what is left continues in flex',
    undefined,
  ],
  [
    'unreachable',
    factsOf({}, [{ state: 'submitted', remote: remoteOf({ unreachableSince: SINCE }) }]),
    'OpenAI answers that it does not know the batch',
    'batchdrop doctor',
  ],
  [
    'lost_batch',
    factsOf({}, [{ state: 'submitted', remote: remoteOf(), hold: { reason: 'lost_batch' } }]),
    'OpenAI does not end the batch, or no longer knows it',
    'batchdrop cancel j',
  ],
  [
    'withdrawn',
    factsOf({ cancelledAt: SINCE }, [
      { state: 'ended', ending: { status: 'failed', errors: [CANCELLED], endedAt: SINCE } },
    ]),
    'it was cancelled before it was sent, and is being closed',
    undefined,
  ],
  [
    'collecting',
    factsOf({}, [{ state: 'ended', ending: { status: 'completed', endedAt: SINCE } }]),
    'its results are being collected',
    undefined,
  ],
  [
    'late_results',
    factsOf({}, [
      {
        state: 'ended',
        ending: { status: 'completed', endedAt: SINCE },
        download: { lateResults: 2 },
        wait: { notBefore: LATER },
      },
    ]),
    "OpenAI's files do not have all results that it counted (2 of 3)",
    undefined,
  ],
  [
    'results_key',
    factsOf({}, [
      {
        state: 'ended',
        ending: { status: 'completed', endedAt: SINCE },
        hold: { reason: 'api_key_missing' },
        wait: { notBefore: LATER },
      },
    ]),
    'the secret of the API key "default" holds no key [api_key_missing]',
    'aws secretsmanager put-secret-value',
  ],
  [
    'dead_letters',
    factsOf({}, [{}], { deadLetters: [{ queue: 'collect', messages: 3 }] }),
    'messages of collect failed too often and are dead letters (3 messages)',
    'batchdrop redrive collect',
  ],
  [
    'dead_notifications',
    factsOf({}, [{}], { deadLetters: [{ queue: 'notifications', messages: 1 }] }),
    'EventBridge could not deliver some JobCompleted events for a day',
    undefined,
  ],
];

test.each(CASES)('%s is recognized, explained, and given its command', (code, facts, text, command) => {
  const wait = explain(facts).waits.find((each) => each.code === code);
  expect(wait?.text).toContain(text);
  expect(wait?.command).toBe(command);
  expect(wait?.moves).toMatch(/\.$/);
  expect(explanationText(explain(facts), NOW, 80)).not.toMatch(/undefined|NaN/);
});

test('there is a case above for each way to wait', () => {
  expect(CASES.map(([code]) => code).sort()).toEqual(Object.keys(WAITS).sort());
});

test('every reason that the core writes on a batch has a text of its own', () => {
  const core = globSync('src/core/{lifecycle,scheduling,steps}/**/*.ts', { cwd: process.cwd() }).map((path) =>
    readFileSync(path, 'utf8'),
  );
  const written = core.flatMap((text) => [
    ...(text.includes('toReasonRecorded(batch, LOST_BATCH)') ? [LOST_BATCH] : []),
    ...[...text.matchAll(/hold: \{ reason: '([a-z_]+)'|toReasonRecorded\(batch, '([a-z_]+)'/g)].map(
      ([, one, other]) => one ?? other!,
    ),
  ]);
  const ofOperators = readFileSync('src/core/scheduling/operator-errors.ts', 'utf8');
  const ours = [...ofOperators.matchAll(/^const [A-Z_]+ = '([a-z_]+)'/gm)].map(([, code]) => code!);
  const ofOpenAI = readFileSync('src/providers/openai/errors.ts', 'utf8');
  const theirs = [...ofOpenAI.matchAll(/'([a-z_]+)'/g)]
    .map(([, code]) => code!)
    .filter((code) => operatorScopeOf(code) !== undefined);
  expect(written).toEqual(expect.arrayContaining(['unknown_create', 'lost_batch']));
  expect(ours).toHaveLength(3);
  expect(theirs).toEqual(expect.arrayContaining(['insufficient_quota', 'model_not_found']));
  for (const code of [...written, ...ours, ...theirs]) expect(Object.keys(REASONS)).toContain(code);
});

test('a code that is not known is said as it is, and what OpenAI answered by status as that', () => {
  const facts = (reason: string): WaitFacts => ({
    jobId: 'j',
    key: 'k',
    reason,
    model: 'm',
    apiKey: 'default',
    route: 'r',
    tier: 'batch',
    until: '',
    detail: '',
    setKeyCommand: '',
  });
  expect(reasonText(facts('brand_new'))).toBe('OpenAI refused it with code brand_new');
  expect(reasonText(facts('http_500'))).toBe('OpenAI answered HTTP 500 each time [http_500]');
  for (const reason of Object.keys(REASONS)) expect(reasonText(facts(reason))).toContain(`[${reason}]`);
});

test('batches that wait for the same are one reason, with the earliest times; what takes a person comes first', () => {
  const { waits } = explain(
    factsOf({}, [
      { state: 'submitted', remote: remoteOf({ status: 'in_progress', submittedAt: SINCE }) },
      { requests: 10, hold: { reason: 'server_error', at: NOW - HOUR } },
      { requests: 20, hold: { reason: 'server_error', at: SINCE } },
    ]),
  );
  expect(waits.map(({ code }) => code)).toEqual(['held', 'at_openai']);
  expect(waits[0]).toMatchObject({ batches: 2, requests: 30, since: SINCE });
});

test('a budget is what a batch waits for only if it does not fit', () => {
  const facts = factsOf({ route: budgetRoute }, [{ model: 'gpt-4.1-mini', outputTokens: 1_000 }], {
    backlog: ['budgets/default'],
  });
  expect(explain(facts).waits[0]?.code).toBe('next_poll');
  const name = 'budget/day/default/2026-11-30';
  const spent = new Map([[name, { ...newLedger(name, NOW), used: 1_000_000 }]]);
  expect(ledgersToRead(facts.records, NOW)).toContain(name);
  const budgetGone = factsOf(
    { route: { ...budgetRoute, name: 'default' } },
    [{ model: 'gpt-4.1-mini', outputTokens: 1_000 }],
    { backlog: ['budgets/default'], ledgers: spent },
  );
  expect(explain(budgetGone).waits[0]?.code).toBe('budget');
});

test.each([
  ['UTC', undefined, '2026-11-30', '2026-12-01T00:00:00Z'],
  ['Asia/Tokyo', 'Asia/Tokyo', '2026-11-30', '2026-11-30T15:00:00Z'],
])('a budget a day in %s is shown with its day and when the next one begins', (zone, timeZone, day, next) => {
  const budget = { perDayUsd: '1', timeZone };
  const facts = factsOf({ route: { ...budgetRoute, budget } }, [{ hold: { reason: 'budget_exhausted' } }]);
  const [wait] = explain(facts).waits;
  expect(wait!.text).toBe(`for the budget of route "default" (1 USD for ${day} in ${zone})`);
  expect(wait!.moves).toContain(`The budget of the day is full again at ${next}.`);
  expect(wait!.until).toBe(Date.parse(next));
});

test('a deadline is shown, and a job that has ended waits for nothing', () => {
  const ladder = { tiers: ['batch' as const, 'flex' as const], deadlineAt: LATER };
  const explanation = explain(factsOf({}, [{ ladder }]));
  expect(explanation.deadlineAt).toBe(LATER);
  expect(explanationText(explanation, NOW, 120)).toContain('due at 2026-11-30T13:00:00Z (in 1 h)');
  const ended = explain(
    factsOf({ state: 'completed', receiptKey: 'receipts/j.json' }, [{ state: 'collected' }]),
  );
  expect(ended).toMatchObject({ hasEnded: true, waits: [] });
});

test('of a key that is suspended, the second command tries at once; the first one sets its secret', () => {
  const facts = factsOf({}, [{}], { suspensions: [suspension({})] });
  const [wait] = explain(facts).waits;
  expect(commandsOf(wait!)).toEqual([
    'aws secretsmanager put-secret-value',
    'batchdrop resume --scope default',
  ]);
  expect(wait?.moves).toMatch(/; `resume --scope` tries at once\.$/);
  expect(explanationText(explain(facts), NOW, 80).split('\n').slice(-2)).toEqual([
    '  $ aws secretsmanager put-secret-value',
    '  $ batchdrop resume --scope default',
  ]);
});

test('a lost batch is cancelled, or given up by a person who accepts that it may be paid for twice', () => {
  const lost = { state: 'submitted', remote: remoteOf(), hold: { reason: 'lost_batch' } } as const;
  const [wait] = explain(factsOf({}, [lost])).waits;
  expect(commandsOf(wait!)).toEqual(['batchdrop cancel j', 'batchdrop resume j --may-pay-twice']);
  expect(wait?.moves).toContain('may be paid for twice');
});

test('a suspension that no key fixes is lifted by its scope, once a person has fixed it', () => {
  const out = suspension({ scope: 'default/gpt-6-luna', reason: 'model_not_found' });
  const [wait] = explain(factsOf({}, [{}], { suspensions: [out] })).waits;
  expect(commandsOf(wait!)).toEqual(['batchdrop resume --scope default/gpt-6-luna']);
});

test('of a batch that ended before it was sent, it is not said that OpenAI ended it', () => {
  const textOf = (changes: Partial<BatchRecord>, code?: string): string | undefined => {
    const errors = code === undefined ? [] : [{ code, message: 'm' }];
    const ended = { state: 'ended', ending: { status: 'failed', errors, endedAt: SINCE } } as const;
    return explain(factsOf({}, [{ ...ended, ...changes }])).waits[0]?.text;
  };
  expect(textOf({ recut: { microdollars: 5 } }, 'batch_over_budget')).toBe(
    'it is too large to be sent, and is being cut into smaller ones',
  );
  expect(textOf({ stop: { nextTier: 'flex' } })).toBe(
    'it was taken out before it was sent, and is being continued in flex',
  );
  expect(textOf({ requests: 1, recut: { tokens: 5 } }, 'exceeds_limit')).toBe(
    'it was ended before it was sent [exceeds_limit], and is being closed',
  );
  const toBeCut: Partial<BatchRecord> = {
    state: 'ended',
    recut: { microdollars: 5 },
    ending: { status: 'failed', errors: [{ code: 'batch_over_budget', message: 'm' }], endedAt: SINCE },
  };
  expect(explain(factsOf({ cancelledAt: NOW }, [toBeCut])).waits[0]?.text).toContain(
    'it was cancelled before',
  );
  // OpenAI saw these.
  expect(textOf({ remote: remoteOf({ status: 'failed' }) }, 'invalid')).toContain('OpenAI has ended it');
  expect(textOf({ tier: 'flex', calls: { started: 1, segments: 1, done: 1 } })).toContain('OpenAI has ended');
});
