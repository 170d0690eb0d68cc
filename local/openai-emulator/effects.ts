import { z } from 'zod';
import { patchSchema } from './json-patch.ts';

/** How a whole file can be spoilt: line ends, what is before or between lines, and its encoding. */
const REWRITES = ['crlf', 'cr', 'blank_lines', 'bom', 'latin1', 'mojibake'] as const;

/** See `REWRITES`. */
export type Rewrite = (typeof REWRITES)[number];

/** A line of an output or error file: an object, in which a missing `id` or `custom_id` is filled in, or raw bytes. */
const rawLineSchema = z.union([z.strictObject({ base64: z.base64() }), z.record(z.string(), z.json())]);

/** See `rawLineSchema`. */
export type RawLine = z.output<typeof rawLineSchema>;

/** Statuses of the Batch object, as the emulator knows them. */
const batchStatus = z.enum([
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
]);

/** Statuses of the Response object. */
const responseStatus = z.enum(['queued', 'in_progress', 'completed', 'failed', 'cancelled', 'incomplete']);

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
export const effectSchema = z.discriminatedUnion('kind', [
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
    /** Appears in the answer as its UTF-8 bytes read as Latin-1. */
    text: z.string().default('[emulated] Zo\u00eb\u2019s caf\u00e9 \u2014 \u65e5\u672c'),
  }),
  z.strictObject({ kind: z.literal('line.cached'), tokens: z.number().int().min(0) }),
  z.strictObject({ kind: z.literal('line.tier'), tier: z.string() }),
  /** The answer names another model. */
  z.strictObject({ kind: z.literal('line.model'), model: z.string() }),
  z.strictObject({ kind: z.literal('line.resource_unavailable') }),
  z.strictObject({
    kind: z.literal('line.no_flex'),
    /** What the refusal names: the tier in words, the argument in words, or the argument as `param`. */
    as: z.enum(['flex', 'argument', 'param']).default('flex'),
  }),
  z.strictObject({
    kind: z.literal('line.lines'),
    /** The lines in the place of the emulator's own: none, one or several. */
    lines: z.array(rawLineSchema),
    /** The file that has them; default the one that the answer belongs in. */
    file: z.enum(['output', 'error']).optional(),
  }),
  z.strictObject({
    kind: z.literal('line.patch'),
    /** Over the whole line: `{ id, custom_id, response: { status_code, request_id, body }, error }`. */
    operations: patchSchema,
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
    /** `half`: the first half of its lines, as if it were whole. */
    as: z.enum(['not_found', 'empty', 'empty_and_sized', 'half']).default('not_found'),
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
  z.strictObject({
    kind: z.literal('http.hang'),
    /** Before the effect, after it, or in the middle of the body of the answer. */
    when: z.enum(['before', 'after', 'body']).default('before'),
  }),
  z.strictObject({
    kind: z.literal('http.delay'),
    /** On the emulator's clock, between the effect and the answer. */
    seconds: z.number().min(0),
  }),
  z.strictObject({
    kind: z.literal('http.patch'),
    /** Over the JSON body of the answer. */
    operations: patchSchema,
  }),
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
  // page: when a list of batches or files is read
  z.strictObject({
    kind: z.literal('page.repeat'),
    /** So many items of the page before come again. */
    items: z.number().int().min(1).default(1),
  }),
  z.strictObject({
    kind: z.literal('page.skip'),
    /** So many items are left out in front of the page. */
    items: z.number().int().min(1).default(1),
  }),
  z.strictObject({ kind: z.literal('page.empty') }),
  z.strictObject({ kind: z.literal('page.cycle') }),
  // batch: decided once, when the batch is created
  z.strictObject({ kind: z.literal('batch.stuck'), state: heldState, seconds: z.number().min(0).optional() }),
  z.strictObject({
    kind: z.literal('batch.fail'),
    errors: z.array(batchErrorSchema),
    /** The state in which it fails. */
    state: z.enum(['validating', 'in_progress', 'finalizing']).default('validating'),
    /** How many of its requests are executed first; default all. None in `validating`. */
    done: z.number().int().min(0).optional(),
    /** Whether what was executed is in an output and an error file. */
    files: z.boolean().default(true),
  }),
  z.strictObject({
    kind: z.literal('batch.files_named_late'),
    /** After its end. */
    seconds: z.number().min(0),
    /** Default both. */
    file: z.enum(['output', 'error']).optional(),
  }),
  z.strictObject({
    kind: z.literal('batch.patch'),
    /** Over the Batch object, wherever it is shown. */
    operations: patchSchema,
    /** In these states only; default in all. */
    while: z.array(batchStatus).optional(),
  }),
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
  // response: decided once, when a background response is created
  z.strictObject({
    kind: z.literal('response.refuse'),
    /** Nothing is made. */
    status: z.number().int().min(400).max(599),
    headers: z.record(z.string(), z.string()).default({}),
    body: z.unknown().optional(),
  }),
  z.strictObject({
    kind: z.literal('response.lose_create'),
    /** It is made and runs, but its create is answered by a reset connection, or never. */
    as: z.enum(['reset', 'hang']).default('reset'),
  }),
  z.strictObject({
    kind: z.literal('response.stuck'),
    state: z.enum(['queued', 'in_progress']),
    seconds: z.number().min(0).optional(),
  }),
  z.strictObject({
    kind: z.literal('response.duration'),
    queued_seconds: z.number().min(0).optional(),
    in_progress_seconds: z.number().min(0).optional(),
  }),
  z.strictObject({
    kind: z.literal('response.miss_window'),
    /** It ends so long after its window. */
    seconds: z.number().min(0).default(3600),
  }),
  z.strictObject({
    kind: z.literal('response.fail'),
    code: z.string().default('server_error'),
    message: z.string().default('An error occurred while processing your request.'),
    billed: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal('response.late'),
    /** 404 so long after its create. */
    seconds: z.number().min(0),
  }),
  z.strictObject({
    kind: z.literal('response.vanish'),
    since: z.enum(['create', 'end']).default('end'),
    after_seconds: z.number().min(0).default(0),
  }),
  z.strictObject({
    kind: z.literal('response.cancel_race'),
    /** Default: the cancel finds it completed. Else it says cancelled, and so long after that it is completed. */
    seconds: z.number().min(0).optional(),
  }),
  z.strictObject({
    kind: z.literal('response.cancel_billing'),
    /** Of one that is cancelled while in_progress. */
    as: z.enum(['billed', 'unbilled']),
  }),
  z.strictObject({
    kind: z.literal('response.patch'),
    /** Over the Response object, wherever it is shown. */
    operations: patchSchema,
    /** In these states only; default in all. */
    while: z.array(responseStatus).optional(),
  }),
  // webhook: when a batch or a background response has ended and an event is due
  z.strictObject({ kind: z.literal('webhook.lose') }),
  z.strictObject({ kind: z.literal('webhook.duplicate'), after_seconds: z.number().min(0).default(0) }),
  z.strictObject({ kind: z.literal('webhook.delay'), seconds: z.number().min(0) }),
  z.strictObject({ kind: z.literal('webhook.bad_signature') }),
  z.strictObject({
    kind: z.literal('webhook.foreign'),
    /** A second event, rightly signed, about this id; default one that nobody made. */
    id: z.string().optional(),
  }),
  z.strictObject({ kind: z.literal('webhook.old_timestamp'), seconds: z.number().int().default(3600) }),
]);

/** What a rule does, with defaults filled in. */
export type Effect = z.output<typeof effectSchema>;
/** `line`, `file`, `http`, `page`, `batch`, `response` or `webhook`: when an effect is asked for. */
export type Scope = Effect['kind'] extends infer Kind
  ? Kind extends `${infer S}.${string}`
    ? S
    : never
  : never;
/** The effects of one scope. */
export type EffectOf<S extends Scope> = Extract<Effect, { kind: `${S}.${string}` }>;

/** The part of a kind before the dot. */
export const scopeOf = (effect: Effect): Scope => effect.kind.slice(0, effect.kind.indexOf('.')) as Scope;
