/**
 * What past calls cost, month by month, and what they would have cost in the cheapest tier that their urgency allows.
 */

import type { PricedTier } from '../../contract/rates.ts';
import { isWindowTier, TIERS, type Tier } from '../../contract/route.ts';
import type { Picodollars } from '../base/money.ts';
import { addUsage, noUsage, type TokenUsage } from '../model/usage.ts';
import type { ProviderRules } from '../ports/provider-rules.ts';
import { costAt, type Prices } from '../pricing/prices.ts';
import { isServed } from '../scheduling/offered-tiers.ts';
import type { Calls, ReadCalls } from './calls.ts';
import type { Rules, Urgency } from './rules.ts';

/** Calls of one month that could go in one tier. */
export interface EligibleCalls {
  calls: number;
  billed: Picodollars;
  /** In that tier, or as billed where that is no dearer. */
  would: Picodollars;
}

export interface MonthAudit {
  /** `YYYY-MM`, UTC. */
  month: string;
  /** All of which the cost is known. */
  calls: number;
  usage: TokenUsage;
  billed: Picodollars;
  /** Had all of it been sent in the standard tier; `undefined` if some of it has no price there. */
  standard: Picodollars | undefined;
  would: Picodollars;
  eligible: Record<Tier, EligibleCalls>;
}

export interface AuditProblem {
  file: string;
  line: number;
  /** What is wrong with the line; never its content. */
  problem: string;
}

export interface Audit {
  lines: number;
  /** Calls that failed: they cost nothing. */
  failed: number;
  /** Lines that were not understood, and the first of them. */
  unread: number;
  problems: AuditProblem[];
  /** In order. */
  months: MonthAudit[];
  /** Calls without a price, by model and tier: in no sum. `tools of <model>`: only what its tools cost is in none. */
  unpriced: Record<string, number>;
}

/** What calls of each urgency may go in: `soon` is within hours, as flex and the short window are; `later` within a day. */
const TIERS_FOR: Record<Urgency, readonly Tier[]> = {
  now: [],
  soon: ['flex', 'background-2h'],
  later: ['batch', 'flex', 'background-8h', 'background-2h'],
};

const MAX_PROBLEMS = 20;

/** Whose calls they were. */
export interface AuditedProvider {
  rules: Pick<ProviderRules, 'endpoints' | 'models' | 'answers'>;
  /** Reads one line of a log, without its line feed. */
  readCalls(line: string): ReadCalls;
}

/** Takes lines; order does not matter. */
export class Auditor {
  readonly #prices: Prices;
  readonly #rules: Rules;
  readonly #provider: AuditedProvider;
  readonly #months = new Map<string, MonthAudit>();
  readonly #unpriced = new Map<string, number>();
  readonly #problems: AuditProblem[] = [];
  #lines = 0;
  #failed = 0;
  #unread = 0;

  constructor(prices: Prices, rules: Rules, provider: AuditedProvider) {
    this.#prices = prices;
    this.#rules = rules;
    this.#provider = provider;
  }

  /** @param text a line without its line feed. @param line its number, 1-based. */
  addLine(text: string, file: string, line: number): void {
    this.#lines++;
    const read = this.#provider.readCalls(text);
    if ('calls' in read) for (const calls of read.calls) this.#add(calls);
    else if ('failed' in read) this.#failed += read.failed;
    else this.#unreadLine(file, line, read.problem);
  }

  /** A line that could not even be read. */
  addProblem(file: string, line: number, problem: string): void {
    this.#lines++;
    this.#unreadLine(file, line, problem);
  }

  finish(): Audit {
    return {
      lines: this.#lines,
      failed: this.#failed,
      unread: this.#unread,
      problems: this.#problems,
      months: [...this.#months.values()].sort((a, b) => (a.month < b.month ? -1 : 1)),
      unpriced: Object.fromEntries(this.#unpriced),
    };
  }

  #unreadLine(file: string, line: number, problem: string): void {
    this.#unread++;
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push({ file, line, problem });
  }

  #add(calls: Calls): void {
    const billed = calls.tier === undefined ? undefined : this.#costOf(calls, calls.tier);
    if (billed === undefined) {
      this.#countUnpriced(`${calls.model} ${calls.tier ?? 'in an unknown tier'}`, calls.count);
      return;
    }
    // Their tokens are in the sums.
    if (calls.tools?.isUnpriced) this.#countUnpriced(`tools of ${calls.model}`, calls.count);
    const month = this.#monthOf(calls.at);
    month.calls += calls.count;
    addUsage(month.usage, calls.usage);
    month.billed += billed;
    const standard = this.#costOf(calls, 'standard');
    month.standard =
      standard === undefined || month.standard === undefined ? undefined : month.standard + standard;
    const { tier, cost } = this.#eligible(calls);
    const would = cost !== undefined && cost < billed ? cost : billed;
    month.would += would;
    const eligible = month.eligible[tier];
    eligible.calls += calls.count;
    eligible.billed += billed;
    eligible.would += would;
  }

  #countUnpriced(name: string, calls: number): void {
    this.#unpriced.set(name, (this.#unpriced.get(name) ?? 0) + calls);
  }

  /** The cheapest tier that the calls' urgency allows and that exists for them. */
  #eligible(calls: Calls): { tier: Tier; cost: Picodollars | undefined } {
    const allowed = TIERS_FOR[this.#rules(calls)];
    const { rules } = this.#provider;
    let found: { tier: Tier; cost: Picodollars | undefined } | undefined;
    for (const tier of rules.endpoints.has(calls.endpoint) ? allowed : []) {
      if (!isServed(tier, calls, rules)) continue;
      // What might not be served would be no saving.
      if (isWindowTier(tier) && !rules.models.isSurelyInWindows(calls.model)) continue;
      const cost = this.#costOf(calls, tier);
      // Of two that cost the same, the first.
      if (cost !== undefined && (found?.cost === undefined || cost < found.cost)) found = { tier, cost };
    }
    return found ?? { tier: 'standard', cost: this.#costOf(calls, 'standard') };
  }

  /** Many calls in one are taken to be of the same length. Tools cost the same in every tier. */
  #costOf({ model, at, count, usage, tools }: Calls, tier: PricedTier): Picodollars | undefined {
    const isLong = usage.inputTokens > this.#prices.shortContextTokens * Math.max(1, count);
    const rates = this.#prices.ratesOf({ model, tier, at, isLong });
    const fee = tools === undefined ? 0n : this.#provider.rules.answers.toolFeeOf(tools, model);
    return rates === undefined ? undefined : costAt(rates, usage) + fee;
  }

  #monthOf(at: number): MonthAudit {
    const name = new Date(at).toISOString().slice(0, 7);
    let month = this.#months.get(name);
    if (month === undefined) {
      const none = (): EligibleCalls => ({ calls: 0, billed: 0n, would: 0n });
      month = {
        month: name,
        calls: 0,
        usage: noUsage(),
        billed: 0n,
        standard: 0n,
        would: 0n,
        eligible: Object.fromEntries(TIERS.map((tier) => [tier, none()])) as MonthAudit['eligible'],
      };
      this.#months.set(name, month);
    }
    return month;
  }
}
