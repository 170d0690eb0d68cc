/** What one seed is about: inputs, settings and how bad the weather is. Pure data, drawn before anything runs. */

import { isWindowTier, type Tier } from '../../../src/contract/route.ts';
import { apiKeyNamesOf, type Settings, settingsSchema } from '../../../src/contract/settings.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { inWeather } from './drop-weather.ts';
import { type Drop, drawDrops, MODELS } from './drops.ts';
import { drawBudget } from './money.ts';
import { drawOperations, type Operations } from './operators.ts';
import type { Random } from './random.ts';
import { drawKinds, type Kind } from './weather.ts';

/** When every simulation begins: a whole second, as S3 and OpenAI tell time. */
export const START_MS = 1_790_000_000_000;

/** How likely each kind of trouble is, per port call unless it says otherwise. */
export interface Weather {
  kill: number;
  error: number;
  retried: number;
  slow: number;
  /** Per invocation. */
  hurry: number;
  /** Per message. */
  dropMessage: number;
  duplicateMessage: number;
  delayMessage: number;
  /** Per item of an index that lags. */
  lagIndex: number;
  /** Per call of OpenAI's. */
  openaiError: number;
  /** Per batch. */
  batchFate: number;
  /** Per result line. */
  lineFault: number;
  /** Per result file, and per read of one. */
  fileFault: number;
}

export interface Scenario {
  /** How many stacks are alive in the one project of OpenAI's. */
  stacks: number;
  /** Whether they live on one bucket, and when the second one takes over from the first, if it does. */
  shared?: { takeOverAt?: number };
  drops: Drop[];
  settings: Settings;
  isVersioned: boolean;
  /** Requests that fit a batch. */
  batchRequests: number;
  /** Versions that a page of a listing has. */
  pageSize: number;
  pollEveryMs: number;
  /** A time after the start in which no poll runs, if there is one. */
  unpolled?: { from: number; until: number };
  /** How long the files of a job stay below `work/` after it has ended. */
  workKeptMs: number;
  /** Messages of one queue that are worked on at a time. */
  concurrency: number;
  weather: Weather;
  kinds: ReadonlySet<Kind>;
  /** From then on, nothing fails any more. */
  calmAt: number;
  openai: OpenAIScenario;
  /** How likely a webhook is to be lost, late, or sent twice; absent: there are none. */
  webhooks?: { lost: number; late: number; twice: number } | undefined;
  /** What persons do, if they do anything beside what the drops say. */
  operations?: Operations | undefined;
  /** The table is restored to what it was at `to`, both after the start. */
  restore?: { to: number; at: number };
}

export interface OpenAIScenario {
  /** How far OpenAI's clock is ahead of ours. */
  clockSkewMs: number;
  order: 'newest first' | 'oldest first' | 'any';
  pageSize: number;
  /** How long a new batch may be missing from the list. */
  listLagMs: number;
  /** Enqueued input tokens that one model takes, in batches of the largest size. */
  tokenLimit: number;
  /** Which lines of a refused file are named. */
  tellsOfBadLines: 'all' | 'the first' | 'none';
  /** An API key is replaced by one of another project, so long after the start; the old one stays valid. */
  keyReplaced?: { apiKey: string; at: number };
  /** The names of the stacks' API keys. */
  apiKeys: readonly string[];
  /** Whether batches may be gone for good: not beside a restore, after which nobody could tell what had ended. */
  losesBatches: boolean;
  /** Batches of somebody else in the same project. */
  foreignBatches: number;
  /** Models that are not offered in background windows. */
  windowless?: readonly string[] | undefined;
  /** A model and the time in which each of its lines fails, if there is such a time. */
  outage?: { model: string; from: number; until: number };
  /** What only a person can fix, and when somebody does. */
  trouble?: Trouble;
}

