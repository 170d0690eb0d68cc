/**
 * Whether a batch may go by its budget. Pure; the transaction that admits it checks the ledgers again.
 *
 * The budget is that of the settings' present route of the job's route's name, so that a budget that is raised (or
 * lowered) is there for the jobs that wait. Nothing goes over it: what a batch costs at the most is reserved before
 * it is sent, and what it did not cost is given back when it is collected. What the dropped object says of its own
 * budget stays with its batches, and only ever lowers that of the route.
 */
import type { Route } from '../../contract/route.ts';
import { fromUsd, toMicrodollars } from '../base/money.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { Ledger } from '../model/ledger.ts';
import { BUDGET_EXCEEDED, UNPRICED_MODEL } from '../model/outcome-codes.ts';
import type { Demand } from '../ports/quota.ts';
import { boundOf } from '../pricing/bound.ts';
import type { Prices } from '../pricing/prices.ts';
import { newLedger } from './ledger.ts';
import { dayBudgetLedgerOf, isDayBudget, jobBudgetLedgerOf, monthLedgerOf } from './scopes.ts';

/** What a route says of money. */
export type MoneyRules = Pick<Route, 'name' | 'budget' | 'overBudget' | 'allowUnpriced'>;

/** What its budget says of a batch. */
export type MoneyVerdict =
  /** There is room: to be reserved with its tokens. */
  | { kind: 'fits'; demands: Demand[] }
  /** It is cut into batches of at most so many millionths of a USD, so that the budget can be used up. */
  | { kind: 'cut'; microdollars: number; ledger: string }
  /** There will be room when others are collected, or on the next day, or when the budget is raised. */
  | { kind: 'wait'; isExhausted: boolean }
  /** It cannot go, and its route does not let it wait. */
  | { kind: 'refuse'; code: typeof UNPRICED_MODEL | typeof BUDGET_EXCEEDED; message: string };

/** A batch that costs more than this part of a budget is cut before it has to wait. */
const LARGE_SHARE = 4;
/** A budget with less than this part left is used up: else ever smaller batches would follow each other, a day each. */
const MIN_SHARE = 50;

/** Ledgers that {@link judgeMoney} looks at. */
export function moneyLedgersOf(batch: BatchRecord, rules: MoneyRules, now: number): string[] {
  return limitsOf(batch, rules, now).map(({ ledger }) => ledger);
}

export function judgeMoney(
  batch: BatchRecord,
  rules: MoneyRules,
  ledgers: ReadonlyMap<string, Ledger>,
  prices: Prices,
  now: number,
): MoneyVerdict {
  const bound = boundOf(batch, prices, now);
  const limits = limitsOf(batch, rules, now);
  if (bound === undefined && limits.length > 0 && !rules.allowUnpriced) return unpriced(batch, rules);
  const amount = bound === undefined ? 0 : toMicrodollars(bound);
  // Everything is booked by month, too, where nothing limits it.
  const month = { ledger: monthLedgerOf(now), amount, limit: Number.MAX_SAFE_INTEGER };
  const demands = [...limits.map((limit) => ({ ...limit, amount })), month];
  const rooms = limits.map(({ ledger: name, limit }) => {
    const { reserved, used } = ledgers.get(name) ?? newLedger(name, now);
    return { ledger: name, limit, now: limit - used - reserved, later: limit - used };
  });
  if (rooms.every((room) => amount <= room.now)) return { kind: 'fits', demands };
  // What is short decides; of two, the one that has less.
  const short = rooms.reduce((least, room) => (room.now < least.now ? room : least));
  const isHopeless = rooms.some((room) => amount > room.later);
  const room = Math.min(...rooms.map((one) => (isHopeless ? one.later : one.now)));
  const least = Math.min(...rooms.map(({ limit }) => limit));
  const part = Math.floor(Math.min(room, least / LARGE_SHARE));
  const isWorthCutting = part >= least / MIN_SHARE && (isHopeless || amount > least / LARGE_SHARE);
  if (batch.requests > 1 && isWorthCutting && part < amount)
    return { kind: 'cut', microdollars: part, ledger: short.ledger };
  if (!isHopeless) return { kind: 'wait', isExhausted: false };
  // What the object itself said is never raised: there is nothing to wait for.
  const own = batch.budgetUsd === undefined ? undefined : toMicrodollars(fromUsd(batch.budgetUsd)!);
  const isFinal = rooms.some(
    ({ ledger: name, limit, later }) =>
      name === jobBudgetLedgerOf(batch.jobId) && limit === own && amount > later,
  );
  return rules.overBudget === 'wait' && !isFinal
    ? { kind: 'wait', isExhausted: true }
    : exceeded(amount, batch, rules);
}

