/**
 * The settings of a deployment, read at synth time: where files go and how each key prefix is treated. The docstrings of the
 * fields are the meanings in docs/settings.md (`npm run docs:settings`).
 *
 * The construct validates it, hands it to the functions as a file (`settings-file.ts`), and a job
 * freezes the route it was claimed under, so that a later deployment changes nothing for work in flight.
 */
import * as z from 'zod';
import { DEFAULT_API_KEY } from './api-key.ts';
import { describeGlobProblem } from './glob.ts';
import { onlyFields } from './only-fields.ts';
import { RESERVED_PREFIX } from './prefix-owners.ts';
import { priceSchema } from './prices.ts';

/** A key prefix that ends in a slash, such as `input/`. */
const prefixSchema = z
  .string()
  .regex(/^[A-Za-z0-9!_.*'()-][A-Za-z0-9!_.*'()/-]*\/$/, 'a prefix is a plain S3 key path that ends with "/"')
  .refine(
    (prefix) => !prefix.startsWith(RESERVED_PREFIX),
    `"${RESERVED_PREFIX}" is where stacks note which of them owns which prefix; give another prefix`,
  );

/** Key prefixes of the bucket: one that people write, and five that batchdrop writes. */
export const layoutSchema = onlyFields({
  /** Files dropped here become jobs. Never written by batchdrop. */
  input: prefixSchema.default('input/'),
  /** Successful answers, OpenAI's own output lines in input order. */
  output: prefixSchema.default('output/'),
  /** One line for each request that failed or was invalid, with the reason. */
  errors: prefixSchema.default('errors/'),
  /** The original lines of everything not succeeded, ready to be fixed and dropped again. */
  retry: prefixSchema.default('retry/'),
  /** One account for each finished job, written last. */
  receipts: prefixSchema.default('receipts/'),
  /** Private intermediates, removed some time after their job has ended. */
  work: prefixSchema.default('work/'),
});
export type Layout = z.infer<typeof layoutSchema>;

/** Areas of a layout that hold results: a route may have its own. */
const RESULT_AREAS = ['output', 'errors', 'retry', 'receipts'] as const;

/** IAM would take a star for anything. */
const resultPrefixSchema = prefixSchema
  .refine((prefix) => !prefix.includes('*'), 'a prefix that results are written to has no "*"')
  .optional();

/** Where the results of a route's jobs go; what is left out goes where the layout says. */
const resultPrefixesSchema = onlyFields({
  /** Prefix of the route's answers. */
  output: resultPrefixSchema,
  /** Prefix of its error lines. */
  errors: resultPrefixSchema,
  /** Prefix of the original lines of everything not succeeded. */
  retry: resultPrefixSchema,
  /** Prefix of its receipts. */
  receipts: resultPrefixSchema,
} satisfies Record<(typeof RESULT_AREAS)[number], unknown>);

/** OpenAI's service tiers that requests can be sent in, the cheapest and slowest first. */
export const TIERS = ['batch', 'flex', 'standard'] as const;
export type Tier = (typeof TIERS)[number];

/** Minutes, hours or days: `90m`, `24h`, `2d`. */
const DURATION = /^([1-9]\d{0,4})([mhd])$/;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Far beyond the 24 hours of a batch: a longer deadline asks for nothing that none would not give. */
const MAX_DEADLINE_MS = 14 * UNIT_MS.d;

/** Milliseconds of `90m`, `24h` or `2d`; `undefined` if it is no such text. */
export function readDuration(text: string): number | undefined {
  const parts = DURATION.exec(text);
  return parts === null ? undefined : Number(parts[1]) * UNIT_MS[parts[2] as keyof typeof UNIT_MS];
}

const refuseDeadline = {
  error: ({ input }: { input?: unknown }) =>
    `a deadline is a duration from the drop, such as "90m", "24h" or "2d", of 14 days at most; read ${JSON.stringify(input)}`,
};

/** When the results must be there, counted from the drop: `2h`. */
const deadlineSchema = z.string(refuseDeadline).refine((text) => {
  const ms = readDuration(text);
  return ms !== undefined && ms <= MAX_DEADLINE_MS;
}, refuseDeadline);

const refuseBudget = {
  error: ({ input }: { input?: unknown }) =>
    'a budget is "unlimited", or {"perJobUsd": "12.50"}, {"perDayUsd": "100"} or both, each above 0 with at most 6 ' +
    `decimals; read ${JSON.stringify(input) ?? 'none'}`,
};

