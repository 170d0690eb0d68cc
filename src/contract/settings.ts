/**
 * What a deployment is told at synth time: where files go and how each key prefix is treated.
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
  output: resultPrefixSchema,
  errors: resultPrefixSchema,
  retry: resultPrefixSchema,
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
    onlyFields({ perJobUsd: usdSchema.optional(), perDayUsd: usdSchema.optional() }).refine(
      ({ perJobUsd, perDayUsd }) => perJobUsd !== undefined || perDayUsd !== undefined,
      refuseBudget,
    ),
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

/** What is filled into lines that leave it out; what a line says itself stands. Body parameters are filled in one by one. */
const defaultsSchema = onlyFields({
  method: z.literal('POST', 'a method is "POST": the Batch API has no other').optional(),
  url: z
    .string()
    .regex(/^\/v1\/[a-z_/]+$/, {
      error: ({ input }) => `a url is a path such as "/v1/responses"; read ${JSON.stringify(input)}`,
    })
    .optional(),
  /** Parameters of the body, such as `model`. */
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

/** What of a route whoever drops a file may say otherwise for it, if the route lets them: see options.ts. */
export const OVERRIDABLE = ['deadline', 'tiers', 'maxRounds', 'onInvalid', 'budget'] as const;

/** Settings for the keys below one prefix. The route with the longest matching prefix applies. */
const routeFields = onlyFields({
  /** Names the route in receipts and logs. */
  name: z.string().regex(/^[a-z0-9-]{1,40}$/, 'a route name has 1 to 40 of a-z, 0-9 and "-"'),
  /** Full key prefix, inside the layout's input prefix. */
  prefix: prefixSchema,
  /**
   * Name of the OpenAI API key that everything of the route is sent with, and nothing else: the stack has a secret for each
   * name. What is wrong with a key, and what its limits hold back, holds back the routes that name it and no others.
   * Default: the stack's own key, whose name is `default`.
   */
  apiKey: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9-]{0,39}$/,
      'the name of an API key has 1 to 40 of a-z, 0-9 and "-", and does not begin with "-"; the key itself goes into the ' +
        'secret that the stack makes for it',
    )
    .optional(),
  /** Globs, relative to `prefix`; a key must match one. */
  match: globsSchema.min(1).default(['**']),
  /**
   * Globs, relative to `prefix`; a key that matches one is left alone. The default skips what other tools leave while
   * they write: marker files, hidden files, and folders of such names (`_temporary/`, `_delta_log/`), and the names that
   * uploads have until they are whole and renamed (SFTP gateways, browsers, rsync).
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
  /** `quarantine` runs the good lines of a file that has bad ones; `reject` runs nothing. */
  onInvalid: z.enum(['quarantine', 'reject']).default('quarantine'),
  /** How many times a request may be tried in a batch before its last error is final. */
  maxRounds: z.int(ROUNDS).min(1, ROUNDS).max(10, ROUNDS).default(3),
  /**
   * The same for one cause alone. `unexecuted`: OpenAI did not run it in time; `transient`: it failed while it ran;
   * `lost`: no result came, though OpenAI may have charged it: by default such a request is run once more.
   */
  maxRoundsByCause: onlyFields({
    unexecuted: z.int().min(1).max(10).optional(),
    transient: z.int().min(1).max(10).optional(),
    lost: z.int().min(1).max(10).default(2),
  }).prefault({}),
  /**
   * What becomes of a file whose content (by S3's ETag) and route are those of the version right before it, if that one's job is of
   * the last 24 hours and live or succeeded: `skip` has it wait for that job as its duplicate, `run` runs it.
   */
  sameContent: z.enum(['skip', 'run']).default('skip'),
  /**
   * What becomes of a batch that OpenAI no longer knows, or does not end, long after it must have ended. `hold`: it waits
   * for a person to see, and for OpenAI to find it again; `resubmit`: its requests run again, and the receipt says that
   * they may have been charged twice.
   */
  onLost: z.enum(['hold', 'resubmit']).default('hold'),
  /** The service tiers that may be used, the cheapest first; each request begins in the first one that serves it. */
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
  deadline: deadlineSchema.optional(),
  budget: budgetSchema,
  /** Over the budget: `wait` until there is room again (a new day, a raised budget), or `refuse` what is left. */
  overBudget: z.enum(['wait', 'refuse']).default('wait'),
  /** Whether requests without a known price run all the same; they count as nothing against the budget. */
  allowUnpriced: z.boolean().default(false),
  /** Filled into lines that leave it out. Each line of such a route is written out once below `work/`. */
  defaults: defaultsSchema.optional(),
  /**
   * `by_prefix`: requests that name no `prompt_cache_key` are given one that is the same for all that begin with the same
   * 4,096 bytes of text, where the price table has a cached rate for their model in one of the `tiers`. Each line of such
   * a route is written out once below `work/`.
   */
  promptCacheKey: z
    .enum(['by_prefix'], {
      error: ({ input }) =>
        `promptCacheKey is "by_prefix", or left out: requests then have the key that they name; read ${JSON.stringify(input)}`,
    })
    .optional(),
  /** Prefixes of its own for its results: the same keys as in the layout, below these. */
  layout: resultPrefixesSchema.optional(),
  /** ARN of a topic, queue or event bus in the stack's account and region that gets the route's `JobCompleted` events. */
  notify: notifySchema.optional(),
  /** What a dropped file may bring with it in place of what stands here. Default: nothing. */
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
   * Most tokens of a model that may be enqueued at a time with one API key, by model as requests name it. Default: what OpenAI's own
   * refusals tell, beginning low (`core/admission/token-limit.ts`). OpenAI's limit holds where it is lower.
   */
  enqueuedTokens: z.record(z.string().min(1), z.int().min(1)).default({}),
  /** Most batches that are created with one API key in any 60 minutes. OpenAI takes 2,000 (guide "Batch API", 2026-09-26). */
  createsPerHour: z.int().min(1).max(2_000).default(2_000),
  /**
   * Slices of a model that are called at a time with one API key in flex, and as many in standard: each has at most 500 requests, and 32
   * calls under way.
   */
  concurrentSlices: z.int().min(1).max(100).default(8),
});
export type QuotaSettings = z.infer<typeof quotaSchema>;

