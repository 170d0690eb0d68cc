/** What waits once it was decided what may go, as the poll reports it. Pure. */
import type { Suspension } from '../model/suspension.ts';
import type { ErrorRules } from '../ports/provider-rules.ts';
import type { Decisions, Situation } from './admit.ts';
import { suspensionKindOf } from './operator-errors.ts';
import { ageOf } from './queues.ts';

/** Batches that wait for their turn. */
export interface Waiting {
  waiting: number;
  /** How many of them for what: see `WaitingFor`. */
  waitingFor: Readonly<Record<string, number>>;
  /** How long the oldest of them has waited; 0 if there is none. */
  oldestWaitingMs: number;
  /** Suspended scopes that some of what was looked at is in, by kind: see `SuspensionKind`. */
  suspended: Readonly<Record<string, number>>;
}

/** Nobody waits. A scope that is suspended holds nothing up then. */
export const NOTHING_WAITS: Waiting = { waiting: 0, waitingFor: {}, oldestWaitingMs: 0, suspended: {} };

/** What is left of what waited. */
export function waitingAfter(
  decisions: Decisions,
  { waiting, suspensions, now }: Pick<Situation, 'waiting' | 'suspensions' | 'now'>,
  rules: Pick<ErrorRules, 'accountProblemOf'>,
): Waiting {
  const { admissions, recuts, cuts, refused } = decisions;
  const gone = new Set([...admissions, ...recuts, ...cuts, ...refused].map(({ batch }) => batch));
  const left = waiting.filter((batch) => !gone.has(batch));
  const oldest = left.reduce((least, batch) => Math.min(least, ageOf(batch)), now);
  return {
    waiting: left.length,
    waitingFor: Object.fromEntries(decisions.waitingFor),
    oldestWaitingMs: now - oldest,
    suspended: kindsOf(suspensions.values(), rules),
  };
}

function kindsOf(
  suspensions: Iterable<Suspension>,
  rules: Pick<ErrorRules, 'accountProblemOf'>,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const suspension of suspensions) {
    const kind = suspensionKindOf(rules, suspension);
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
