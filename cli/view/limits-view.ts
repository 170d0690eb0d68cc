/** What is known of limits and what of them is taken, as data and as text. Pure. */
import type { Route } from '../../src/contract/route.ts';
import { formatUsd, fromMicrodollars, fromUsd, toMicrodollars } from '../../src/core/base/money.ts';
import { nextDayIn } from '../../src/core/base/zoned-day.ts';
import type { Ledger } from '../../src/core/model/ledger.ts';
import { dayBudgetLedgerOf, jobBudgetLedgerOf, monthLedgerOf } from '../../src/core/scheduling/scopes.ts';
import { format } from './progress.ts';
import { tableLines } from './table-text.ts';
import { wrapped } from './text.ts';
import { timeText } from './time.ts';

/** Of one model with one API key. */
interface QueueLimit {
  apiKey: string;
  model: string;
  /** Tokens that are reserved for batches at OpenAI. */
  reserved: number;
  /** How much is dared at present; absent: nothing was learned yet. */
  ceiling?: number | undefined;
  /** As OpenAI's message said it last, and when. */
  limit?: number | undefined;
  limitLearnedAt?: number | undefined;
  /** Nothing is sent before this time, epoch ms. */
  pausedUntil?: number | undefined;
}

/** Of one model in a tier in which requests are called. */
interface CallLimit {
  apiKey: string;
  tier: string;
  model: string;
  /** Slices that are being called. */
  slices: number;
  requestsPerMinute?: number | undefined;
  tokensPerMinute?: number | undefined;
  /** Absent: OpenAI serves the model in the tier, as far as is known. */
  notOfferedAt?: number | undefined;
}

/** Millionths of a USD. */
interface Budget {
  /** Of what: a route's day, or a job. */
  of: string;
  spent: number;
  reserved: number;
  /** Absent: not known here, or unlimited. */
  limit?: number | undefined;
  /** When it is full again, epoch ms. Absent: never. */
  resetsAt?: number | undefined;
}

/** All of it. */
export interface Limits {
  queues: QueueLimit[];
  calls: CallLimit[];
  budgets: Budget[];
}

/** What money was read of. */
export interface BudgetScope {
  jobId: string;
  key: string;
  route: Pick<Route, 'name' | 'budget'>;
  budgetUsd?: string | undefined;
}

/** @param routes names of all routes; @param scopes live jobs, which know the budgets of their routes. */
export function limitsOf(
  ledgers: ReadonlyMap<string, Ledger>,
  routes: readonly string[],
  scopes: readonly BudgetScope[],
  now: number,
): Limits {
  const queues: QueueLimit[] = [];
  const calls: CallLimit[] = [];
  for (const [name, ledger] of [...ledgers].sort(([one], [other]) => (one < other ? -1 : 1))) {
    const [kind, apiKey = '', ...rest] = name.split('/');
    const { reserved, ceiling, limit, limitLearnedAt, pausedUntil, pace = {}, notOfferedAt } = ledger;
    if (kind === 'tokens') {
      const isPaused = (pausedUntil ?? 0) > now;
      queues.push({
        apiKey,
        model: rest.join('/'),
        reserved,
        ceiling,
        limit,
        limitLearnedAt,
        pausedUntil: isPaused ? pausedUntil : undefined,
      });
    } else if (kind === 'calls') {
      const { requestsPerMinute, tokensPerMinute } = pace;
      const [tier = '', ...model] = rest;
      calls.push({
        apiKey,
        tier,
        model: model.join('/'),
        slices: reserved,
        requestsPerMinute,
        tokensPerMinute,
        notOfferedAt,
      });
    }
  }
  return { queues, calls, budgets: budgetsOf(ledgers, routes, scopes, now) };
}

/** Names of the ledgers of money that {@link limitsOf} reads. */
export function budgetLedgers(
  routes: readonly string[],
  scopes: readonly BudgetScope[],
  now: number,
): string[] {
  return [
    monthLedgerOf(now),
    ...routes.map((route) => dayBudgetLedgerOf(route, now, dayOf(route, scopes).timeZone)),
    ...scopes.map(({ jobId }) => jobBudgetLedgerOf(jobId)),
  ];
}

