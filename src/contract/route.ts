/** A route: how the files below one key prefix are treated. */
import * as z from 'zod';
import { budgetSchema } from './budget.ts';
import { dropLimitsSchema } from './drop-limits.ts';
import { readDuration } from './durations.ts';
import { describeGlobProblem } from './glob.ts';
import { prefixSchema, resultPrefixesSchema } from './layout.ts';
import { defaultsSchema } from './line-defaults.ts';
import { notifySchema } from './notify.ts';
import { onlyFields } from './only-fields.ts';
import { DAY_MS, HOUR_MS } from './time.ts';

/**
 * In what requests can be sent, the cheapest and slowest first: OpenAI's service tiers, and the completion windows of
 * its background mode.
 */
export const TIERS = ['batch', 'flex', 'background-8h', 'background-2h', 'standard'] as const;
export type Tier = (typeof TIERS)[number];

/**
 * Within which time OpenAI aims to answer after it has accepted a request: a target, not a promise. Source: guide
 * "Background mode" (2026-11), `background_options.completion_window`.
 */
const WINDOWS_MS = {
  'background-8h': 8 * HOUR_MS,
  'background-2h': 2 * HOUR_MS,
} as const satisfies Partial<Record<Tier, number>>;
/** A tier that is a completion window of OpenAI's background mode. */
export type WindowTier = keyof typeof WINDOWS_MS;

/** Whether requests of a tier are made in the background, and fetched when they are done. */
export function isWindowTier(tier: Tier): tier is WindowTier {
  return tier in WINDOWS_MS;
}

/** How long requests of a tier are given after they were created, in ms; 0: a call answers at once. */
export function windowMs(tier: Tier): number {
  return isWindowTier(tier) ? WINDOWS_MS[tier] : 0;
}

/** Far beyond the 24 hours of a batch: a longer deadline gives nothing that no deadline would not give. */
const MAX_DEADLINE_MS = 14 * DAY_MS;

const refuseDeadline = {
  error: ({ input }: { input?: unknown }) =>
    `a deadline is a duration from the drop, such as "90m", "24h" or "2d", of 14 days at most; read ${JSON.stringify(input)}`,
};

/** When the results must be there, counted from the drop: `2h`. */
const deadlineSchema = z.string(refuseDeadline).refine((text) => {
  const ms = readDuration(text);
  return ms !== undefined && ms <= MAX_DEADLINE_MS;
}, refuseDeadline);

const TIERS_EXPECTED = `tiers are a list of one or more of ${TIERS.join(', ')}, such as ["batch", "standard"]`;

const TRIES = 'maxTries is a whole number from 1 to 10';

/** Where a drop that is not run is reported, beside the log. */
export const IGNORED_DROPS = ['off', 'list', 'event'] as const;

/** So that a key is looked at in bounded time. */
const MAX_GLOBS = 50;

/** Globs of the language in `glob.ts`. */
const globsSchema = z
  .array(
    z
      .string()
      .min(1)
      .refine((glob) => describeGlobProblem(glob) === undefined, {
        error: ({ input }) => describeGlobProblem(String(input)) ?? 'a glob is expected',
      }),
  )
  .max(MAX_GLOBS, `a route has at most ${MAX_GLOBS} globs in match, and as many in ignore`);

/** OpenAI's only completion window. Source: openai 7.59.0 `resources/batches.ts`. */
export const DEFAULT_COMPLETION_WINDOW = '24h';
/** Services that are compatible with OpenAI take up to seven days (Groq, "Batch API"), and down to one hour. */
const MIN_WINDOW_MS = HOUR_MS;
const MAX_WINDOW_MS = 7 * DAY_MS;

const refuseWindow = {
  error: ({ input }: { input?: unknown }) =>
    `a completion window is a duration in hours or days from "1h" to "7d", such as "24h", which is all that OpenAI takes; read ${JSON.stringify(input)}`,
};

const completionWindowSchema = z.string(refuseWindow).refine((text) => {
  const ms = text.endsWith('m') ? undefined : readDuration(text);
  return ms !== undefined && ms >= MIN_WINDOW_MS && ms <= MAX_WINDOW_MS;
}, refuseWindow);

/** Settings of a route that a dropped file may override, if the route allows it: see options.ts. */
export const OVERRIDABLE = ['deadline', 'tiers', 'maxTries', 'onInvalid', 'budget'] as const;