/** What waits, and what its budgets have taken: see `Situation`. */
interface DaySituation {
  waiting: readonly BatchRecord[];
  rulesOf: (batch: BatchRecord) => MoneyRules;
  ledgers: ReadonlyMap<string, Ledger>;
  now: number;
}

/**
 * How much of its budget of the day the route that has least left has spent and reserved, with what is admitted now, in
 * whole percent. `undefined`: none of the routes of what waits has such a budget.
 */
export function dayBudgetPercent(
  { waiting, rulesOf, ledgers, now }: DaySituation,
  admissions: readonly { demands: readonly Demand[] }[],
): number | undefined {
  const taken = new Map<string, number>();
  for (const { ledger, amount } of admissions.flatMap(({ demands }) => demands))
    taken.set(ledger, (taken.get(ledger) ?? 0) + amount);
  const limits = waiting.flatMap((batch) => limitsOf(batch, rulesOf(batch), now));
  const ofDays = new Map(
    limits.filter(({ ledger }) => isDayBudget(ledger)).map((of) => [of.ledger, of.limit]),
  );
  const percents = [...ofDays].map(([name, limit]) => {
    const { reserved, used } = ledgers.get(name) ?? newLedger(name, now);
    return limit === 0 ? 100 : Math.floor((100 * (reserved + used + (taken.get(name) ?? 0))) / limit);
  });
  return percents.length === 0 ? undefined : percents.reduce((most, percent) => Math.max(most, percent));
}

/** The budget of the route, for a job that may say that it has less. */
function budgetOf(
  { budgetUsd }: Pick<BatchRecord, 'budgetUsd'>,
  { budget }: Pick<MoneyRules, 'budget'>,
): Exclude<Route['budget'], 'unlimited'> {
  const limits = budget === 'unlimited' ? {} : budget;
  if (budgetUsd === undefined) return limits;
  const isLower = limits.perJobUsd === undefined || fromUsd(budgetUsd)! < fromUsd(limits.perJobUsd)!;
  return isLower ? { ...limits, perJobUsd: budgetUsd } : limits;
}

function limitsOf(
  batch: Pick<BatchRecord, 'jobId' | 'budgetUsd'>,
  rules: MoneyRules,
  now: number,
): { ledger: string; limit: number }[] {
  const { perJobUsd, perDayUsd, timeZone } = budgetOf(batch, rules);
  return [
    ...(perJobUsd === undefined
      ? []
      : [{ ledger: jobBudgetLedgerOf(batch.jobId), limit: toMicrodollars(fromUsd(perJobUsd)!) }]),
    ...(perDayUsd === undefined
      ? []
      : [
          {
            ledger: dayBudgetLedgerOf(rules.name, now, timeZone),
            limit: toMicrodollars(fromUsd(perDayUsd)!),
          },
        ]),
  ];
}

function unpriced({ model, tier = 'batch' }: BatchRecord, { name }: MoneyRules): MoneyVerdict {
  return {
    kind: 'refuse',
    code: UNPRICED_MODEL,
    message: `There is no price of "${model}" in the ${tier} tier, and the budget of route "${name}" cannot be kept without one. Give its price in the settings (prices.rows), or set allowUnpriced on the route.`,
  };
}

function exceeded(amount: number, batch: Pick<BatchRecord, 'budgetUsd'>, rules: MoneyRules): MoneyVerdict {
  const { perJobUsd, perDayUsd, timeZone = 'UTC' } = budgetOf(batch, rules);
  const said = [
    ...(perJobUsd === undefined ? [] : [`${perJobUsd} USD a job`]),
    ...(perDayUsd === undefined ? [] : [`${perDayUsd} USD a day in ${timeZone}`]),
  ];
  return {
    kind: 'refuse',
    code: BUDGET_EXCEEDED,
    message: `The budget of route "${rules.name}" (${said.join(', ')}) is used up: this batch may cost ${amount / 1_000_000} USD. Raise the budget and drop the line again.`,
  };
}
