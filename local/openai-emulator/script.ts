import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { BackgroundSettings, Retention } from './background-lifecycle.ts';
import type { Shapes, Timings } from './batch-lifecycle.ts';
import { type FaultRule, rulesSchema } from './faults.ts';
import { CHECKS } from './request-checks.ts';

const count = z.number().int().min(0);
const ms = z.number().min(0);
const missingId = z.enum(['null', 'empty_string', 'absent', 'zero_byte_file']);

const limitsSchema = z.strictObject({
  fileBytes: count.optional(),
  batchFileBytes: count.optional(),
  requestsPerBatch: count.optional(),
  embeddingInputs: count.optional(),
  errorsReported: count.optional(),
  batchesPerHour: count.optional(),
  fileUploadsPerMinute: count.optional(),
  requestsPerMinute: z.number().min(1).optional(),
  tokensPerMinute: z.number().min(1).optional(),
  enqueuedTokens: z.union([count, z.record(z.string(), count)]).optional(),
});

const timingsSchema = z.strictObject({
  validatingMs: ms.optional(),
  startMs: ms.optional(),
  perRequestMs: ms.optional(),
  perFurtherRequestMs: ms.optional(),
  finalizingMs: ms.optional(),
  cancellingMs: ms.optional(),
  fileReadyMs: ms.optional(),
} satisfies Record<keyof Timings, z.ZodType>);

const shapesSchema = z.strictObject({
  noErrorFile: missingId.optional(),
  noOutputFile: missingId.optional(),
  noValue: z.enum(['null', 'absent']).optional(),
  statuses: z.enum(['lower', 'upper', 'capital']).optional(),
  listOrder: z.enum(['newest_first', 'oldest_first', 'by_id']).optional(),
  hasMore: z.enum(['shown', 'absent']).optional(),
  outputOrder: z.enum(['shuffled', 'input']).optional(),
} satisfies Record<keyof Shapes, z.ZodType>);

const retention = z.enum(['standard', 'mam', 'zdr'] satisfies Retention[]);

const backgroundSchema = z.strictObject({
  queuedShare: z.number().min(0).optional(),
  runShare: z.number().min(0).optional(),
  capacity: count.optional(),
  missedWindow: z.enum(['standard', 'discount']).optional(),
  cancelledInProgress: z.enum(['billed', 'unbilled']).optional(),
  cancelledQueued: z.enum(['null', 'zeros']).optional(),
  retention: z.union([retention, z.record(z.string(), retention)]).optional(),
} satisfies Record<keyof BackgroundSettings, z.ZodType>);

const scriptSchema = z.strictObject({
  about: z.string().optional(),
  rules: rulesSchema.optional(),
  limits: limitsSchema.optional(),
  timings: timingsSchema.optional(),
  shapes: shapesSchema.optional(),
  background: backgroundSchema.optional(),
  lenient: z.union([z.boolean(), z.array(z.enum(CHECKS))]).optional(),
  webhooks: z
    .array(
      z.strictObject({
        url: z.url({ protocol: /^https?$/ }),
        secret: z.string().min(1),
        project: z.string().optional(),
        events: z.array(z.string()).optional(),
        timestamps: z.enum(['machine', 'clock']).optional(),
      }),
    )
    .optional(),
  apiKeys: z.union([z.array(z.string()), z.record(z.string(), z.string())]).optional(),
});

/**
 * Everything that a run is scripted by: what a faults file holds. `about` is for readers; the rest are the options of
 * `startEmulator` of the same names. Any result line can be scripted by `line.lines` and `line.patch`, any Batch
 * object by `batch.patch`, any other JSON answer by `http.patch`; README.md lists all kinds, `faults/` has an example
 * of each.
 */
export type Script = Omit<z.input<typeof scriptSchema>, 'rules'> & { rules?: readonly FaultRule[] };

/** @throws an error that says where in the script something is wrong, and what would be right */
export function checkScript(script: unknown): Script {
  const parsed = scriptSchema.safeParse(script);
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error), { cause: parsed.error });
  // What was given, not what was parsed: a rule is known by its text, which must not change with new defaults.
  return script as Script;
}

/** The script in a faults file. @throws an error naming the file, the place in it and what is wrong there */
export function readScript(path: string): Script {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Error(`faults file ${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  try {
    return checkScript(JSON.parse(text));
  } catch (cause) {
    const place = cause instanceof SyntaxError ? placeOf(text) : '';
    throw new Error(
      `faults file ${path}${place}: ${(cause as Error).message}\nexpected {"rules": [...]} as in local/openai-emulator/README.md`,
      { cause },
    );
  }
}

/**
 * `:LINE:COLUMN` where JSON.parse gave up: V8 does not always say, so the longest beginning that may continue is
 * sought.
 */
function placeOf(text: string): string {
  let good = 0;
  let bad = text.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (mayGoOn(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  const before = text.slice(0, good).split('\n');
  return `:${before.length}:${before.at(-1)!.length + 1}`;
}

/** Whether a text is the beginning of JSON. */
function mayGoOn(beginning: string): boolean {
  try {
    JSON.parse(beginning);
    return true;
  } catch (error) {
    const { message } = error as Error;
    const position = /at position (\d+)/.exec(message)?.[1];
    return /end of JSON|Unterminated/.test(message) || Number(position ?? -1) >= beginning.length;
  }
}
