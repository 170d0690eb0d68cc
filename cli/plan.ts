/** `batchdrop plan FILE...`: what files would become and cost. Reads them, and nothing else; sends nothing. */

import { loadTokenizer } from '../src/adapters/gpt-tokenizer.ts';
import { TIERS, type Tier } from '../src/contract/settings.ts';
import {
  ASSUMED_OUTPUT_TOKENS,
  type BatchForecast,
  type Bound,
  type Forecast,
  forecast,
  type GroupForecast,
  MOST_FINDINGS,
} from '../src/core/forecast/forecast.ts';
import { LEAST_CACHED_TOKENS, type SharedPrefix } from '../src/core/forecast/prefixes.ts';
import {
  cachingSaves,
  costOfGroup,
  type Recommendation,
  recommendTier,
  type TierCost,
} from '../src/core/forecast/tiers.ts';
import { OPENAI_LIMITS } from '../src/core/limits.ts';
import { formatUsd, type Picodollars, toUsd } from '../src/core/prices/money.ts';
import type { Prices } from '../src/core/prices/prices.ts';
import { encodingOf } from '../src/core/tokens/models.ts';
import { formatDuration } from './duration.ts';
import { EXIT_PARTIAL, EXIT_SUCCEEDED } from './exit.ts';
import { type PriceOptions, pricesOf } from './price-options.ts';
import { format } from './progress.ts';
import { readWithProgress, sizesOf } from './read-files.ts';
import { count, wrapped } from './text.ts';

export interface PlanOptions extends PriceOptions {
  json?: boolean;
  /** Milliseconds. */
  deadline?: number;
  enqueuedTokens?: number;
  tokensPerMinute?: number;
}

interface FilePlan extends Forecast {
  file: string;
  bytes: number;
}

/** @returns the exit status: whether every line could be run. */
export async function plan(files: readonly string[], options: PlanOptions): Promise<number> {
  const prices = await pricesOf(options);
  const sizes = await sizesOf(files);
  const o200k = await loadTokenizer('gpt-4o');
  const cl100k = await loadTokenizer('gpt-4');
  const plans: FilePlan[] = [];
  for (const [file, bytes] of sizes) {
    const found = await forecast(readWithProgress(file, bytes, process.stderr, Date.now), {
      limits: OPENAI_LIMITS,
      tokenizerOf: (model) => (encodingOf(model) === 'o200k_base' ? o200k : cl100k),
      ...(options.enqueuedTokens === undefined ? {} : { enqueuedTokens: options.enqueuedTokens }),
    });
    plans.push({ file, bytes, ...found });
  }
  const whole = new WholePlan(plans, prices, options, Date.now());
  if (options.json) console.log(JSON.stringify(whole.toJson()));
  else console.log(whole.toText(process.stdout.columns ?? 80));
  return plans.every(({ invalid, rejection }) => invalid === 0 && rejection === undefined)
    ? EXIT_SUCCEEDED
    : EXIT_PARTIAL;
}

const BOUND_TEXT: Record<Bound, string> = {
  requests: '50,000 requests',
  bytes: 'bytes',
  embedding_inputs: '50,000 embedding inputs',
  output: 'predicted output',
  tokens: 'enqueued tokens',
  groups: 'the number of models that fill up side by side',
  end: 'the end of the file',
};

/** Files together. */
class WholePlan {
  readonly #plans: readonly FilePlan[];
  readonly #prices: Prices;
  readonly #options: PlanOptions;
  readonly #at: number;

  /** @param at time whose prices hold, in epoch milliseconds. */
  constructor(plans: readonly FilePlan[], prices: Prices, options: PlanOptions, at: number) {
    this.#plans = plans;
    this.#prices = prices;
    this.#options = options;
    this.#at = at;
  }