/** How long OpenAI may keep a batch in a state. */
const stuckSchema = onlyFields({
  /** In `validating`, which takes seconds to minutes; then it is cancelled and its requests run in the next round. */
  validatingHours: z.number().positive().default(12),
  /** Beyond its `expires_at`, not ended; then it is cancelled, and what it finished is kept. */
  pastExpiryHours: z.number().positive().default(2),
  /** In `finalizing` or `cancelling` beyond its `expires_at`; then it is lost, see `onLost`. */
  finalizingHours: z.number().positive().default(24),
});
export type StuckLimits = z.infer<typeof stuckSchema>;

/** What becomes of files that cannot be read. */
const inputsSchema = onlyFields({
  /**
   * How long a file is tried that S3 has and does not give (archived, forbidden, a KMS key that may not be used), in hours;
   * then it is rejected as `input_unreadable`. A restore from Glacier Deep Archive takes up to 48 hours (S3 User Guide,
   * "Understanding archive retrieval options"). At most 144: inputs without a job are looked for in a week (`list-inputs.ts`).
   */
  unreadableHours: z.number().positive().max(144).default(72),
});

/** What prices budgets and receipts reckon with, beside the table that batchdrop brings. */
const pricesSchema = onlyFields({
  /** Rows that take precedence over it: agreed, newer, or another provider's. */
  rows: z.array(priceSchema).default([]),
  /** Whether requests go to a data-residency endpoint, which costs more. */
  residency: z.boolean().default(false),
});

/** The layout, every route, and limits for the whole stack. */
export const settingsSchema = onlyFields({
  layout: layoutSchema.prefault({}),
  routes: z.array(routeSchema).min(1),
  stuck: stuckSchema.prefault({}),
  inputs: inputsSchema.prefault({}),
  quota: quotaSchema.prefault({}),
  prices: pricesSchema.prefault({}),
  /**
   * Name of the CloudFormation stack whose prefixes of the bucket this one takes over, where they overlap with its own. Takes effect two
   * minutes after the new deployment has seen it; what was put before is still run by the other stack.
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