/** In this time after the start, everything that needs the key, money or the model is refused with this code. */
export interface Trouble {
  /** Whose batches it hits: those of this API key alone. */
  apiKey: string;
  code: (typeof TROUBLES)[number];
  /** For `model_not_found`. */
  model: string;
  /** Of what takes the key: only creates, as with a key that lacks a permission, or one that was read a moment ago. */
  isOfCreatesOnly: boolean;
  from: number;
  until: number;
  /** Whether it lasts beyond the time in which anything else may go wrong. */
  isLasting?: boolean;
}

/** OpenAI's codes, and ours for a secret without a key. */
export const TROUBLES = [
  'api_key_missing',
  'invalid_api_key',
  'insufficient_quota',
  'billing_hard_limit_reached',
  'model_not_found',
] as const;

/**
 * Everything about a seed.
 * @param chosen see {@link drawKinds}.
 */
export function drawScenario(random: Random, chosen?: readonly Kind[]): Scenario {
  const kinds = drawKinds(random.fork('kinds'), chosen);
  const isVersioned = random.chance(0.6);
  const batchRequests = random.whole(2, 6);
  // What was done since is not in a table that is restored; and persons come when jobs have ended.
  const hasOperators = kinds.has('operators');
  const calmAt = random.spread(2 * HOUR_MS, 60 * HOUR_MS) + (hasOperators ? 12 * HOUR_MS : 0);
  const isShared = kinds.has('shared-bucket');
  const stacks = isShared || random.fork('stacks').chance(0.15) ? 2 : 1;
  const mayBeLong = kinds.has('long-calls');
  const settings = drawAllSettings(random, kinds);
  const apiKeys = apiKeyNamesOf(settings);
  const isBatchOnly = settings.routes.every(({ tiers }) => tiers.join() === 'batch');
  // A call does not say whose it is, so that what is dropped twice could not be told apart.
  const drops = inWeather(
    random.fork('drop weather'),
    drawDrops(random.fork('drops'), {
      batchRequests,
      stacks: isShared ? 1 : stacks,
      mayDropAgain: isBatchOnly,
      background: kinds.has('background-windows') ? { hasChat: !isWindowLast(settings) } : undefined,
    }),
    { kinds, isVersioned, mayDropAgain: isBatchOnly },
  );
  const mayBeRestored = stacks === 1 && !kinds.has('work-expiry') && !hasOperators;
  const restored = mayBeRestored ? drawRestore(random.fork('restore'), drops, settings) : {};
  return {
    kinds,
    stacks,
    ...(isShared ? { shared: drawTakeover(random.fork('takeover'), drops) } : {}),
    drops,
    settings,
    ...restored,
    isVersioned,
    batchRequests,
    pageSize: random.fork('pages').whole(1, 3),
    workKeptMs: restored.restore === undefined ? drawWorkKept(random.fork('work kept')) : 30 * DAY_MS,
    pollEveryMs: random.pick([5, 10, 15, 30]) * MINUTE_MS,
    ...(kinds.has('late-polls') ? drawUnpolled(random.fork('late-polls'), calmAt) : {}),
    concurrency: random.whole(1, 4),
    // So that what a call is cut by is its own worker, in some seeds.
    weather: drawWeather(random.fork('weather'), mayBeLong && random.fork('quiet').chance(0.6)),
    calmAt,
    operations: hasOperators
      ? drawOperations(random.fork('operators'), { calmAt, routes: settings.routes, mayRetry: isBatchOnly })
      : undefined,
    webhooks: settings.webhooks && drawWebhooks(random.fork('webhooks')),
    openai: {
      ...drawOpenAI(random.fork('openai'), { batchRequests, calmAt, apiKeys }),
      ...drawKeys(random.fork('keys'), { calmAt, apiKeys }),
      ...(kinds.has('work-expiry') ? drawLastingTrouble(random.fork('work-expiry'), apiKeys) : {}),
      windowless:
        kinds.has('background-windows') && !isWindowLast(settings)
          ? drawWindowless(random.fork('windowless'))
          : undefined,
      losesBatches: restored.restore === undefined && isBatchOnly,
    },
  };
}

