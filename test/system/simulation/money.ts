/**
 * Budgets of a seed, and what must hold of them. It shares no code with the accounting: prices stand here, and what was
 * spent is told from what OpenAI executed.
 */

import type { Settings } from '../../../src/contract/settings.ts';
import type { QuotaStore } from '../../../src/core/ports/quota.ts';
import { Prices } from '../../../src/core/pricing/prices.ts';
import { OPENAI_PRICES } from '../../../src/providers/openai/prices/table.ts';
import type { MemoryJobs } from '../../support/memory/jobs.ts';
import { MemoryQuota } from '../../support/memory/quota.ts';
import type { Random } from './random.ts';

/** What a route may spend, and what becomes of what is over it. */
export interface RouteBudget {
  budget: Settings['routes'][number]['budget'];
  overBudget: 'wait' | 'refuse';
}

/** Answers of the simulation take 5 tokens; requests allow this many, so that their most is near to what they cost. */
export const MAX_TOKENS = 8;

/** A simulation may begin before the day from which one of its models has a price. */
export const SIMULATED_PRICES = new Prices(OPENAI_PRICES, {
  overrides: (['batch', 'flex', 'standard'] as const).map((tier) => ({
    model: 'gpt-6-luna',
    tier,
    context: 'any',
    rates: tier === 'standard' ? { input: 100_000, output: 500_000 } : { input: 50_000, output: 250_000 },
    source: 'the simulation',
    retrieved: '2026-09-26',
  })),
});

/** Some have room for everything, some for a few requests, some for none. */
export function drawBudget(random: Random): RouteBudget {
  const usd = (): string => (random.spread(8, 1_000) / 1_000_000).toFixed(6);
  const overBudget = random.pick(['wait', 'wait', 'refuse'] as const);
  if (random.chance(0.5)) return { budget: 'unlimited', overBudget };
  const kind = random.pick(['job', 'day', 'both']);
  return {
    budget: {
      ...(kind === 'day' ? {} : { perJobUsd: usd() }),
      ...(kind === 'job' ? {} : { perDayUsd: usd() }),
    },
    overBudget,
  };
}

/** A person raises every budget, so that what waits for that can end. */
export function raiseBudgets({ routes }: Settings): void {
  for (const route of routes) {
    if (route.budget === 'unlimited') continue;
    const { perJobUsd, perDayUsd } = route.budget;
    route.budget = {
      ...(perJobUsd === undefined ? {} : { perJobUsd: '1000' }),
      ...(perDayUsd === undefined ? {} : { perDayUsd: '1000' }),
    };
  }
}

/** Looks at the ledgers of money whenever something is reserved or booked on them. */
export class WatchedQuota extends MemoryQuota {
  readonly #watched: {
    jobs: MemoryJobs;
    settings: Settings;
    note(what: string): void;
    violation(text: string): void;
  };
  /** Ledgers of money. */
  readonly names = new Set<string>();

  /** @param watched.settings with the budgets as they are at present. */
  constructor(watched: {
    jobs: MemoryJobs;
    settings: Settings;
    note(what: string): void;
    violation(text: string): void;
  }) {
    super(watched.jobs);
    this.#watched = watched;
  }

  override async admit(...parameters: Parameters<QuotaStore['admit']>): ReturnType<QuotaStore['admit']> {
    const verdict = await super.admit(...parameters);
    if (verdict !== 'admitted') return verdict;
    for (const { ledger } of parameters[2]) if (!/^(tokens|calls)\//.test(ledger)) this.names.add(ledger);
    await this.#look();
    return verdict;
  }

  override async settle(...parameters: Parameters<QuotaStore['settle']>): Promise<boolean> {
    const isSettled = await super.settle(...parameters);
    if (isSettled && (parameters[2] ?? 0) > 0) this.#watched.note('money:booked');
    await this.#look();
    return isSettled;
  }

  async #look(): Promise<void> {
    for (const name of this.names) {
      const { reserved, used } = (await this.getLedger(name))!;
      const most = await this.#mostOf(name);
      if (reserved + used > most)
        this.#watched.violation(`${name} has ${reserved} reserved and ${used} used, and may have ${most}`);
    }
  }

  async #mostOf(ledger: string): Promise<number> {
    const [, kind, of] = ledger.split('/');
    const name = kind === 'job' ? (await this.#watched.jobs.getJob(of!))?.route.name : of;
    const budget = this.#watched.settings.routes.find((route) => route.name === name)?.budget ?? 'unlimited';
    const usd = budget === 'unlimited' ? undefined : kind === 'job' ? budget.perJobUsd : budget.perDayUsd;
    return usd === undefined ? Number.POSITIVE_INFINITY : Math.round(Number(usd) * 1_000_000);
  }
}