function budgetsOf(
  ledgers: ReadonlyMap<string, Ledger>,
  routes: readonly string[],
  scopes: readonly BudgetScope[],
  now: number,
): Budget[] {
  const found: Budget[] = [];
  const add = (of: string, ledger: string, others: Partial<Budget>): void => {
    const { used, reserved } = ledgers.get(ledger) ?? { used: 0, reserved: 0 };
    if (ledgers.has(ledger) || others.limit !== undefined)
      found.push({ of, spent: used, reserved, ...others });
  };
  const date = new Date(now);
  add('the month', monthLedgerOf(now), { resetsAt: Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1) });
  for (const route of routes) {
    const { perDayUsd, timeZone } = dayOf(route, scopes);
    const limit = microdollars(perDayUsd);
    const ledger = dayBudgetLedgerOf(route, now, timeZone);
    add(`route ${route} today (${timeZone})`, ledger, { limit, resetsAt: nextDayIn(timeZone, now) });
  }
  for (const { jobId, key, route, budgetUsd } of scopes) {
    const ofRoute = route.budget === 'unlimited' ? undefined : route.budget.perJobUsd;
    const limits = [microdollars(budgetUsd), microdollars(ofRoute)].filter((limit) => limit !== undefined);
    if (limits.length > 0) add(`job ${key}`, jobBudgetLedgerOf(jobId), { limit: Math.min(...limits) });
  }
  return found;
}

/** The budget a day of a route, as a live job has recorded it; without one, its day is taken to be one in UTC. */
function dayOf(
  name: string,
  scopes: readonly BudgetScope[],
): { perDayUsd?: string | undefined; timeZone: string } {
  const budget = scopes.find(({ route }) => route.name === name)?.route.budget ?? 'unlimited';
  const { perDayUsd, timeZone = 'UTC' } = budget === 'unlimited' ? {} : budget;
  return { perDayUsd, timeZone };
}

function microdollars(usd: string | undefined): number | undefined {
  return usd === undefined ? undefined : toMicrodollars(fromUsd(usd)!);
}

/** @param width columns of the terminal. */
export function limitsText({ queues, calls, budgets }: Limits, width: number): string {
  const number = (value: number | undefined): string => (value === undefined ? '-' : format(value));
  const usd = (value: number | undefined): string =>
    value === undefined ? '-' : formatUsd(fromMicrodollars(value));
  const time = (value: number | undefined): string => (value === undefined ? '-' : timeText(value));
  const parts = [
    ['Batch queue of OpenAI, enqueued tokens:'],
    tableLines<QueueLimit>(
      [
        { heading: 'model', of: ({ model }) => model },
        { heading: 'key', of: ({ apiKey }) => apiKey },
        { heading: 'reserved', of: ({ reserved }) => number(reserved), isNumber: true },
        { heading: 'dared', of: ({ ceiling }) => number(ceiling), isNumber: true },
        { heading: 'limit', of: ({ limit }) => number(limit), isNumber: true },
        { heading: 'rests until', of: ({ pausedUntil }) => time(pausedUntil) },
      ],
      queues,
      width,
    ),
    ['', 'Calls one by one:'],
    tableLines<CallLimit>(
      [
        { heading: 'model', of: ({ model }) => model },
        { heading: 'key', of: ({ apiKey }) => apiKey },
        { heading: 'tier', of: ({ tier }) => tier },
        { heading: 'slices', of: ({ slices }) => number(slices), isNumber: true },
        { heading: 'req/min', of: ({ requestsPerMinute }) => number(requestsPerMinute), isNumber: true },
        { heading: 'tok/min', of: ({ tokensPerMinute }) => number(tokensPerMinute), isNumber: true },
        { heading: 'not offered since', of: ({ notOfferedAt }) => time(notOfferedAt) },
      ],
      calls,
      width,
    ),
    ['', 'Money:'],
    tableLines<Budget>(
      [
        { heading: 'of', of: (budget) => budget.of, takesRest: true },
        { heading: 'spent', of: ({ spent }) => usd(spent), isNumber: true },
        { heading: 'reserved', of: ({ reserved }) => usd(reserved), isNumber: true },
        { heading: 'limit', of: ({ limit }) => usd(limit), isNumber: true },
        { heading: 'full again', of: ({ resetsAt }) => time(resetsAt) },
      ],
      budgets,
      width,
    ),
    [
      '',
      ...wrapped(
        'Of models and keys that batches are live for, or that you name. Budgets, and where their day begins, are those that live jobs recorded; limits are what OpenAI said last.',
        width,
      ),
    ],
  ];
  return parts.flat().join('\n');
}