/** Settings with what the kinds of the seed need. */
function drawAllSettings(random: Random, kinds: ReadonlySet<Kind>): Settings {
  const drawn = drawSettings(random, kinds);
  const called = kinds.has('long-calls') ? withCalls(drawn, random.fork('calls')) : drawn;
  const inWindows = kinds.has('background-windows') ? withWindows(called, random.fork('windows')) : called;
  const budgeted = withBudgets(inWindows, random.fork('budgets'));
  const keyed = withWebhooks(withApiKeys(budgeted, random.fork('api keys')), kinds, random);
  if (kinds.has('denied-inputs') || kinds.has('late-denials'))
    keyed.inputs.unreadableHours = random.fork('unreadable').pick([2, 6, 72]);
  if (kinds.has('flooded-routes')) {
    const limits = random.fork('drops');
    for (const route of keyed.routes)
      route.drops = limits.pick([
        { perHour: 1 },
        { perHour: 2 },
        { perDay: 1 },
        { perDay: 2 },
        { perHour: 1, perDay: 2 },
      ]);
  }
  if (!kinds.has('late-sidecars')) return keyed;
  const routes = keyed.routes.map((route) => ({ ...route, mayOverride: ['maxTries'] }));
  return settingsSchema.parse({ ...keyed, routes });
}

function drawSettings(random: Random, kinds: ReadonlySet<Kind>): Settings {
  const drawn = random.pick(['run', 'skip']);
  const sameContent = kinds.has('cancel-and-run') ? 'skip' : drawn;
  const onLost = random.pick(['hold', 'resubmit']);
  const common = { ...BATCH_ONLY, sameContent, onLost };
  return settingsSchema.parse({
    layout: {},
    routes: [
      {
        ...common,
        ...drawLadder(random),
        name: 'default',
        prefix: 'input/',
        maxTries: random.whole(2, 4),
        maxTriesByCause: drawMaxTries(random),
      },
      { ...common, name: 'strict', prefix: 'input/strict/', onInvalid: 'reject' },
      { ...common, name: 'once', prefix: 'input/once/', maxTries: 1 },
    ],
  });
}

/** Routes whose requests are called one by one. */
function withCalls(settings: Settings, random: Random): Settings {
  const [first, ...others] = settings.routes;
  const tiers = random.pick<Tier[]>([
    ['flex', 'standard'],
    ['flex'],
    ['standard'],
    ['batch', 'flex', 'standard'],
  ]);
  return settingsSchema.parse({
    ...settings,
    routes: [{ ...first, tiers, deadline: `${random.spread(2, 24)}h` }, ...others],
  });
}

/** Routes whose requests are made in the background. */
function withWindows(settings: Settings, random: Random): Settings {
  const tiers = random.pick<Tier[]>([
    ['background-8h', 'background-2h', 'standard'],
    ['background-8h', 'background-2h', 'standard'],
    ['background-2h', 'standard'],
    ['background-8h', 'standard'],
    ['flex', 'background-8h', 'standard'],
    ['batch', 'background-8h', 'background-2h', 'standard'],
    ['batch', 'background-8h'],
    ['background-2h'],
  ]);
  const terms = {
    tiers,
    // Mostly just enough for one window, or for two.
    deadline: `${random.pick([2, 8, 10, 2, 8]) * 60 + random.spread(40, 20 * 60)}m`,
    onLate: random.pick(['cancel', 'cancel', 'wait']),
    responseRetention: random.pick(['30d', '30d', '10m']),
  };
  if (tiers.length === 1 && random.chance(0.5)) Object.assign(terms, { deadline: undefined });
  const routes = settings.routes.map((route) => ({ ...route, ...terms }));
  return settingsSchema.parse({ ...settings, routes });
}

/** Whether what is left of a slice has nowhere to go but a window. */
function isWindowLast({ routes }: Settings): boolean {
  return isWindowTier(routes[0]!.tiers.at(-1)!);
}

function withWebhooks(settings: Settings, kinds: ReadonlySet<Kind>, random: Random): Settings {
  if (!kinds.has('webhooks')) return settings;
  const names = apiKeyNamesOf(settings);
  const apiKeys = random.fork('webhook keys').chance(0.7) ? names : names.slice(0, 1);
  return settingsSchema.parse({ ...settings, webhooks: { apiKeys, endpoint: 'function_url' } });
}

