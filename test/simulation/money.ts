/**
 * Budgets of a seed, and what must hold of them. It shares no code with the accounting: prices stand here, and what was
 * spent is told from what OpenAI executed.
 */
import type { MemoryJobs } from '../../src/adapters/memory/jobs.ts';
import { MemoryQuota } from '../../src/adapters/memory/quota.ts';
import type { Receipt } from '../../src/contract/receipt.ts';
import type { Settings } from '../../src/contract/settings.ts';
import type { QuotaStore } from '../../src/core/ports.ts';
import { Prices } from '../../src/core/prices/prices.ts';
import type { Random } from './random.ts';

/** What a route may spend, and what becomes of what is over it. */
export interface RouteBudget {
  budget: Settings['routes'][number]['budget'];
  overBudget: 'wait' | 'refuse';
}

/** Answers of the simulation take 5 tokens; requests allow this many, so that their most is near to what they cost. */
export const MAX_TOKENS = 8;

/** Picodollars a token in batch: input, output. Source: OpenAI's page "Pricing". */
const PRICES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  'gpt-5-nano': [25_000n, 200_000n],
  'gpt-5-mini': [125_000n, 1_000_000n],
  'gpt-6-luna': [50_000n, 250_000n],
};

/** A simulation may begin before the day from which one of its models has a price. */
export const SIMULATED_PRICES = new Prices({
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
  const usd = (): string => (random.spread(3, 400) / 1_000_000).toFixed(6);
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

/** The receipt's money against the answers of the output file. */
export function checkCost(receipt: Receipt, output: string, say: (text: string) => void): void {
  let cost = 0n;
  for (const line of output.trimEnd().split('\n')) {
    if (line === '') continue;
    const { response } = JSON.parse(line) as {
      response: {
        body: {
          model: string;
          service_tier?: string;
          usage?: { prompt_tokens: number; completion_tokens: number };
        };
      };
    };
    const { model, service_tier, usage } = response.body;
    if (usage !== undefined)
      cost += priceOf(model, service_tier, usage.prompt_tokens, usage.completion_tokens);
  }
  if (picodollarsOf(receipt.cost.usd) !== cost)
    say(`its receipt says ${receipt.cost.usd} USD, its output ${cost} picodollars`);
  const batches = receipt.batches.reduce((sum, { usd }) => sum + picodollarsOf(usd), 0n);
  if (batches !== cost) say('the costs of its batches do not add up to it');
}

/** Picodollars, at the rates of the tier that answered: `default` is OpenAI's name of standard. */
function priceOf(model: string, serviceTier: string | undefined, input: number, output: number): bigint {
  const [inputRate, outputRate] = PRICES[model]!;
  const times = serviceTier === 'default' ? 2n : 1n;
  return times * (BigInt(input) * inputRate + BigInt(output) * outputRate);
}

/** Tokens of every answer of the simulation, whether it says so or not. */
const ANSWER_TOKENS = 5;

/**
 * What is booked is at least what the answers cost, those included that do not tell their usage: else a budget does not
 * hold.
 * @param answers lines of output files, with the input tokens of their requests.
 */
export async function checkSpent(
  quota: WatchedQuota,
  answers: readonly { line: string; inputTokens: number }[],
  report: (text: string) => void,
): Promise<void> {
  let cost = 0n;
  for (const { line, inputTokens } of answers) {
    const { response } = JSON.parse(line) as {
      response: { body: { model: string; service_tier?: string } };
    };
    const { model, service_tier } = response.body;
    cost += priceOf(model, service_tier, inputTokens, ANSWER_TOKENS);
  }
  let booked = 0;
  for (const name of quota.names)
    if (name.startsWith('spent/')) booked += (await quota.getLedger(name))!.used;
  if (booked * 1_000_000 < Number(cost))
    report(`${booked} microdollars are booked in all; the answers cost ${Number(cost) / 1_000_000}`);
}

/** Once everything is quiet nothing is reserved, and what is booked is what the receipts say. */
export async function checkLedgers(
  quota: WatchedQuota,
  receipts: readonly Receipt[],
  report: (text: string) => void,
): Promise<void> {
  for await (const { jobId, batchId } of quota.listReservations())
    report(`something is reserved for batch ${batchId} of job ${jobId}`);
  let month = 0;
  for (const name of quota.names) {
    const { reserved, used } = (await quota.getLedger(name))!;
    if (reserved !== 0) report(`${name} has ${reserved} reserved in the end`);
    if (name.startsWith('spent/')) month += used;
    const jobId = /^budget\/job\/(.*)$/.exec(name)?.[1];
    const own = receipts.filter((receipt) => receipt.jobId === jobId);
    if (jobId !== undefined && own.length > 0) checkBooked(name, used, own, report);
  }
  checkBooked('the months', month, receipts, report);
}

/** Each batch is rounded up once, with what OpenAI may have charged beyond what its results tell. */
function checkBooked(
  name: string,
  used: number,
  receipts: readonly Receipt[],
  report: (text: string) => void,
): void {
  let batches = 0;
  let cost = 0n;
  for (const receipt of receipts) {
    batches += receipt.batches.length;
    cost += picodollarsOf(receipt.cost.usd) + picodollarsOf(receipt.cost.possibleUsd);
  }
  const exact = Number(cost) / 1_000_000;
  if (used < exact || used > exact + batches)
    report(`${name} has ${used} used; the receipts of its ${batches} batches say ${exact}`);
}

function picodollarsOf(usd: string): bigint {
  const [whole, fraction = ''] = usd.split('.');
  return BigInt(whole! + fraction.padEnd(12, '0'));
}
