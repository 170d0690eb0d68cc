import { expect, test } from 'vitest';
import type { Decisions } from '../../../../src/core/scheduling/admit.ts';
import { waitingAfter } from '../../../../src/core/scheduling/waiting.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { batchOf } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;

function decided(part: Partial<Decisions>): Decisions {
  const none = { admissions: [], recuts: [], cuts: [], refused: [], exhausted: [] };
  return { ...none, waitingFor: new Map(), backlog: new Set(), ...part };
}

function suspension(scope: string, reason: string) {
  const times = { suspendedAt: NOW, probeAt: NOW, updatedAt: NOW };
  const suspended = {
    v: 1,
    scope,
    isSuspended: true,
    reason,
    provenBy: 'created',
    probes: 0,
    ...times,
  } as const;
  return [scope, suspended] as const;
}

test('what waits is what was not admitted, cut or refused, and its age is that of the oldest of it', () => {
  const batches = [3, 2, 1].map((hours, index) =>
    batchOf('job', index, { createdAt: NOW - hours * 3_600_000 }),
  );
  const [oldest, second] = batches;
  const decisions = decided({
    admissions: [{ batch: oldest!, demands: [], probes: [] }],
    waitingFor: new Map([['tokens', 2]]),
  });
  const situation = { waiting: batches, suspensions: new Map(), now: NOW };
  expect(waitingAfter(decisions, situation, OPENAI_RULES.errors)).toEqual({
    waiting: 2,
    waitingFor: { tokens: 2 },
    oldestWaitingMs: NOW - second!.createdAt,
    suspended: {},
  });
  const all = decided({ admissions: batches.map((batch) => ({ batch, demands: [], probes: [] })) });
  expect(waitingAfter(all, situation, OPENAI_RULES.errors)).toMatchObject({ waiting: 0, oldestWaitingMs: 0 });
});

test('suspended scopes are counted by what a person has to set right', () => {
  const suspensions = new Map([
    suspension('default', 'invalid_api_key'),
    suspension('team-a', 'insufficient_quota'),
    suspension('team-b', 'billing_not_active'),
    suspension('team-c', 'storage_quota_exceeded'),
    suspension('team-d/gpt-6-luna', 'model_not_found'),
  ]);
  const situation = { waiting: [], suspensions, now: NOW };
  expect(waitingAfter(decided({}), situation, OPENAI_RULES.errors).suspended).toEqual({
    key: 1,
    quota: 2,
    billing: 1,
    model: 1,
  });
});
