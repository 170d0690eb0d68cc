import { z } from 'zod';
import { hexOf, randomOf } from './ids.ts';

/** How a whole file can be spoilt: line ends, what stands before or between lines, and its encoding. */
const REWRITES = ['crlf', 'cr', 'blank_lines', 'bom', 'latin1', 'mojibake'] as const;

/** See `REWRITES`. */
export type Rewrite = (typeof REWRITES)[number];

/** The states in which a batch can be held. */
const heldState = z.enum(['validating', 'in_progress', 'finalizing', 'cancelling']);

const batchErrorSchema = z.strictObject({
  code: z.string(),
  message: z.string(),
  param: z.string().nullable().default(null),
  line: z.number().int().nullable().default(null),
});

/**
 * What can go wrong, one entry per kind; the part of `kind` before the dot is the scope, the moment at which it is
 * asked for. A new fault is one entry here and one line where its scope is applied.
 */
const effectSchema = z.discriminatedUnion('kind', [
  // line: while one request is executed, in a batch or by a synchronous call
  z.strictObject({
    kind: z.literal('line.status'),
    status: z.number().int(),
    error: z
      .strictObject({
        message: z.string(),
        type: z.string().default('invalid_request_error'),
        param: z.string().nullable().default(null),
        code: z.string().nullable().default(null),
      })
      .optional(),
  }),
  z.strictObject({ kind: z.literal('line.error'), code: z.string(), message: z.string().default('') }),
  z.strictObject({ kind: z.literal('line.missing') }),
  z.strictObject({
    kind: z.literal('line.duplicate'),
    /** The second line: the same, one with another text, or an error line with status 500. */
    as: z.enum(['same', 'other_answer', 'error']).default('same'),
  }),
  z.strictObject({ kind: z.literal('line.foreign_id'), custom_id: z.string() }),
  z.strictObject({ kind: z.literal('line.incomplete'), reason: z.string().default('max_output_tokens') }),
  z.strictObject({ kind: z.literal('line.length') }),
  z.strictObject({
    kind: z.literal('line.text'),
    text: z.string().default('[emulated] a\u2028b\u2029c\u0085d'),
  }),
  z.strictObject({
    kind: z.literal('line.mojibake'),
    /** Stands in the answer as its UTF-8 bytes read as Latin-1. */
    text: z.string().default('[emulated] Zo\u00eb\u2019s caf\u00e9 \u2014 \u65e5\u672c'),
  }),
  z.strictObject({ kind: z.literal('line.cached'), tokens: z.number().int().min(0) }),
  z.strictObject({ kind: z.literal('line.tier'), tier: z.string() }),
  z.strictObject({ kind: z.literal('line.resource_unavailable') }),
  z.strictObject({
    kind: z.literal('line.no_flex'),
    /** What the refusal names: the tier in words, the argument in words, or the argument as `param`. */
    as: z.enum(['flex', 'argument', 'param']).default('flex'),
  }),
  // file: when an output or error file is written
  z.strictObject({
    kind: z.literal('file.cut'),
    file: z.enum(['output', 'error']).default('output'),
    at: z.enum(['newline', 'line', 'character']).default('line'),
  }),
  z.strictObject({
    kind: z.literal('file.rewrite'),
    file: z.enum(['output', 'error']).default('output'),
    as: z.enum(REWRITES),
  }),
  z.strictObject({
    kind: z.literal('file.late'),
    file: z.enum(['output', 'error']).default('output'),
    seconds: z.number().min(0),
    as: z.enum(['not_found', 'empty', 'empty_and_sized']).default('not_found'),
  }),
  z.strictObject({
    kind: z.literal('file.vanish'),
    file: z.enum(['output', 'error']).default('output'),
    after_seconds: z.number().min(0).default(0),
  }),
  // http: when a request arrives
  z.strictObject({
    kind: z.literal('http.status'),
    status: z.number().int().min(200).max(599),
    headers: z.record(z.string(), z.string()).default({}),
    body: z.unknown().optional(),
    /** Answer and close before the request body is read. */
    early: z.boolean().default(false),
  }),
  z.strictObject({ kind: z.literal('http.reset'), when: z.enum(['before', 'after']).default('before') }),
  z.strictObject({ kind: z.literal('http.truncate'), keep_bytes: z.number().int().min(0) }),
  z.strictObject({ kind: z.literal('http.hang'), when: z.enum(['before', 'after']).default('before') }),
  z.strictObject({
    kind: z.literal('http.slow'),
    chunk_bytes: z.number().int().min(1).default(1024),
    /** In real time, before each chunk. */
    pause_ms: z.number().min(0),
  }),
  z.strictObject({
    kind: z.literal('http.gzip'),
    /** Announce the packed length; default none is announced, as a proxy that packs on the way cannot know it. */
    content_length: z.boolean().default(false),
    /** Break off after so many packed bytes. */
    keep_bytes: z.number().int().min(0).optional(),
  }),
  // batch: decided once, when the batch is created
  z.strictObject({ kind: z.literal('batch.stuck'), state: heldState, seconds: z.number().min(0).optional() }),
  z.strictObject({ kind: z.literal('batch.fail'), errors: z.array(batchErrorSchema) }),
  z.strictObject({
    kind: z.literal('batch.expire'),
    done: z.number().int().min(0),
    after_seconds: z.number().min(0).default(86_400),
  }),
  z.strictObject({ kind: z.literal('batch.overrun'), seconds: z.number().min(0) }),
  z.strictObject({ kind: z.literal('batch.no_expiry') }),
  z.strictObject({ kind: z.literal('batch.token_limit_exceeded'), limit: z.number().int().min(0) }),
  z.strictObject({
    kind: z.literal('batch.vanish'),
    after_reads: z.number().int().min(0).default(0),
    after_seconds: z.number().min(0).default(0),
  }),
  z.strictObject({ kind: z.literal('batch.duration'), seconds: z.number().min(0) }),
  z.strictObject({
    kind: z.literal('batch.counts'),
    total: z.number().int().optional(),
    completed: z.number().int().optional(),
    failed: z.number().int().optional(),
  }),
  z.strictObject({ kind: z.literal('batch.counts_backwards') }),
  z.strictObject({ kind: z.literal('batch.cancelling'), seconds: z.number().min(0) }),
  z.strictObject({ kind: z.literal('batch.leak_tokens'), seconds: z.number().min(0).optional() }),
  z.strictObject({ kind: z.literal('batch.lose_finished') }),
  z.strictObject({ kind: z.literal('batch.unlisted'), seconds: z.number().min(0) }),
  z.strictObject({ kind: z.literal('batch.stale_in_list'), seconds: z.number().min(0) }),
  // webhook: when a batch has ended and an event is due
  z.strictObject({ kind: z.literal('webhook.lose') }),
  z.strictObject({ kind: z.literal('webhook.duplicate'), after_seconds: z.number().min(0).default(0) }),
  z.strictObject({ kind: z.literal('webhook.delay'), seconds: z.number().min(0) }),
  z.strictObject({ kind: z.literal('webhook.bad_signature') }),
  z.strictObject({ kind: z.literal('webhook.old_timestamp'), seconds: z.number().int().default(3600) }),
]);