function drawWebhooks(random: Random): Scenario['webhooks'] {
  return {
    lost: random.pick([0, 0.2, 1]),
    late: random.pick([0, 0.3]),
    twice: random.pick([0, 0.3]),
  };
}

function drawWindowless(random: Random): readonly string[] {
  return random.chance(0.6) ? [] : random.shuffle(MODELS).slice(0, random.whole(1, 2));
}

function withBudgets(settings: Settings, random: Random): Settings {
  if (random.chance(0.4)) return settings;
  return settingsSchema.parse({
    ...settings,
    routes: settings.routes.map((route) => ({ ...route, ...drawBudget(random) })),
  });
}

/** Some routes have an API key of their own, that of another project. */
function withApiKeys(settings: Settings, random: Random): Settings {
  if (random.chance(0.5)) return settings;
  const routes = settings.routes.map((route) => (random.chance(0.5) ? { ...route, apiKey: 'other' } : route));
  return settingsSchema.parse({ ...settings, routes });
}

function drawKeys(
  random: Random,
  { calmAt, apiKeys }: { calmAt: number; apiKeys: readonly string[] },
): Pick<OpenAIScenario, 'keyReplaced'> {
  if (!random.chance(0.3)) return {};
  return { keyReplaced: { at: random.spread(MINUTE_MS, calmAt), apiKey: random.pick(apiKeys) } };
}

/**
 * A restore forgets that somebody has cancelled a job and what was spent, and cannot find again an input that is gone:
 * only where nothing of that is.
 */
function drawRestore(random: Random, drops: readonly Drop[], settings: Settings): Pick<Scenario, 'restore'> {
  // Which of several drops stands for their content may be another one after a restore.
  const isPlain = ({ cancelled, destroyedAt, sameAs }: Drop): boolean =>
    cancelled === undefined && destroyedAt === undefined && sameAs === undefined;
  if (!drops.every(isPlain)) return {};
  if (settings.routes.some(({ budget }) => budget !== 'unlimited') || random.chance(0.25)) return {};
  // What is called one by one is restored in test/parts/pipeline alone.
  if (settings.routes.some(({ tiers }) => tiers[0] !== 'batch' || tiers.length > 1)) return {};
  // Not to before the first listing, which begins with what it finds. And a restore takes longer than it is from one
  // poll to the next.
  const to = random.spread(2 * HOUR_MS, 12 * HOUR_MS);
  return { restore: { to, at: to + random.spread(45 * MINUTE_MS, 30 * HOUR_MS) } };
}

/** Never less than it takes for the last message of a job to be gone. */
function drawWorkKept(random: Random): number {
  return random.pick([6 * HOUR_MS, 12 * HOUR_MS, 30 * DAY_MS]);
}

/** A person comes after more than the time in which `work/` expires. */
function drawLastingTrouble(
  random: Random,
  apiKeys: readonly string[],
): Pick<OpenAIScenario, 'trouble' | 'keyReplaced'> {
  const trouble: Trouble = {
    code: random.pick(TROUBLES),
    model: random.pick(MODELS),
    isOfCreatesOnly: random.chance(0.5),
    // Some of it is at OpenAI by then.
    from: random.chance(0.3) ? 0 : random.spread(MINUTE_MS, 6 * HOUR_MS),
    until: random.whole(31, 59) * DAY_MS,
    isLasting: true,
    apiKey: random.pick(apiKeys),
  };
  return { trouble };
}

/**
 * Versions of one key that two stacks run each would write over the results of each other: there is one of each key.
 */
function drawTakeover(random: Random, drops: readonly Drop[]): { takeOverAt?: number } {
  const isDroppedOnce = new Set(drops.map(({ key }) => key)).size === drops.length;
  if (!isDroppedOnce || random.chance(0.2)) return {};
  // Takes effect some minutes later, about when one of the files is put.
  const { at } = random.pick(drops);
  return { takeOverAt: Math.max(SECOND_MS, at - random.spread(SECOND_MS, 10 * MINUTE_MS)) };
}