/** Settings for the keys below one prefix. The route with the longest matching prefix applies. */
const routeFields = onlyFields({
  /** Name of the route in receipts and logs: 1 to 40 of `a-z`, `0-9` and `-`. */
  name: z.string().regex(/^[a-z0-9-]{1,40}$/, 'a route name has 1 to 40 of a-z, 0-9 and "-"'),
  /**
   * Prefix of the keys that the route is for, inside `layout.input`. Of several routes, the one with the longest
   * prefix applies.
   */
  prefix: prefixSchema,
  /**
   * Name (not the value) of the OpenAI API key that requests of the route are sent with: the stack makes one secret
   * for each name. A key that does not work, or whose limits are used up, delays only the routes that name it. Left
   * out: the stack's own key, whose name is `default`.
   */
  apiKey: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9-]{0,39}$/,
      'the name of an API key has 1 to 40 of a-z, 0-9 and "-", and does not begin with "-"; the key itself goes into the ' +
        'secret that the stack makes for it',
    )
    .optional(),
  /** Globs, relative to `prefix`; a key must match one of them. At most 50. */
  match: globsSchema.min(1).default(['**']),
  /**
   * Globs, relative to `prefix`; a key that matches one is not an input. At most 50. The default leaves out what
   * other tools write on the way: marker and hidden files, folders of such names (`_temporary/`, `_delta_log/`), and
   * unfinished uploads (SFTP gateways, browsers, rsync).
   */
  ignore: globsSchema.default([
    '**/_*',
    '**/_*/**',
    '**/.[!.]*',
    '**/.[!.]*/**',
    '**/*.filepart',
    '**/*.part',
    '**/*.partial',
    '**/*.tmp',
  ]),
  /**
   * As `inputs.ignoredDrops`, for keys below `prefix`. `off` for a prefix that gets many objects that are not inputs; a
   * route whose `ignore` is `["**"]` takes none.
   */
  ignoredDrops: z.enum(IGNORED_DROPS).optional(),
  /**
   * How many files of the route may start: `perHour` in any 60 minutes, `perDay` in one day (UTC), or both. A file above
   * that waits, unread, for its turn, and costs nothing meanwhile; files start in the order in which they were dropped.
   * Its `deadline` runs from the drop all the same. Left out: no limit.
   */
  drops: dropLimitsSchema.optional(),
  /** For a file with invalid lines: `quarantine` runs the valid ones and reports the others; `reject` runs none. */
  onInvalid: z.enum(['quarantine', 'reject']).default('quarantine'),
  /**
   * For requests that OpenAI is sure to refuse, as far as is known: `warn` sends them all the same, and the log and
   * the receipt name them; `reject` makes their lines invalid.
   */
  preflight: z.enum(['warn', 'reject']).default('warn'),
  /**
   * How often a request is tried when OpenAI did not execute it, failed while it executed it, or lost the result;
   * then its last error is final. Errors that a person must fix (quota, key, model access) use up no try.
   */
  maxTries: z.int(TRIES).min(1, TRIES).max(10, TRIES).default(3),
  /** The same limit for tries that failed for one cause; the lower one counts. */
  maxTriesByCause: onlyFields({
    /** OpenAI did not execute the request in time. */
    unexecuted: z.int().min(1).max(10).optional(),
    /** The request failed while it was executed. */
    transient: z.int().min(1).max(10).optional(),
    /** No result came, though OpenAI may have charged the request. */
    lost: z.int().min(1).max(10).default(2),
  }).prefault({}),
  /**
   * For a file with the content (by S3's ETag) and route of the version right before it, whose job is of the last 24
   * hours and running or succeeded: `skip` makes it a duplicate, which waits for that job and costs nothing; `run`
   * runs it.
   */
  sameContent: z.enum(['skip', 'run']).default('skip'),
  /**
   * For a batch that OpenAI no longer knows, or has not ended hours after it must have. `hold`: it waits for a
   * person, and for OpenAI to find it again; `resubmit`: its requests run again and are counted in
   * `possiblyBilledTwice`.
   */
  onLost: z.enum(['hold', 'resubmit']).default('hold'),
  /**
   * OpenAI's service tiers, and windows of its background mode, that may be used, the cheapest first. A request begins in
   * the first one that serves it and has time for it; several tiers need a `deadline`.
   */
  tiers: z
    .array(z.enum(TIERS, `a tier is one of ${TIERS.join(', ')}`), TIERS_EXPECTED)
    .min(1, TIERS_EXPECTED)
    .refine(
      (tiers) =>
        tiers.every((tier, index) => index === 0 || TIERS.indexOf(tiers[index - 1]!) < TIERS.indexOf(tier)),
      {
        error: ({ input }) =>
          `tiers are named once each, in the order ${TIERS.join(', ')}; read ${JSON.stringify(input)}`,
      },
    ),
  /**
   * How long the service may take for a batch, `1h` to `7d`, as it is written in the create. OpenAI takes `24h` alone;
   * compatible services take others.
   */
  completionWindow: completionWindowSchema.default(DEFAULT_COMPLETION_WINDOW),
  /**
   * How long OpenAI keeps a response after it has ended: `30d`, or `10m` where the project of the route's API key has
   * zero data retention or modified abuse monitoring (guide "Background mode", 2026-11). With `10m`, responses in the
   * background are looked at every 4 minutes, also where webhooks tell of them; an answer that is gone is lost, and may
   * have been charged. A line that says `store: false` has the 10 minutes as well.
   */
  responseRetention: z
    .enum(
      ['30d', '10m'],
      'responseRetention is "30d" or "10m", as the project of the API key keeps responses',
    )
    .default('30d'),
  /** When the results must be there, counted from the drop: `90m`, `24h`, `2d`; at most 14 days. */
  deadline: deadlineSchema.optional(),
  /**
   * For a response in a background window that is being executed when the last tier could only just meet the deadline:
   * `cancel` has it cancelled and runs the request there, counted in `possiblyBilledTwice`; `wait` waits for it. One that
   * is still queued is cancelled in either case.
   */
  onLate: z.enum(['cancel', 'wait']).default('cancel'),
  /**
   * What may be spent: `"unlimited"`, or an object with at least one of the limits. Reserved before anything is sent.
   */
  budget: budgetSchema,
  /**
   * When the budget has no room: `wait` for room (settled results, a new day, a larger budget), or `refuse` the
   * requests that are left, as `budget_exceeded`.
   */
  overBudget: z.enum(['wait', 'refuse']).default('wait'),
  /**
   * Whether requests without a known price run on a route with a budget; they count as 0 USD. Otherwise they fail as
   * `unpriced_model`.
   */
  allowUnpriced: z.boolean().default(false),
  /**
   * Filled into lines that leave it out; what a line has itself is kept. Lines of such a route are written once below
   * `work/`.
   */
  defaults: defaultsSchema.optional(),
  /**
   * `by_prefix`: requests without a `prompt_cache_key` get one that is the same for all that begin with the same
   * 4,096 bytes of text, where the price table has a cached rate for their model in one of the `tiers`. Lines of such
   * a route are written once below `work/`.
   */
  promptCacheKey: z
    .enum(['by_prefix'], {
      error: ({ input }) =>
        `promptCacheKey is "by_prefix", or left out: requests then have the key that they name; read ${JSON.stringify(input)}`,
    })
    .optional(),
  /** Prefixes of the route's own for its results. What is left out goes below those of the top-level `layout`. */
  layout: resultPrefixesSchema.optional(),
  /**
   * ARN of an SQS queue, an SNS topic (neither FIFO) or an EventBridge bus in the stack's account and region that
   * gets the route's `JobCompleted` events.
   */
  notify: notifySchema.optional(),
  /** Settings that a dropped file may override for itself. */
  mayOverride: z.array(z.enum(OVERRIDABLE)).default([]),
});

/** A ladder of several tiers goes down when time runs short, so it needs to know when that is. */
function needsDeadline({
  tiers,
  deadline,
}: Pick<z.infer<typeof routeFields>, 'tiers' | 'deadline'>): boolean {
  return tiers.length > 1 && deadline === undefined;
}

export const routeSchema = routeFields.refine((route) => !needsDeadline(route), {
  path: ['deadline'],
  error:
    'several tiers need a deadline: it decides when to continue in the next one; give one such as "12h", or one tier',
});
export type Route = z.infer<typeof routeSchema>;
