/** `batchdrop plan FILE...`: what files would become and cost. Reads them, and nothing else; sends nothing. */
import { readDuration } from '../../src/contract/durations.ts';
import { type Route, TIERS, type Tier } from '../../src/contract/route.ts';
import type { Settings } from '../../src/contract/settings.ts';
import { formatUsd, fromUsd, type Picodollars, toUsd } from '../../src/core/base/money.ts';
import {
  ASSUMED_OUTPUT_TOKENS,
  type Forecast,
  type GroupForecast,
} from '../../src/core/forecast/file-forecast.ts';
import { forecast } from '../../src/core/forecast/forecast.ts';
import type { SharedPrefix } from '../../src/core/forecast/prefixes.ts';
import { type Reserve, reserveFor } from '../../src/core/forecast/reserve.ts';
import {
  cachingSaves,
  costOfGroup,
  type Recommendation,
  recommendTier,
} from '../../src/core/forecast/tiers.ts';
import { MODEL_RETIRED } from '../../src/core/model/outcome-codes.ts';
import { findingText } from '../../src/core/model/preflight.ts';
import type { PriceQuestion, Prices } from '../../src/core/pricing/prices.ts';
import { isServed } from '../../src/core/scheduling/offered-tiers.ts';
import { configuredFor } from '../../src/core/scheduling/token-limit.ts';
import { additionsOf } from '../../src/core/steps/ingest/fill-in.ts';
import { loadTokenizer } from '../../src/providers/openai/gpt-tokenizer.ts';
import { encodingOf } from '../../src/providers/openai/models.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';
import { type Drop, dropsOf, isOptions, STDIN_NAME } from '../options/drops.ts';
import { formatDuration } from '../options/duration.ts';
import { type PriceOptions, pricesOf } from '../options/prices.ts';
import { readWithProgress } from '../options/read-files.ts';
import { requireRoute, settingsOf } from '../options/settings.ts';
import { EXIT_PARTIAL, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { invalidLines } from '../view/invalid-lines.ts';
import {
  batchesText,
  type ModelEnd,
  modelEndOf,
  modelEndText,
  routeAdvice,
  routeText,
  tierText,
  unservedTexts,
} from '../view/plan-text.ts';
import { format } from '../view/progress.ts';
import { count, wrapped } from '../view/text.ts';

export interface PlanOptions extends PriceOptions {
  json?: boolean;
  /** Milliseconds. */
  deadline?: number;
  enqueuedTokens?: number;
  tokensPerMinute?: number;
  /** Path of a settings file: files are read as their route would. */
  settings?: string;
  /** Key that the file would have. Default: the layout's input prefix and the file's name. */
  key?: string;
}

/** What a plan goes by: the command's options, and what settings say where there are none. */
interface Terms {
  prices: Prices;
  /** The files' route; absent without settings. */
  route?: Route | undefined;
  deadlineMs?: number | undefined;
  enqueuedTokensOf: (model: string) => number | undefined;
  tokensPerMinute?: number | undefined;
}

interface FilePlan extends Forecast {
  file: string;
  bytes: number;
}

/**
 * @param now the time whose prices and models count, in epoch milliseconds. Default: the machine's.
 * @returns the exit status: whether every line could be run.
 */
export async function plan(
  files: readonly string[],
  options: PlanOptions,
  now: () => number = Date.now,
): Promise<number> {
  const at = now();
  const drops = (await dropsOf(files, '', STDIN_NAME)).filter((drop) => !isOptions(drop));
  const terms = await termsOf(drops, options);
  const o200k = await loadTokenizer('gpt-4o');
  const cl100k = await loadTokenizer('gpt-4');
  const plans: FilePlan[] = [];
  for (const { file, size: bytes = 0 } of drops) {
    const found = await forecast(readWithProgress(file, bytes, process.stderr, Date.now), {
      rules: OPENAI_RULES,
      prices: terms.prices,
      limits: OPENAI_RULES.limits,
      tokenizerOf: (model) => (encodingOf(model) === 'o200k_base' ? o200k : cl100k),
      enqueuedTokensOf: terms.enqueuedTokensOf,
      route: terms.route,
      additions: terms.route && additionsOf(terms.route, terms.prices, at),
    });
    plans.push({ file, bytes, ...found });
  }
  const whole = new WholePlan(plans, terms, at);
  if (options.json) console.log(JSON.stringify(whole.toJson()));
  else console.log(whole.toText(process.stdout.columns ?? 80));
  const isSound = plans.every(({ invalid, rejection }) => invalid === 0 && rejection === undefined);
  return isSound && !whole.hasRetired ? EXIT_SUCCEEDED : EXIT_PARTIAL;
}

async function termsOf(drops: readonly Drop[], options: PlanOptions): Promise<Terms> {
  const settings = await settingsOf(options.settings);
  const route = settings && routeOfAll(drops, settings, options.key);
  if (settings === undefined && options.key !== undefined)
    throw new UsageError('--key chooses a route of the settings: name them with --settings');
  return {
    prices: await pricesOf(options, settings),
    route,
    deadlineMs:
      options.deadline ?? (route?.deadline === undefined ? undefined : readDuration(route.deadline)),
    enqueuedTokensOf: (model) => options.enqueuedTokens ?? (settings && configuredFor(settings.quota, model)),
    tokensPerMinute: options.tokensPerMinute,
  };
}

/** @throws {UsageError} if a file has no route, or another one than the others. */
function routeOfAll(drops: readonly Drop[], settings: Settings, key: string | undefined): Route {
  if (key !== undefined && drops.length > 1)
    throw new UsageError(`--key is the key of one file; read ${drops.length} files: plan each by itself`);
  const routes = drops.map((drop) =>
    requireRoute(settings, drop.file, key ?? `${settings.layout.input}${drop.key}`),
  );
  const other = routes.findIndex(({ name }) => name !== routes[0]!.name);
  if (other === -1) return routes[0]!;
  throw new UsageError(
    `${drops[0]!.file} is for route "${routes[0]!.name}" and ${drops[other]!.file} for "${routes[other]!.name}": plan those of one route at a time`,
  );
}

/** Files together. */
class WholePlan {
  readonly #plans: readonly FilePlan[];
  readonly #prices: Prices;
  readonly #terms: Terms;
  readonly #when: Pick<PriceQuestion, 'at' | 'apiKey'>;

  /** @param at time whose prices hold, in epoch milliseconds. */
  constructor(plans: readonly FilePlan[], terms: Terms, at: number) {
    this.#plans = plans;
    this.#prices = terms.prices;
    this.#terms = terms;
    this.#when = { at, apiKey: terms.route?.apiKey };
  }

  toJson(): object {
    const { tier, reason, ms } = this.#recommendation();
    const { route } = this.#terms;
    return {
      version: 1,
      route: route && this.#routeJson(route),
      files: this.#plans.map(({ prefixes, groups, ...file }) => ({
        ...file,
        groups: groups.map((group) => ({
          ...group,
          usd: this.#usdOf(group),
          modelEnd: this.#endOf(group.model),
        })),
        sharedPrefixes: {
          requests: prefixes.requests,
          shared: prefixes.shared,
          tooShort: prefixes.tooShort,
          cachedTokens: Object.fromEntries(prefixes.cachedTokens),
          savesUsd: Object.fromEntries(
            TIERS.map((each) => [each, inUsd(this.#savingOf({ prefixes }, each))]),
          ),
        },
      })),
      usd: Object.fromEntries(TIERS.map((each) => [each, inUsd(this.#totalOf(each))])),
      prices: this.#prices.statedAt(this.#when.at),
      recommended: { tier: tier ?? null, reason, ms },
    };
  }

  /** Whether a model of the files is gone. */
  get hasRetired(): boolean {
    return this.#groups().some(({ model }) => this.#endOf(model)?.code === MODEL_RETIRED);
  }

  #endOf(model: string): ModelEnd | undefined {
    return modelEndOf(OPENAI_RULES.shutdowns, model, this.#when.at);
  }

  toText(width: number): string {
    const lines = this.#plans.flatMap((file) => [...this.#fileLines(file), '']);
    const { tier, reason, ms } = this.#recommendation();
    const { route } = this.#terms;
    if (route !== undefined)
      lines.push(
        routeText(route),
        ...unservedTexts(route, this.#groups(), OPENAI_RULES),
        ...this.#budgetLines(route),
      );
    if (this.#groups().length > 0) {
      const totals = TIERS.flatMap((each) => {
        const total = this.#totalOf(each);
        return total === undefined ? [] : [`${each} ${formatUsd(total)}`];
      });
      if (totals.length > 0) lines.push(`With answers as long as they may be: ${totals.join(', ')}`);
      for (const each of TIERS) {
        if (ms[each] !== undefined)
          lines.push(`Time in ${each}: ${each === 'batch' ? 'up to' : 'about'} ${formatDuration(ms[each])}`);
      }
      lines.push(
        `Recommended: ${tier ?? 'no tier'}. ${reason}${route && tier ? routeAdvice(route, tier) : ''}`,
      );
    }
    const { date, warning } = this.#prices.statedAt(this.#when.at);
    if (this.#groups().length > 0) lines.push(warning ?? `Prices are of ${date}.`);
    return lines.flatMap((line) => wrapped(line, width)).join('\n');
  }

  #fileLines(file: FilePlan): string[] {
    const good = file.lines - file.invalid;
    const lines = [
      `${file.file}: ${count(file.lines, 'line')}, ${count(good, 'request')} can be run, ${format(file.invalid)} invalid`,
    ];
    if (file.rejection !== undefined) lines.push(`  rejected   ${file.rejection.message}`);
    lines.push(...invalidLines(file));
    for (const found of file.preflight) lines.push(`  refused    ${found.kind}: ${findingText(found)}`);
    if (file.batches.length > 0) lines.push(`  batches    ${batchesText(file.batches)}`);
    for (const group of file.groups) lines.push(...this.#groupLines(group));
    lines.push(...this.#prefixLines(file));
    return lines;
  }

  #groupLines(group: GroupForecast): string[] {
    const { long, unestimated } = group;
    const lines = [
      `  ${group.model} at ${group.endpoint}`,
      `    requests ${format(group.requests)} in ${count(group.batches, 'batch', 'batches')}`,
      `    tokens   ${format(group.inputTokens)} in (±${(200 * group.relativeError).toFixed(1)} %), at most ${format(group.outputTokens)} out${group.unlimited === 0 ? '' : `, taking ${ASSUMED_OUTPUT_TOKENS} for each of ${format(group.unlimited)} that set no limit`}`,
    ];
    const end = this.#endOf(group.model);
    if (end !== undefined) lines.push(`    model    ${modelEndText(end)}`);
    const kinds = Object.entries(unestimated).map(
      ([kind, requests]) => `${kind.replace('_', ' ')} in about ${format(requests)}`,
    );
    if (kinds.length > 0)
      lines.push(
        `    beside   ${kinds.join(', ')}: not text, so not sure; at most ${format(group.inputTokensAtMost)} tokens in`,
      );
    for (const tier of TIERS.filter((each) => isServed(each, group, OPENAI_RULES))) {
      const cost = costOfGroup(this.#prices, group, tier, this.#when, OPENAI_RULES);
      lines.push(`    ${tier.padEnd(13)} ${tierText(tier, group, cost, OPENAI_RULES)}`);
    }
    if (long.requests > 0) {
      const extra = costOfGroup(this.#prices, group, 'batch', this.#when, OPENAI_RULES)?.longExtra;
      lines.push(
        `    long     ${count(long.requests, 'request')} of more than ${format(this.#prices.shortContextTokens)} tokens (line ${long.firstLines.map(format).join(', ')}${long.requests > long.firstLines.length ? ', …' : ''})${extra === undefined ? '' : `: ${formatUsd(extra)} more in batch than at the short price`}`,
      );
    }
    return lines;
  }

  #prefixLines(file: FilePlan): string[] {
    const { prefixes } = file;
    const describe = ({ model, requests, tokens, firstLine }: SharedPrefix): string =>
      `${count(requests, 'request')} of ${model} begin with the same ${format(tokens)} tokens (as line ${format(firstLine)})`;
    const lines = prefixes.shared.slice(0, 3).map((prefix) => `  cache      ${describe(prefix)}`);
    if (prefixes.shared.length > 0) {
      const savings = TIERS.map((tier) => {
        const saving = this.#savingOf(file, tier);
        return `${tier} ${saving === undefined ? 'nothing' : formatUsd(saving)}`;
      });
      lines.push(
        `             Caching saves at most: ${savings.join(', ')}. In batch, cache hits are not certain.`,
      );
      if (file.withoutCacheKey > 0 && TIERS.some((tier) => this.#savingOf(file, tier) !== undefined))
        lines.push(
          `             ${count(file.withoutCacheKey, 'request')} name no prompt_cache_key; a route with "promptCacheKey": "by_prefix" gives those that begin alike the same, which makes hits likelier.`,
        );
    }
    for (const prefix of prefixes.tooShort.slice(0, 3))
      lines.push(
        `  too short  ${describe(prefix)}: ${format(prefix.minTokens - prefix.tokens)} more would let them be cached`,
      );
    return lines;
  }

  #routeJson(route: Route): object {
    const { name, prefix, tiers, deadline, maxTries, budget, overBudget, allowUnpriced } = route;
    const all = this.#reserveOf(route, this.#plans);
    const { perJobUsd, perDayUsd } = budget === 'unlimited' ? {} : budget;
    return {
      ...{ name, prefix, tiers, deadline: deadline ?? null, maxTries, budget, overBudget, allowUnpriced },
      files: this.#plans.map((file) => {
        const { atMost, unpriced } = this.#reserveOf(route, [file]);
        return {
          file: file.file,
          atMostUsd: toUsd(atMost),
          unpriced,
          fitsJobBudget: perJobUsd === undefined ? undefined : holds(perJobUsd, atMost),
        };
      }),
      atMostUsd: toUsd(all.atMost),
      fitsDayBudget: perDayUsd === undefined ? undefined : holds(perDayUsd, all.atMost),
    };
  }

  #reserveOf(route: Route, plans: readonly FilePlan[]): Reserve {
    const batches = plans.flatMap((file) => file.batches);
    return reserveFor(batches, route, this.#prices, this.#when.at, OPENAI_RULES);
  }

  #budgetLines(route: Route): string[] {
    if (route.budget === 'unlimited') return [];
    const { perJobUsd, perDayUsd, timeZone = 'UTC' } = route.budget;
    const { unpriced, atMost } = this.#reserveOf(route, this.#plans);
    const lines = this.#plans.flatMap((file) =>
      perJobUsd === undefined
        ? []
        : [
            `Budget: ${budgetText(route, `${perJobUsd} USD a job`, perJobUsd, this.#reserveOf(route, [file]).atMost)} (${file.file})`,
          ],
    );
    if (perDayUsd !== undefined)
      lines.push(`Budget: ${budgetText(route, `${perDayUsd} USD a day in ${timeZone}`, perDayUsd, atMost)}`);
    if (unpriced.length > 0)
      lines.push(
        `No price is known of ${unpriced.join(', ')}: ${route.allowUnpriced ? 'it counts as nothing against the budget' : 'such requests fail as unpriced_model, unless the settings give one (prices.rows) or the route says allowUnpriced'}.`,
      );
    return lines;
  }

  #groups(): GroupForecast[] {
    return this.#plans.flatMap(({ groups }) => groups);
  }

  /** Input and output; `undefined` if any group has no price in the tier. */
  #totalOf(tier: Tier): Picodollars | undefined {
    let total = 0n;
    for (const group of this.#groups()) {
      const cost = costOfGroup(this.#prices, group, tier, this.#when, OPENAI_RULES);
      if (cost === undefined) return undefined;
      total += cost.input + cost.output;
    }
    return total;
  }

  /** `undefined` if no model of the file has a price for cached tokens in the tier. */
  #savingOf({ prefixes }: Pick<FilePlan, 'prefixes'>, tier: Tier): Picodollars | undefined {
    const savings = [...prefixes.cachedTokens.keys()].flatMap(
      (model) => cachingSaves(this.#prices, prefixes, model, tier, this.#when) ?? [],
    );
    return savings.length === 0 ? undefined : savings.reduce((sum, saving) => sum + saving, 0n);
  }

  #usdOf(group: GroupForecast): Record<string, object | null> {
    const usd = (tier: Tier): object | null => {
      const cost = costOfGroup(this.#prices, group, tier, this.#when, OPENAI_RULES);
      if (cost === undefined) return null;
      const { input, output, longExtra } = cost;
      return { input: toUsd(input), outputAtMost: toUsd(output), longExtra: toUsd(longExtra) };
    };
    return Object.fromEntries(TIERS.map((tier) => [tier, usd(tier)]));
  }

  #recommendation(): Recommendation {
    const { deadlineMs, enqueuedTokensOf, tokensPerMinute } = this.#terms;
    return recommendTier({
      completionWindow: this.#terms.route?.completionWindow,
      groups: this.#groups(),
      isPriced: (tier) => this.#totalOf(tier) !== undefined,
      enqueuedTokensOf,
      deadlineMs,
      tokensPerMinute,
    });
  }
}

function holds(usd: string, atMost: Picodollars): boolean {
  return atMost <= fromUsd(usd)!;
}

function budgetText({ overBudget }: Route, said: string, usd: string, atMost: Picodollars): string {
  const most = formatUsd(atMost);
  if (holds(usd, atMost)) return `at most ${most} is reserved before it is sent; ${said} holds it.`;
  return (
    `at most ${most} would be reserved, and ${said} does not hold all of it at once: what fits goes first, more as ` +
    `results cost less than was reserved for them, and what is left then ${overBudget === 'wait' ? 'waits' : 'fails as budget_exceeded'}.`
  );
}

function inUsd(amount: Picodollars | undefined): string | null {
  return amount === undefined ? null : toUsd(amount);
}
