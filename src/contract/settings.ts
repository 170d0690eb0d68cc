/**
 * The settings of a deployment, read at synth time: where files go and how each key prefix is treated. The docstrings
 * of the fields are the meanings in docs/settings.md (`npm run docs:settings`).
 *
 * The construct validates it, gives it to the functions as a file (`settings-file.ts`), and a job
 * freezes the route it was created under, so that a later deployment changes nothing for work in flight.
 */
import * as z from 'zod';
import { DEFAULT_API_KEY } from './api-key.ts';
import { DATA_REGION_EXPECTED, DATA_REGIONS } from './data-residency.ts';
import { type Layout, layoutSchema, ownPrefixes } from './layout.ts';
import { readNotifyArn } from './notify.ts';
import { onlyFields } from './only-fields.ts';
import { pricesSchema as priceRowsSchema } from './prices.ts';
import { quotaSchema } from './quota.ts';
import { IGNORED_DROPS, type Route, routeSchema } from './route.ts';
import { webhooksSchema } from './webhooks.ts';

/** How long OpenAI may keep a batch in a state. */
const stuckSchema = onlyFields({
  /**
   * Hours in `validating`, which normally takes minutes; then the batch is cancelled and its requests run in the next
   * round.
   */
  validatingHours: z.number().positive().default(12),
  /** Hours after its `expires_at` without an end; then the batch is cancelled, and what it finished is kept. */
  pastExpiryHours: z.number().positive().default(2),
  /** Hours in `finalizing` or `cancelling` after its `expires_at`; then the batch counts as lost, see `onLost`. */
  finalizingHours: z.number().positive().default(24),
});
export type StuckLimits = z.infer<typeof stuckSchema>;

/** What becomes of files that cannot be read or are not run. */
const inputsSchema = onlyFields({
  /**
   * Hours for which reading a file is tried again when S3 refuses it (archived, forbidden, a KMS key that may not be
   * used); then the file is rejected as `input_unreadable`. A restore from Glacier Deep Archive takes up to 48 hours
   * (S3 User Guide, "Understanding archive retrieval options").
   */
  unreadableHours: z.number().positive().max(144).default(72),
  /**
   * What tells of a drop that is not run and has no receipt (no route takes its key, a glob ignores it, options that
   * came after their file, a file that was removed at once), beside the log: `list` keeps it for `batchdrop jobs
   * --ignored`, each key once a day, for 14 days; `event` also sends a `DropIgnored` event for each drop; `off` tells
   * nothing. A drop costs one DynamoDB write (two where its key is longer than some 800 bytes), also where its key is
   * listed already: $0.63 for a million; its event $1 for a million.
   */
  ignoredDrops: z.enum(IGNORED_DROPS).default('list'),
});

/** What prices budgets and receipts reckon with, beside the table that batchdrop brings. */
const pricesSchema = onlyFields({
  /**
   * Price rows that take precedence over the built-in table, in USD per million tokens. See [prices](cost.md#prices).
   */
  rows: priceRowsSchema.default([]),
});

/** The layout, every route, and limits for the whole stack. */
export const settingsSchema = onlyFields({
  /** Prefixes of the bucket. None may overlap with another. */
  layout: layoutSchema.prefault({}),
  /** Settings for the keys below one prefix each; at least one route. Names and prefixes differ. */
  routes: z.array(routeSchema).min(1),
  /** How long OpenAI may keep a batch in a state. */
  stuck: stuckSchema.prefault({}),
  /** For files that cannot be read or are not run. */
  inputs: inputsSchema.prefault({}),
  /** Limits for the use of OpenAI's quota, each for one API key; other applications may share it. */
  quota: quotaSchema.prefault({}),
  /** Prices for budgets and receipts. */
  prices: pricesSchema.prefault({}),
  /** Left out: no webhooks; the poll alone finds out what has ended. See [webhooks](reliability.md#webhooks). */
  webhooks: webhooksSchema.optional(),
  /**
   * By the name of an API key (`default` is the stack's own): the region in which OpenAI keeps the data of its project.
   * Requests with that key go to `https://<region>.api.openai.com/v1` and are reckoned with what data residency costs
   * more. Not together with another base URL. Change it only while nothing of that key is on its way.
   */
  dataResidency: z.record(z.string(), z.enum(DATA_REGIONS, DATA_REGION_EXPECTED)).default({}),
  /**
   * Name of the CloudFormation stack whose prefixes of the bucket this one takes over, where they overlap with its
   * own. Takes effect two minutes after the first poll of the new deployment; files that were put before are run by
   * the other stack.
   */
  takeOver: z
    .string()
    .regex(
      /^[A-Za-z][A-Za-z0-9-]{0,127}$/,
      'takeOver is the name of a CloudFormation stack, such as "batchdrop"',
    )
    .optional(),
}).superRefine(({ layout, routes, webhooks, dataResidency }, context) => {
  const problems = [
    ...findSettingsProblems(layout, routes),
    ...findWebhookProblems(webhooks?.apiKeys ?? [], apiKeyNamesOf({ routes })),
    ...findResidencyProblems(routes, dataResidency),
  ];
  for (const problem of problems) context.addIssue({ code: 'custom', message: problem });
});
/** Settings with the defaults filled in; docs/settings.md has all of them. */
export type Settings = z.infer<typeof settingsSchema>;

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

function findWebhookProblems(named: readonly string[], apiKeys: readonly string[]): string[] {
  const problems = named
    .filter((name) => !apiKeys.includes(name))
    .map(
      (name) =>
        `webhooks names the API key "${name}", which no route has: name one of ${apiKeys.map((each) => `"${each}"`).join(', ')}`,
    );
  const again = named.find((name, index) => named.indexOf(name) !== index);
  return again === undefined ? problems : [...problems, `webhooks names the API key "${again}" twice`];
}

function findResidencyProblems(routes: readonly Route[], residency: object): string[] {
  const names = apiKeyNamesOf({ routes });
  return Object.keys(residency)
    .filter((name) => !names.includes(name))
    .map(
      (name) =>
        `dataResidency names the API key "${name}", which no route is sent with; the API keys are ${names.join(', ')}`,
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
