/** What one seed is about: inputs, settings and how bad the weather is. Pure data, drawn before anything runs. */
import { gzipSync } from 'node:zlib';
import { apiKeyNamesOf, type Settings, settingsSchema, type Tier } from '../../src/contract/settings.ts';
import type { BatchState } from '../../src/core/model.ts';
import { BATCH_ONLY } from '../support/routes.ts';
import { HOUR_MS, MINUTE_MS } from './durations.ts';
import { drawBudget, MAX_TOKENS } from './money.ts';
import type { Random } from './random.ts';
import { drawKinds, type Kind } from './weather.ts';

/** When every simulation begins: a whole second, as S3 and OpenAI tell time. */
export const START_MS = 1_790_000_000_000;

/**
 * What a line is, whatever the weather: `good` is answered, `refused` gets a 400 of its own, `poison` passes our checks and
 * makes OpenAI refuse the whole batch, all others are refused by us.
 */
export type LineKind = 'good' | 'refused' | 'poison' | 'broken' | 'duplicate' | 'wrong_method' | 'wrong_url';

/** One line with something on it. */
export interface InputLine {
  /** 1-based, blank lines counted. */
  number: number;
  kind: LineKind;
  customId: string;
  /** Stands in the prompt, and nowhere else: names this line of this drop. */
  marker: string;
  model: string;
  endpoint: string;
  /** Without its line end. */
  text: string;
}

/** An object that somebody puts. */
export interface Drop {
  index: number;
  /** Into whose bucket: the place of a stack, from 0. */
  stack: number;
  /** Of content that was dropped before under the same key: the first drop of it. */
  sameAs?: number;
  key: string;
  /** Milliseconds after the start. */
  at: number;
  lines: InputLine[];
  body: Uint8Array;
  isGzip: boolean;
  /** Removed with every version, this long after the start. */
  destroyedAt?: number;
  /** Its job is cancelled this long after a batch of it has come to a state. */
  cancelled?: { state: BatchState; delayMs: number };
}

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
  drops: Drop[];
  settings: Settings;
  isVersioned: boolean;
  /** Requests that fit a batch. */
  batchRequests: number;
  /** Versions that a page of a listing has. */
  pageSize: number;
  pollEveryMs: number;
  /** Messages of one queue that are worked on at a time. */
  concurrency: number;
  weather: Weather;
  kinds: ReadonlySet<Kind>;
  /** From then on, nothing fails any more. */
  calmAt: number;
  openai: OpenAIScenario;
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
  /** A model and the time in which each of its lines fails, if there is such a time. */
  outage?: { model: string; from: number; until: number };
  /** What only a person can mend, and when somebody does. */
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
}

/** OpenAI's codes, and ours for a secret without a key. */
export const TROUBLES = [
  'api_key_missing',
  'invalid_api_key',
  'insufficient_quota',
  'billing_hard_limit_reached',
  'model_not_found',
] as const;

const MODELS = ['gpt-5-nano', 'gpt-5-mini', 'gpt-6-luna'] as const;
const KEYS = [
  'input/a.jsonl',
  'input/nightly/b.jsonl',
  'input/c',
  'input/strict/d.jsonl',
  'input/once/e.jsonl',
];

/**
 * Everything about a seed.
 * @param chosen see {@link drawKinds}.
 */