/** Its events wait for a place among the functions that may run at a time. */
function drawUnpolled(random: Random, calmAt: number): Pick<Scenario, 'unpolled'> {
  const from = random.spread(MINUTE_MS, calmAt / 2);
  return { unpolled: { from, until: Math.min(calmAt, from + random.spread(2 * HOUR_MS, 36 * HOUR_MS)) } };
}

/** Some files are in a hurry. */
function drawLadder(random: Random): { tiers?: Tier[]; deadline?: string } {
  if (!random.chance(0.3)) return {};
  const tiers = random.pick<Tier[]>([
    ['batch', 'flex', 'standard'],
    ['batch', 'flex', 'standard'],
    ['batch', 'standard'],
    ['flex', 'standard'],
    ['standard'],
  ]);
  return { tiers, deadline: `${random.spread(30, 12 * 60)}m` };
}

function drawMaxTries(random: Random): Record<string, number> {
  const causes = ['unexecuted', 'transient', 'lost'].filter(() => random.chance(0.3));
  return Object.fromEntries(causes.map((cause) => [cause, random.whole(1, 3)]));
}

/** @param isQuiet whether workers have all the time that they should have. */
function drawWeather(random: Random, isQuiet: boolean): Weather {
  /** Each trouble is absent from some seeds, so that others are seen in their pure form. */
  const rate = (most: number, present = 0.6): number =>
    random.chance(present) ? random.spread(most * 100, most * 1_000) / 1_000 : 0;
  return {
    kill: rate(0.02),
    error: rate(0.05),
    retried: rate(0.04),
    slow: isQuiet ? 0 : rate(0.03),
    hurry: isQuiet ? 0 : rate(0.15),
    dropMessage: rate(0.2),
    duplicateMessage: rate(0.3),
    delayMessage: rate(0.3),
    lagIndex: rate(0.2),
    // A step of several calls must not fail for half a day in a row: then what can be read is all there is.
    openaiError: rate(0.2),
    batchFate: rate(0.7, 0.8),
    lineFault: rate(0.6, 0.8),
    fileFault: rate(0.4, 0.75),
  };
}

function drawOpenAI(
  random: Random,
  { batchRequests, calmAt, apiKeys }: { batchRequests: number; calmAt: number; apiKeys: readonly string[] },
): Omit<OpenAIScenario, 'losesBatches'> {
  const scenario: Omit<OpenAIScenario, 'losesBatches'> = {
    apiKeys,
    clockSkewMs: random.whole(-8, 8) * MINUTE_MS,
    order: random.pick(['newest first', 'oldest first', 'any']),
    pageSize: random.whole(2, 12),
    listLagMs: random.chance(0.4) ? random.spread(1_000, 10 * MINUTE_MS) : 0,
    // A line has 5 tokens, and at most 14 by our estimate: a request alone always fits.
    tokenLimit: random.chance(0.7) ? 20 + batchRequests * 3 * random.whole(1, 3) : Number.POSITIVE_INFINITY,
    tellsOfBadLines: random.pick(['all', 'the first', 'none']),
    foreignBatches: random.whole(0, 12),
  };
  if (random.chance(0.15)) {
    const from = random.whole(0, calmAt / 2);
    scenario.outage = { model: random.pick(MODELS), from, until: from + 24 * HOUR_MS };
  }
  if (random.chance(0.4)) {
    const from = random.chance(0.5) ? 0 : random.spread(MINUTE_MS, 3 * HOUR_MS);
    scenario.trouble = {
      // Of the key most often: it is seen at uploads, too.
      code: random.pick([...TROUBLES, 'api_key_missing', 'invalid_api_key', 'invalid_api_key']),
      model: random.pick(MODELS),
      isOfCreatesOnly: random.chance(0.5),
      from,
      until: from + random.spread(10 * MINUTE_MS, 12 * HOUR_MS),
      apiKey: random.pick(apiKeys),
    };
  }
  return scenario;
}