const pattern = z.string().refine(isPattern, 'expected a regular expression');

const route = z
  .string()
  .regex(/^(GET|POST|DELETE) \/v1\//, 'expected a method and a path, such as "POST /v1/batches"');

/** The facts that are known when effects of a scope are asked for; a rule that matches another could never fire. */
const FACTS: Readonly<Record<Scope, readonly string[]>> = {
  line: ['custom_id', 'model', 'batch', 'endpoint', 'metadata', 'via', 'tier', 'route'],
  file: ['model', 'batch', 'endpoint', 'metadata'],
  http: ['route', 'model', 'batch', 'endpoint', 'metadata', 'file', 'key'],
  batch: ['model', 'batch', 'endpoint', 'metadata'],
  webhook: ['model', 'batch', 'endpoint', 'metadata', 'event'],
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
        model: pattern.optional(),
        batch: z.union([z.number().int(), z.array(z.number().int())]).optional(),
        endpoint: z.string().optional(),
        metadata: z.record(z.string(), pattern).optional(),
        via: z.enum(['batch', 'sync']).optional(),
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
    per: z.enum(['custom_id', 'batch']).optional(),
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

/** What a rule does, with defaults filled in. */
type Effect = z.output<typeof effectSchema>;
/** `line`, `file`, `http`, `batch` or `webhook`: when an effect is asked for. */
type Scope = Effect['kind'] extends infer Kind ? (Kind extends `${infer S}.${string}` ? S : never) : never;
/** The effects of one scope. */
export type EffectOf<S extends Scope> = Extract<Effect, { kind: `${S}.${string}` }>;

/** What an effect is asked for: the facts that rules can match. */
export type Subject = {
  /** `POST /v1/files` */
  route?: string;
  custom_id?: string | null;
  /** The model as sent. */
  model?: string | null;
  /** 1 for the first batch ever created. */
  batch?: number;
  endpoint?: string;
  metadata?: Readonly<Record<string, string>> | null;
  via?: 'batch' | 'sync';
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
 * @param onSeen told of each new count, to be kept across restarts
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
          // A batch line's fate is fixed by its name; calls that look alike are drawn one by one.
          const isNamed = subject.batch !== undefined && typeof subject.custom_id === 'string';
          const drawn = isNamed ? `${subject.batch} ${subject.custom_id}` : `#${draws++}`;
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

const scopeOf = (effect: Effect): Scope => effect.kind.slice(0, effect.kind.indexOf('.')) as Scope;

function compile(rules: readonly FaultRule[]) {
  return rulesSchema.parse(rules).map((rule, index) => ({
    rule,
    // The same rule in the same place keeps its counts over a restart; an edited rule begins anew.
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
  const metadata = Object.entries(match.metadata ?? {}).map(
    ([key, text]) => [key, new RegExp(text, 'u')] as const,
  );
  return (subject) =>
    (route === undefined || route.test(subject.route ?? '')) &&
    (customId === undefined || (typeof subject.custom_id === 'string' && customId.test(subject.custom_id))) &&
    (model === undefined || (typeof subject.model === 'string' && model.test(subject.model))) &&
    (batches === undefined || (subject.batch !== undefined && batches.includes(subject.batch))) &&
    (match.endpoint === undefined || match.endpoint === subject.endpoint) &&
    (match.via === undefined || match.via === subject.via) &&
    (tier === undefined || (typeof subject.tier === 'string' && tier.test(subject.tier))) &&
    (key === undefined || (typeof subject.key === 'string' && key.test(subject.key))) &&
    (event === undefined || event.test(subject.event ?? '')) &&
    (match.file === undefined || match.file === subject.file) &&
    (scopeOf(effect) !== 'file' || ('file' in effect && effect.file === subject.file)) &&
    metadata.every(([key, expected]) => expected.test(subject.metadata?.[key] ?? ''));
}

/** `GET /v1/files/*`: a star stands for one path segment. */
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