export function drawScenario(random: Random, chosen?: readonly Kind[]): Scenario {
  const kinds = drawKinds(random.fork('kinds'), chosen);
  const isVersioned = random.chance(0.6);
  const batchRequests = random.whole(2, 6);
  const calmAt = random.spread(2 * HOUR_MS, 60 * HOUR_MS);
  const stacks = random.fork('stacks').chance(0.15) ? 2 : 1;
  const mayBeLong = kinds.has('long-calls');
  const plain = mayBeLong ? withCalls(drawSettings(random), random.fork('calls')) : drawSettings(random);
  const budgeted = withBudgets(plain, random.fork('budgets'));
  const settings = withApiKeys(budgeted, random.fork('api keys'));
  const apiKeys = apiKeyNamesOf(settings);
  const isBatchOnly = settings.routes.every(({ tiers }) => tiers.join() === 'batch');
  // A call does not say whose it is, so that what is dropped twice could not be told apart.
  const drops = drawDrops(random.fork('drops'), { batchRequests, stacks, mayDropAgain: isBatchOnly });
  const restored = stacks === 1 ? drawRestore(random.fork('restore'), drops, settings) : {};
  return {
    kinds,
    stacks,
    drops,
    settings,
    ...restored,
    isVersioned,
    batchRequests,
    pageSize: random.fork('pages').whole(1, 3),
    pollEveryMs: random.pick([5, 10, 15, 30]) * MINUTE_MS,
    concurrency: random.whole(1, 4),
    // So that what a call is cut by is its own worker, in some seeds.
    weather: drawWeather(random.fork('weather'), mayBeLong && random.fork('quiet').chance(0.6)),
    calmAt,
    openai: {
      ...drawOpenAI(random.fork('openai'), { batchRequests, calmAt, apiKeys }),
      ...drawKeys(random.fork('keys'), { calmAt, apiKeys }),
      losesBatches: restored.restore === undefined && isBatchOnly,
    },
  };
}

function drawSettings(random: Random): Settings {
  const sameContent = random.pick(['run', 'skip']);
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
        maxRounds: random.whole(2, 4),
        maxRoundsByCause: drawMaxRounds(random),
      },
      { ...common, name: 'strict', prefix: 'input/strict/', onInvalid: 'reject' },
      { ...common, name: 'once', prefix: 'input/once/', maxRounds: 1 },
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
 * A restore forgets that somebody has cancelled a job and what was spent, and cannot find again an input that is gone: only
 * where nothing of that is.
 */