/** Whether it is decimal text of USD above 0, exact to a millionth. */
export function isUsd(text: string): boolean {
  return /^\d{1,9}(\.\d{1,6})?$/.test(text) && Number(text) > 0;
}

/** USD above 0, as a number or as decimal text, exact to a millionth. */
const usdSchema = z
  .union([z.string(), z.number()], refuseBudget)
  .transform(String)
  .refine(isUsd, refuseBudget);

/** What may be spent: on each job, on all jobs of the route in one day (UTC), or without limit, which has to be said. */
const budgetSchema = z.union(
  [
    z.literal('unlimited'),
    onlyFields({
      /** The most that one job may cost, in USD, with at most 6 decimals: `"12.50"`. */
      perJobUsd: usdSchema.optional(),
      /** The most that all jobs of the route may cost in one day (UTC), in USD. */
      perDayUsd: usdSchema.optional(),
    }).refine(({ perJobUsd, perDayUsd }) => perJobUsd !== undefined || perDayUsd !== undefined, refuseBudget),
  ],
  refuseBudget,
);

/** A job's table item holds its route: 32 levels of a value, of which these are left (DynamoDB guide, "Quotas"). */
const MAX_DEFAULT_LEVELS = 28;
/** Nothing but 0 is nearer to 0 in DynamoDB (guide, "Data types", "Number"). */
const LEAST_NUMBER = 1e-130;

/** Whether a table item can hold it as it was written; JSON has read a longer whole number as another one. */
function isKeptInItems(value: unknown, levels = MAX_DEFAULT_LEVELS): boolean {
  if (typeof value === 'number')
    return Math.abs(value) <= Number.MAX_SAFE_INTEGER && (value === 0 || Math.abs(value) >= LEAST_NUMBER);
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((item) => isKeptInItems(item, levels - 1));
}

/** Filled into lines that leave it out; what a line has itself is kept. */
const defaultsSchema = onlyFields({
  /** Method of lines without one. */
  method: z.literal('POST', 'a method is "POST": the Batch API has no other').optional(),
  /** Endpoint of lines without one, such as `/v1/responses`. */
  url: z
    .string()
    .regex(/^\/v1\/[a-z_/]+$/, {
      error: ({ input }) => `a url is a path such as "/v1/responses"; read ${JSON.stringify(input)}`,
    })
    .optional(),
  /**
   * Parameters of the body, such as `model`, each filled in where the line does not have it; parameters are not merged. Whole numbers
   * lie within ±(2^53 − 1), and values have at most 28 levels.
   */
  body: z
    .record(z.string().min(1), z.json())
    .refine(
      (body) => isKeptInItems(body),
      `numbers in the defaults of a body are within ±${Number.MAX_SAFE_INTEGER}, those beside 0 not nearer to it than ` +
        `${LEAST_NUMBER}, and its values at most ${MAX_DEFAULT_LEVELS} levels deep: a job's record could not hold others`,
    )
    .optional(),
});
export type Defaults = z.infer<typeof defaultsSchema>;

/** Where a route's notifications go. */
export interface NotifyTarget {
  service: 'sns' | 'sqs' | 'events';
  partition: string;
  region: string;
  account: string;
  /** Of the topic, the queue or the event bus. */
  name: string;
}

const NOTIFY_ARN =
  /^arn:(aws(?:-[a-z]+)*):(?:(sns|sqs):([a-z0-9-]+):(\d{12}):([\w-]{1,256})|(events):([a-z0-9-]+):(\d{12}):event-bus\/([\w./-]{1,256}))$/;

/** `undefined`: it is not the ARN of a topic, a queue or an event bus that may be notified. */
export function readNotifyArn(arn: string): NotifyTarget | undefined {
  const parts = NOTIFY_ARN.exec(arn);
  if (parts === null) return undefined;
  const [service, region, account, name] = parts[2] === undefined ? parts.slice(6) : parts.slice(2, 6);
  // JobCompleted is on this bus anyway.
  if (service === 'events' && name === 'default') return undefined;
  return {
    service: service as NotifyTarget['service'],
    partition: parts[1]!,
    region: region!,
    account: account!,
    name: name!,
  };
}

const notifySchema = z.string().refine((arn) => readNotifyArn(arn) !== undefined, {
  error: ({ input }) =>
    'notify is the ARN of an SNS topic, an SQS queue (neither of them FIFO) or an EventBridge bus other than the default one, ' +
    'where every JobCompleted event is anyway, such as "arn:aws:sqs:us-east-1:123456789012:done"; ' +
    `read ${JSON.stringify(input)}`,
});

