import { z } from 'zod';
import { type Effect, type EffectOf, effectSchema, type Scope, scopeOf } from './effects.ts';
import { hexOf, randomOf } from './ids.ts';
import { WINDOWS } from './windows.ts';

const pattern = z.string().refine(isPattern, 'expected a regular expression');

const route = z
  .string()
  .regex(/^(GET|POST|DELETE) \/v1\//, 'expected a method and a path, such as "POST /v1/batches"');

/** The facts that are known when effects of a scope are asked for; a rule that matches another could never fire. */
const FACTS: Readonly<Record<Scope, readonly string[]>> = {
  line: [
    ...['custom_id', 'line', 'model', 'batch', 'endpoint', 'metadata', 'via', 'tier', 'route'],
    ...['response', 'window'],
  ],
  file: ['model', 'batch', 'endpoint', 'metadata'],
  http: ['route', 'custom_id', 'model', 'batch', 'endpoint', 'metadata', 'file', 'key', 'response', 'window'],
  page: ['route'],
  batch: ['model', 'batch', 'endpoint', 'metadata'],
  response: ['custom_id', 'model', 'metadata', 'response', 'window'],
  webhook: ['custom_id', 'model', 'batch', 'endpoint', 'metadata', 'event', 'response', 'window'],
};

const ruleSchema = z
  .strictObject({
    /** Why the rule is there; for readers. */
    about: z.string().optional(),
    /** All that are given must hold. */
    match: z
      .strictObject({
        route: route.optional(),
        custom_id: pattern.optional(),
        line: z.union([z.number().int(), z.array(z.number().int())]).optional(),
        model: pattern.optional(),
        batch: z.union([z.number().int(), z.array(z.number().int())]).optional(),
        endpoint: z.string().optional(),
        metadata: z.record(z.string(), pattern).optional(),
        response: z.union([z.number().int(), z.array(z.number().int())]).optional(),
        window: z.union([z.enum(WINDOWS), z.array(z.enum(WINDOWS))]).optional(),
        via: z.enum(['batch', 'sync', 'background']).optional(),
        tier: pattern.optional(),
        key: pattern.optional(),
        event: pattern.optional(),
        file: z.enum(['output', 'error']).optional(),
      })
      .default({}),
    /** Virtual time since the emulator first started on its folder. */
    from_seconds: z.number().min(0).default(0),
    until_seconds: z.number().min(0).optional(),
    times: z.number().int().min(0).optional(),
    skip: z.number().int().min(0).default(0),
    per: z.enum(['custom_id', 'batch', 'response']).optional(),
    share: z.number().min(0).max(1).default(1),
    effect: effectSchema,
  })
  .superRefine(({ match, effect }, context) => {
    const scope = scopeOf(effect);
    for (const [fact, asked] of Object.entries(match)) {
      if (asked === undefined || FACTS[scope].includes(fact)) continue;
      context.addIssue({
        code: 'custom',
        path: ['match', fact],
        message: `not known when a ${scope} effect is decided: ${effect.kind} can match ${FACTS[scope].join(', ')}`,
      });
    }
  });

/** A list of rules, with their defaults filled in. */
export const rulesSchema = z.array(ruleSchema);

/** One rule as written by a test or in a faults file (see README.md). */
export type FaultRule = z.input<typeof ruleSchema>;
type Rule = z.output<typeof ruleSchema>;

/** What an effect is asked for: the facts that rules can match. */
export type Subject = {
  /** `POST /v1/files` */
  route?: string;
  custom_id?: string | null;
  /** 1 for the first line of a batch's input. */
  line?: number;
  /** The model as sent. */
  model?: string | null;
  /** 1 for the first batch ever created. */
  batch?: number;
  endpoint?: string;
  metadata?: Readonly<Record<string, string>> | null;
  via?: 'batch' | 'sync' | 'background';
  /** 1 for the first background response ever created. */
  response?: number;
  /** The completion window of a background response. */
  window?: string;
  /** The service tier as sent. */
  tier?: string | null;
  /** The API key of the caller. */
  key?: string | null;
  /** The type of a webhook event. */
  event?: string;
  /** When it happens, in ms; default the present. */
  atMs?: number;
  /** Which file is being written or fetched, for effects on one of the two. */
  file?: 'output' | 'error';
};

/** The rules and how often each has fired. */
export type Faults = {
  /**
   * The effects of this scope for this subject, in the order of the rules; counts as fired.
   * @param limit at most this many (the rest does not count as fired)
   */
  fire<S extends Scope>(scope: S, subject: Subject, limit?: number): EffectOf<S>[];
  /** Replaces the rules. @throws ZodError naming what is wrong */
  replace(rules: readonly FaultRule[]): void;
};

/**
 * The one evaluator of fault rules.
 * @param rules checked and given their defaults here
 * @param seed decides which subjects are in a rule's `share`
 * @param seen how often each counter has matched before (from the journal)
 * @param onSeen called with each new count, to be kept across restarts
 * @param secondsInto how many seconds after the emulator's first start a moment is; the present when none is given
 * @throws ZodError naming what is wrong in the rules
 */
export function createFaults(
  rules: readonly FaultRule[],
  seed: string,
  seen: Map<string, number>,
  onSeen: (counter: string, count: number) => void,
  secondsInto: (atMs?: number) => number,
): Faults {
  let compiled = compile(rules);
  let draws = 0;
  return {
    fire: (scope, subject, limit = Number.POSITIVE_INFINITY) => {
      const effects: Effect[] = [];
      for (const { rule, id, scope: ruleScope, holds } of compiled) {
        if (ruleScope !== scope || effects.length >= limit || !holds(subject)) continue;
        const seconds = secondsInto(subject.atMs);
        if (seconds < rule.from_seconds || seconds >= (rule.until_seconds ?? Number.POSITIVE_INFINITY))
          continue;
        if (rule.share < 1) {
          // The fate of a batch line or a background response is fixed by its name; calls that look alike are drawn one by one.
          const isNamed = subject.batch !== undefined && typeof subject.custom_id === 'string';
          const isResponse = subject.response !== undefined && scope !== 'http';
          const name = isResponse ? `response ${subject.response}` : `${subject.batch} ${subject.custom_id}`;
          const drawn = isNamed || isResponse ? name : `#${draws++}`;
          if (randomOf(seed, id, drawn)() >= rule.share) continue;
        }
        if (rule.times !== undefined || rule.skip > 0) {
          const counter = rule.per === undefined ? id : `${id}:${String(subject[rule.per])}`;
          const count = seen.get(counter) ?? 0;
          if (count >= rule.skip + (rule.times ?? Number.POSITIVE_INFINITY)) continue;
          seen.set(counter, count + 1);
          onSeen(counter, count + 1);
          if (count < rule.skip) continue;
        }
        effects.push(rule.effect);
      }
      return effects as EffectOf<typeof scope>[];
    },
    replace: (next) => {
      compiled = compile(next);
    },
  };
}

function compile(rules: readonly FaultRule[]) {
  return rulesSchema.parse(rules).map((rule, index) => ({
    rule,
    // The same rule in the same place keeps its counts over a restart; an edited rule begins again.
    id: hexOf(12, index, JSON.stringify(rule)),
    scope: scopeOf(rule.effect),
    holds: matcher(rule),
  }));
}

function matcher({ match, effect }: Rule): (subject: Subject) => boolean {
  const customId = match.custom_id === undefined ? undefined : new RegExp(match.custom_id, 'u');
  const model = match.model === undefined ? undefined : new RegExp(match.model, 'u');
  const event = match.event === undefined ? undefined : new RegExp(match.event, 'u');
  const key = match.key === undefined ? undefined : new RegExp(match.key, 'u');
  const tier = match.tier === undefined ? undefined : new RegExp(match.tier, 'u');
  const route = match.route === undefined ? undefined : routePattern(match.route);
  const batches = match.batch === undefined ? undefined : [match.batch].flat();
  const lines = match.line === undefined ? undefined : [match.line].flat();
  const responses = match.response === undefined ? undefined : [match.response].flat();
  const windows = match.window === undefined ? undefined : [match.window].flat();
  const metadata = Object.entries(match.metadata ?? {}).map(
    ([key, text]) => [key, new RegExp(text, 'u')] as const,
  );
  return (subject) =>
    (route === undefined || route.test(subject.route ?? '')) &&
    (customId === undefined || (typeof subject.custom_id === 'string' && customId.test(subject.custom_id))) &&
    (model === undefined || (typeof subject.model === 'string' && model.test(subject.model))) &&
    (batches === undefined || (subject.batch !== undefined && batches.includes(subject.batch))) &&
    (lines === undefined || (subject.line !== undefined && lines.includes(subject.line))) &&
    (responses === undefined || (subject.response !== undefined && responses.includes(subject.response))) &&
    (windows === undefined || windows.some((window) => window === subject.window)) &&
    (match.endpoint === undefined || match.endpoint === subject.endpoint) &&
    (match.via === undefined || match.via === subject.via) &&
    (tier === undefined || (typeof subject.tier === 'string' && tier.test(subject.tier))) &&
    (key === undefined || (typeof subject.key === 'string' && key.test(subject.key))) &&
    (event === undefined || event.test(subject.event ?? '')) &&
    (match.file === undefined || match.file === subject.file) &&
    (scopeOf(effect) !== 'file' || ('file' in effect && effect.file === subject.file)) &&
    metadata.every(([key, expected]) => expected.test(subject.metadata?.[key] ?? ''));
}

/** `GET /v1/files/*`: a star matches one path segment. */
function routePattern(route: string): RegExp {
  const escaped = route.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/ ]+');
  return new RegExp(`^${escaped}$`);
}

function isPattern(text: string): boolean {
  try {
    new RegExp(text, 'u');
    return true;
  } catch {
    return false;
  }
}