  toJson(): object {
    const { tier, reason, ms } = this.#recommendation();
    return {
      version: 1,
      files: this.#plans.map(({ prefixes, groups, ...file }) => ({
        ...file,
        groups: groups.map((group) => ({ ...group, usd: this.#usdOf(group) })),
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
      recommended: { tier: tier ?? null, reason, ms },
    };
  }

  toText(width: number): string {
    const lines = this.#plans.flatMap((file) => [...this.#fileLines(file), '']);
    const { tier, reason, ms } = this.#recommendation();
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
      lines.push(`Recommended: ${tier ?? 'no tier'}. ${reason}`);
    }
    return lines.flatMap((line) => wrapped(line, width)).join('\n');
  }

  #fileLines(file: FilePlan): string[] {
    const good = file.lines - file.invalid;
    const lines = [
      `${file.file}: ${count(file.lines, 'line')}, ${count(good, 'request')} can be run, ${format(file.invalid)} invalid`,
    ];
    if (file.rejection !== undefined) lines.push(`  rejected   ${file.rejection.message}`);
    for (const { line, byte, code, message } of file.findings)
      lines.push(`  line ${format(line)}   ${code} at byte ${format(byte)}: ${message}`);
    if (file.invalid > file.findings.length)
      lines.push(`  …          ${format(file.invalid - MOST_FINDINGS)} more: ${codesOf(file)}`);
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
    const kinds = Object.entries(unestimated).map(
      ([kind, requests]) => `${kind.replace('_', ' ')} in about ${format(requests)}`,
    );
    if (kinds.length > 0)
      lines.push(
        `    beside   ${kinds.join(', ')}: not text, so not sure; at most ${format(group.inputTokensAtMost)} tokens in`,
      );
    for (const tier of TIERS) {
      const cost = costOfGroup(this.#prices, group, tier, this.#at);
      lines.push(`    ${tier.padEnd(8)} ${cost === undefined ? 'no price known' : costText(cost)}`);
    }
    if (long.requests > 0) {
      const extra = costOfGroup(this.#prices, group, 'batch', this.#at)?.longExtra;
      lines.push(
        `    long     ${count(long.requests, 'request')} of more than 272,000 tokens (line ${long.firstLines.map(format).join(', ')}${long.requests > long.firstLines.length ? ', …' : ''})${extra === undefined ? '' : `: ${formatUsd(extra)} more in batch than at the short price`}`,
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
      lines.push(`             Caching saves at most: ${savings.join(', ')}. In batch, hits are luck.`);
      if (file.withoutCacheKey > 0 && TIERS.some((tier) => this.#savingOf(file, tier) !== undefined))
        lines.push(
          `             ${count(file.withoutCacheKey, 'request')} name no prompt_cache_key; a route with "promptCacheKey": "by_prefix" gives those that begin alike the same, which makes hits likelier.`,
        );
    }
    for (const prefix of prefixes.tooShort.slice(0, 3))
      lines.push(
        `  too short  ${describe(prefix)}: ${format(LEAST_CACHED_TOKENS - prefix.tokens)} more would let them be cached`,
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
      const cost = costOfGroup(this.#prices, group, tier, this.#at);
      if (cost === undefined) return undefined;
      total += cost.input + cost.output;
    }
    return total;
  }

  /** `undefined` if no model of the file has a price for cached tokens in the tier. */
  #savingOf({ prefixes }: Pick<FilePlan, 'prefixes'>, tier: Tier): Picodollars | undefined {
    const savings = [...prefixes.cachedTokens.keys()].flatMap(
      (model) => cachingSaves(this.#prices, prefixes, model, tier, this.#at) ?? [],
    );
    return savings.length === 0 ? undefined : savings.reduce((sum, saving) => sum + saving, 0n);
  }

  #usdOf(group: GroupForecast): Record<Tier, object | null> {
    const usd = (tier: Tier): object | null => {
      const cost = costOfGroup(this.#prices, group, tier, this.#at);
      if (cost === undefined) return null;
      const { input, output, longExtra } = cost;
      return { input: toUsd(input), outputAtMost: toUsd(output), longExtra: toUsd(longExtra) };
    };
    return { batch: usd('batch'), flex: usd('flex'), standard: usd('standard') };
  }

  #recommendation(): Recommendation {
    const { deadline, enqueuedTokens, tokensPerMinute } = this.#options;
    return recommendTier({
      groups: this.#groups(),
      isPriced: (tier) => this.#totalOf(tier) !== undefined,
      ...(deadline === undefined ? {} : { deadlineMs: deadline }),
      ...(enqueuedTokens === undefined ? {} : { enqueuedTokens }),
      ...(tokensPerMinute === undefined ? {} : { tokensPerMinute }),
    });
  }
}

function inUsd(amount: Picodollars | undefined): string | null {
  return amount === undefined ? null : toUsd(amount);
}

function costText({ input, output }: TierCost): string {
  return `${formatUsd(input)} in, at most ${formatUsd(output)} out`;
}

function batchesText(batches: readonly BatchForecast[]): string {
  const bounds = new Map<Bound, number>();
  for (const { bound } of batches) bounds.set(bound, (bounds.get(bound) ?? 0) + 1);
  const parts = [...bounds].map(([bound, found]) => `${format(found)} by ${BOUND_TEXT[bound]}`);
  return `${format(batches.length)}, cut ${parts.join(', ')}`;
}

function codesOf({ invalidByCode }: Forecast): string {
  return Object.entries(invalidByCode)
    .map(([code, found]) => `${code} ${format(found)}`)
    .join(', ');
}