function drawRestore(random: Random, drops: readonly Drop[], settings: Settings): Pick<Scenario, 'restore'> {
  // Which of several drops stands for their content may be another one after a restore.
  const isPlain = ({ cancelled, destroyedAt, sameAs }: Drop): boolean =>
    cancelled === undefined && destroyedAt === undefined && sameAs === undefined;
  if (!drops.every(isPlain)) return {};
  if (settings.routes.some(({ budget }) => budget !== 'unlimited') || random.chance(0.25)) return {};
  // What is called one by one is restored in test/core alone.
  if (settings.routes.some(({ tiers }) => tiers[0] !== 'batch' || tiers.length > 1)) return {};
  // Not to before the first listing, which begins with what it finds. And a restore takes longer than it is from one poll
  // to the next.
  const to = random.spread(2 * HOUR_MS, 12 * HOUR_MS);
  return { restore: { to, at: to + random.spread(45 * MINUTE_MS, 30 * HOUR_MS) } };
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

function drawMaxRounds(random: Random): Record<string, number> {
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
    openaiError: rate(0.3),
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

function drawDrops(
  random: Random,
  { batchRequests, stacks, mayDropAgain }: { batchRequests: number; stacks: number; mayDropAgain: boolean },
): Drop[] {
  const count = Number(random.weighted({ 1: 2, 2: 4, 3: 3, 4: 1 }));
  const keys = random.shuffle(KEYS);
  const drops: Drop[] = [];
  for (let index = 0; index < count; index++) {
    // Sometimes a key that was dropped already: another version of it.
    const earlier = index > 0 && random.chance(0.4) ? random.pick(drops) : undefined;
    // Half of these are the very same once more, as of a producer that saw no answer.
    const again = mayDropAgain && random.chance(0.6) ? earlier : undefined;
    const key = earlier?.key ?? keys[index]!;
    const stack = earlier?.stack ?? index % stacks;
    const lines = again?.lines ?? drawLines(random, index, batchRequests);
    const isGzip = again?.isGzip ?? random.chance(0.06);
    // Two files without a line would be the same one twice.
    const text =
      again !== undefined || lines.length === 0 ? Buffer.from('\n'.repeat(index)) : render(random, lines);
    // S3 tells whole seconds and versions of one second are ordered by their ids: no two drops share one.
    const at = index * 1_000 + (index === 0 ? 0 : random.whole(0, 3 * 60) * MINUTE_MS);
    const isDestroyed = random.chance(0.15);
    const isCancelled = random.chance(0.3);
    drops.push({
      index,
      stack,
      ...(again === undefined ? {} : { sameAs: again.sameAs ?? again.index }),
      key,
      at,
      lines,
      body: again?.body ?? (isGzip ? gzipSync(text) : text),
      isGzip,
      ...(isDestroyed ? { destroyedAt: at + random.spread(1_000, 6 * HOUR_MS) } : {}),
      ...(isCancelled
        ? {
            cancelled: {
              state: random.pick<BatchState>([
                'uploaded',
                'submitting',
                'submitted',
                'submitted',
                'submitted',
                'ended',
                'collected',
              ]),
              delayMs: random.spread(1, 30 * MINUTE_MS),
            },
          }
        : {}),
    });
  }
  return drops;
}

function drawLines(random: Random, drop: number, batchRequests: number): InputLine[] {
  if (random.chance(0.02)) return [];
  const count = random.whole(1, batchRequests * random.whole(1, 5));
  const models = random.shuffle(MODELS).slice(0, random.whole(1, 2));
  const isMixed = random.chance(0.7);
  const onlyBroken = random.chance(0.02);
  const lines: InputLine[] = [];
  for (let index = 0; index < count; index++) {
    const drawn: LineKind = isMixed
      ? random.weighted({
          good: 80,
          refused: 8,
          poison: 2,
          broken: 3,
          duplicate: 4,
          wrong_method: 2,
          wrong_url: 1,
        })
      : 'good';
    const earlier = lines.filter(({ kind }) => ['good', 'refused', 'poison'].includes(kind));
    const kind = onlyBroken ? 'broken' : drawn === 'duplicate' && earlier.length === 0 ? 'good' : drawn;
    const marker = `${drop}.${index}`;
    const customId =
      kind === 'duplicate'
        ? random.pick(earlier).customId
        : `r-${index}${random.pick(['', '', ' ü', '/x', '\u2028'])}`;
    const model = random.pick(models);
    const endpoint = random.chance(0.9) ? '/v1/chat/completions' : '/v1/responses';
    const prompt = `prompt-${marker}-${kind}.`;
    const body =
      endpoint === '/v1/responses'
        ? { model, input: prompt, max_output_tokens: MAX_TOKENS }
        : { model, messages: [{ role: 'user', content: prompt }], max_tokens: MAX_TOKENS };
    const request = {
      custom_id: customId,
      method: kind === 'wrong_method' ? 'GET' : 'POST',
      url: kind === 'wrong_url' ? '/v1/unknown' : endpoint,
      body,
    };
    const json = JSON.stringify(request);
    lines.push({
      number: 0,
      kind,
      customId,
      marker,
      model,
      endpoint,
      text: kind === 'broken' ? json.slice(0, -random.whole(1, 9)) : json,
    });
  }
  return lines;
}

/** Lines as people write them: blank ones, CRLF, a byte order mark, no last line feed. Numbers the lines. */
function render(random: Random, lines: InputLine[]): Uint8Array {
  const end = random.pick(['\n', '\n', '\r\n']);
  let text = random.chance(0.1) ? '\uFEFF' : '';
  let number = 0;
  for (const line of lines) {
    while (random.chance(0.05)) {
      text += end;
      number++;
    }
    text += `${line.text}${end}`;
    line.number = ++number;
  }
  return Buffer.from(random.chance(0.3) && lines.length > 0 ? text.slice(0, -end.length) : text);
}