const TIERS_EXPECTED =
  'tiers are a list of one or more of "batch", "flex" and "standard", such as ["batch", "flex"]';

const ROUNDS = 'maxRounds is a whole number from 1 to 10';

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

/** Settings of a route that a dropped file may override, if the route allows it: see options.ts. */
export const OVERRIDABLE = ['deadline', 'tiers', 'maxRounds', 'onInvalid', 'budget'] as const;

/** Settings for the keys below one prefix. The route with the longest matching prefix applies. */
const routeFields = onlyFields({
  /** Name of the route in receipts and logs: 1 to 40 of `a-z`, `0-9` and `-`. */
  name: z.string().regex(/^[a-z0-9-]{1,40}$/, 'a route name has 1 to 40 of a-z, 0-9 and "-"'),
  /** Prefix of the keys that the route is for, inside `layout.input`. Of several routes, the one with the longest prefix applies. */
  prefix: prefixSchema,
  /**
   * Name (not the value) of the OpenAI API key that requests of the route are sent with: the stack makes one secret for each name.
   * A key that does not work, or whose limits are used up, delays only the routes that name it. Left out: the stack's own key, whose
   * name is `default`.
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
   * Globs, relative to `prefix`; a key that matches one is not an input. At most 50. The default leaves out what other tools write on the
   * way: marker and hidden files, folders of such names (`_temporary/`, `_delta_log/`), and unfinished uploads (SFTP gateways, browsers,
   * rsync).
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
  /** For a file with invalid lines: `quarantine` runs the valid ones and reports the others; `reject` runs none. */
  onInvalid: z.enum(['quarantine', 'reject']).default('quarantine'),
  /**
   * How often a request is tried when OpenAI did not execute it, failed while it executed it, or lost the result; then its last error is
   * final. Errors that a person must fix (quota, key, model access) use up no try.
   */
  maxRounds: z.int(ROUNDS).min(1, ROUNDS).max(10, ROUNDS).default(3),
  /** The same limit for tries that failed for one cause; the lower one counts. */
  maxRoundsByCause: onlyFields({
    /** OpenAI did not execute the request in time. */
    unexecuted: z.int().min(1).max(10).optional(),
    /** The request failed while it was executed. */
    transient: z.int().min(1).max(10).optional(),
    /** No result came, though OpenAI may have charged the request. */
    lost: z.int().min(1).max(10).default(2),
  }).prefault({}),
  /**
   * For a file with the content (by S3's ETag) and route of the version right before it, whose job is of the last 24 hours and running or
   * succeeded: `skip` makes it a duplicate, which waits for that job and costs nothing; `run` runs it.
   */
  sameContent: z.enum(['skip', 'run']).default('skip'),
  /**
   * For a batch that OpenAI no longer knows, or has not ended hours after it must have. `hold`: it waits for a person, and for OpenAI to
   * find it again; `resubmit`: its requests run again and are counted in `possiblyBilledTwice`.
   */
  onLost: z.enum(['hold', 'resubmit']).default('hold'),
  /**
   * OpenAI's service tiers that may be used, the cheapest first. A request begins in the first one that serves it; several tiers need a
   * `deadline`.
   */
  tiers: z
    .array(z.enum(TIERS, 'a tier is "batch", "flex" or "standard"'), TIERS_EXPECTED)
    .min(1, TIERS_EXPECTED)
    .refine(
      (tiers) =>
        tiers.every((tier, index) => index === 0 || TIERS.indexOf(tiers[index - 1]!) < TIERS.indexOf(tier)),
      {
        error: ({ input }) =>
          `tiers are named once each, in the order ${TIERS.join(', ')}; read ${JSON.stringify(input)}`,
      },
    ),
  /** When the results must be there, counted from the drop: `90m`, `24h`, `2d`; at most 14 days. */
  deadline: deadlineSchema.optional(),
  /** What may be spent: `"unlimited"`, or an object with at least one of the limits. Reserved before anything is sent. */
  budget: budgetSchema,
  /**
   * When the budget has no room: `wait` for room (settled results, a new day, a larger budget), or `refuse` the requests that are left, as
   * `budget_exceeded`.
   */
  overBudget: z.enum(['wait', 'refuse']).default('wait'),
  /** Whether requests without a known price run on a route with a budget; they count as 0 USD. Otherwise they fail as `unpriced_model`. */
  allowUnpriced: z.boolean().default(false),
  /** Filled into lines that leave it out; what a line has itself is kept. Lines of such a route are written once below `work/`. */
  defaults: defaultsSchema.optional(),
  /**
   * `by_prefix`: requests without a `prompt_cache_key` get one that is the same for all that begin with the same 4,096 bytes of text, where
   * the price table has a cached rate for their model in one of the `tiers`. Lines of such a route are written once below `work/`.
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
   * ARN of an SQS queue, an SNS topic (neither FIFO) or an EventBridge bus in the stack's account and region that gets the route's
   * `JobCompleted` events.
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

/**
 * What of OpenAI's limits may be used; other applications may share them, and so do API keys of one organization.
 */
export const quotaSchema = onlyFields({
  /**
   * The most tokens of a model that may be enqueued at a time with one API key, by model as requests name it. Left out: the limit is
   * learned from OpenAI's refusals, beginning low. OpenAI's limit holds where it is lower.
   */
  enqueuedTokens: z.record(z.string().min(1), z.int().min(1)).default({}),
  /** The most batches that are created with one API key in any 60 minutes. OpenAI allows 2,000 (guide "Batch API", 2026-09-26). */
  createsPerHour: z.int().min(1).max(2_000).default(2_000),
  /**
   * The most slices of a model that are called at a time with one API key in flex, and as many in standard: each has at most 500 requests,
   * with up to 32 calls at a time.
   */
  concurrentSlices: z.int().min(1).max(100).default(8),
});
export type QuotaSettings = z.infer<typeof quotaSchema>;

/** How long OpenAI may keep a batch in a state. */
const stuckSchema = onlyFields({
  /** Hours in `validating`, which normally takes minutes; then the batch is cancelled and its requests run in the next round. */
  validatingHours: z.number().positive().default(12),
  /** Hours after its `expires_at` without an end; then the batch is cancelled, and what it finished is kept. */
  pastExpiryHours: z.number().positive().default(2),
  /** Hours in `finalizing` or `cancelling` after its `expires_at`; then the batch counts as lost, see `onLost`. */
  finalizingHours: z.number().positive().default(24),
});
export type StuckLimits = z.infer<typeof stuckSchema>;

/** What becomes of files that cannot be read. */
const inputsSchema = onlyFields({
  /**
   * Hours for which reading a file is tried again when S3 refuses it (archived, forbidden, a KMS key that may not be used); then the file
   * is rejected as `input_unreadable`. A restore from Glacier Deep Archive takes up to 48 hours (S3 User Guide, "Understanding archive
   * retrieval options").
   */
  unreadableHours: z.number().positive().max(144).default(72),
});

/** What prices budgets and receipts reckon with, beside the table that batchdrop brings. */
const pricesSchema = onlyFields({
  /** Price rows that take precedence over the built-in table, in USD per million tokens. See [prices](cost.md#prices). */
  rows: z.array(priceSchema).default([]),
  /** Whether requests go to a data-residency endpoint, which OpenAI charges more for. */
  residency: z.boolean().default(false),
});

/** The layout, every route, and limits for the whole stack. */
export const settingsSchema = onlyFields({
  /** Prefixes of the bucket. None may overlap with another. */
  layout: layoutSchema.prefault({}),
  /** Settings for the keys below one prefix each; at least one route. Names and prefixes differ. */
  routes: z.array(routeSchema).min(1),
  /** How long OpenAI may keep a batch in a state. */
  stuck: stuckSchema.prefault({}),
  /** For files that cannot be read. */
  inputs: inputsSchema.prefault({}),
  /** Limits for the use of OpenAI's quota, each for one API key; other applications may share it. */
  quota: quotaSchema.prefault({}),
  /** Prices for budgets and receipts. */
  prices: pricesSchema.prefault({}),
  /**
   * Name of the CloudFormation stack whose prefixes of the bucket this one takes over, where they overlap with its own. Takes effect two
   * minutes after the first poll of the new deployment; files that were put before are run by the other stack.
   */
  takeOver: z
    .string()
    .regex(
      /^[A-Za-z][A-Za-z0-9-]{0,127}$/,
      'takeOver is the name of a CloudFormation stack, such as "batchdrop"',
    )
    .optional(),
}).superRefine(({ layout, routes }, context) => {
  for (const problem of findSettingsProblems(layout, routes)) {
    context.addIssue({ code: 'custom', message: problem });
  }
});
export type Settings = z.infer<typeof settingsSchema>;

/** What of settings says where files are. */
export type Places = Pick<Settings, 'layout'> & { routes: readonly Pick<Route, 'name' | 'layout'>[] };

/** The prefixes of an area, each once: that of the layout first, then those of routes. */
export function prefixesOf({ layout, routes }: Places, area: keyof Layout): string[] {
  return [...new Set([layout[area], ...routes.flatMap((route) => ownPrefixes(route)[area] ?? [])])];
}

/**
 * Where the results of a job go: where its route said when it was recorded, or says now, if the settings of now have that
 * prefix for that area. Else it may be anything, input too, and nobody may write there.
 */
export function layoutOf(places: Places, recorded: Pick<Route, 'name' | 'layout'>): Layout {
  const now = places.routes.find(({ name }) => name === recorded.name);
  const layout = { ...places.layout };
  for (const area of RESULT_AREAS) {
    const known = prefixesOf(places, area);
    const wanted = [recorded.layout?.[area], now?.layout?.[area]];
    layout[area] = wanted.find((prefix) => prefix !== undefined && known.includes(prefix)) ?? layout[area];
  }
  return layout;
}

function ownPrefixes({ layout }: Pick<Route, 'layout'>): Partial<Record<keyof Layout, string | undefined>> {
  return layout ?? {};
}

/** The settings of a deployment that names none: one route over everything below `input/`. */
export function defaultSettings(): Settings {
  const route = { name: 'default', prefix: 'input/', tiers: ['batch'], budget: 'unlimited' };
  return settingsSchema.parse({ layout: {}, routes: [route] });
}

/** The names of all API keys of a deployment, each once: the stack's own first. */
export function apiKeyNamesOf({ routes }: { routes: readonly Pick<Route, 'apiKey'>[] }): string[] {
  return [...new Set([DEFAULT_API_KEY, ...routes.flatMap(({ apiKey }) => apiKey ?? [])])];
}

/** Every prefix of every area, once, with what it is called in messages. */
function namedPrefixes(layout: Layout, routes: readonly Route[]) {
  const places = [
    ...Object.entries(layout).map(([area, prefix]) => ({ area, prefix, called: area })),
    ...routes.flatMap((route) =>
      Object.entries(ownPrefixes(route)).flatMap(([area, prefix]) =>
        prefix === undefined ? [] : [{ area, prefix, called: `${area} of route "${route.name}"` }],
      ),
    ),
  ];
  return [...Map.groupBy(places, ({ area, prefix }) => `${area} ${prefix}`).values()].map(
    ([first]) => first!,
  );
}

function findSettingsProblems(layout: Layout, routes: readonly Route[]): string[] {
  const problems: string[] = [];
  const prefixes = namedPrefixes(layout, routes);
  for (const [index, { area, prefix, called }] of prefixes.entries()) {
    for (const { area: otherArea, prefix: other, called: otherCalled } of prefixes.slice(index + 1)) {
      if (!prefix.startsWith(other) && !other.startsWith(prefix)) continue;
      const why =
        area === otherArea
          ? 'two files could get one name there; give them the same prefix, or prefixes apart'
          : 'what batchdrop writes must not be taken for input; give each a prefix of its own';
      problems.push(`the prefixes ${called} ("${prefix}") and ${otherCalled} ("${other}") overlap: ${why}`);
    }
  }
  const seenNames = new Set<string>();
  const seenPrefixes = new Set<string>();
  for (const route of routes) {
    if (!route.prefix.startsWith(layout.input)) {
      problems.push(
        `route "${route.name}" has prefix "${route.prefix}", which is not inside "${layout.input}"`,
      );
    }
    if (seenNames.has(route.name)) problems.push(`two routes are named "${route.name}"`);
    if (seenPrefixes.has(route.prefix)) problems.push(`two routes have the prefix "${route.prefix}"`);
    seenNames.add(route.name);
    seenPrefixes.add(route.prefix);
  }
  const targets = routes.flatMap(({ name, notify }) => {
    const target = notify === undefined ? undefined : readNotifyArn(notify);
    return target === undefined ? [] : [{ name, at: `account ${target.account} in ${target.region}` }];
  });
  const elsewhere = targets.find(({ at }) => at !== targets[0]!.at);
  if (elsewhere !== undefined) {
    problems.push(
      `route "${targets[0]!.name}" notifies ${targets[0]!.at} and route "${elsewhere.name}" ${elsewhere.at}: a stack notifies its ` +
        'own account and region only',
    );
  }
  // As names of outputs, which have no "-".
  const byOutput = Map.groupBy(apiKeyNamesOf({ routes }), (name) => name.replaceAll('-', ''));
  for (const names of byOutput.values()) {
    if (names.length > 1) {
      problems.push(
        `the API keys ${names.map((name) => `"${name}"`).join(' and ')} differ by "-" alone: ` +
          'give one of them another name',
      );
    }
  }
  return problems;
}
