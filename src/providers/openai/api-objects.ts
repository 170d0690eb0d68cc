/** Batches and files as OpenAI's answers have them, checked as they are read. */
import * as z from 'zod';
import { problemsOf } from '../../contract/problems.ts';
import { defined } from '../../core/base/defined.ts';
import type { BatchLevelError } from '../../core/model/batch.ts';
import type { RemoteBatch } from '../../core/ports/provider.ts';
import { OpenAIRequestError } from './request-error.ts';
import { statusOf } from './statuses.ts';
import { usageOf } from './usage.ts';

/** An id is recorded, and a record has room for 400 KB (DynamoDB). OpenAI's have some 40 characters. */
const id = z.string().max(512);

/** `""`, `null` and absent all mean: there is none. */
const optionalId = id.nullish().transform((given) => given || undefined);

/**
 * What is read of a batch object. Source: openai 7.55.0 `resources/batches.ts`; compatible services give ids as empty
 * strings.
 */
export const remoteBatchSchema = z.object({
  id: id.min(1),
  status: z.string(),
  // Batches of other applications may have been made without a file.
  input_file_id: id.nullish().transform((given) => given ?? ''),
  output_file_id: optionalId,
  error_file_id: optionalId,
  errors: z
    .object({
      data: z
        .array(
          z.object({
            code: z.string().nullish(),
            message: z.string().nullish(),
            param: z.string().nullish(),
            line: z.number().nullish(),
          }),
        )
        .nullish(),
    })
    .nullish()
    // In another shape, as services have that are like OpenAI; it must not stop the listing of all others either.
    .catch(undefined),
  request_counts: z
    .object({ total: z.number(), completed: z.number(), failed: z.number() })
    .nullish()
    .catch(undefined),
  // Ours is text throughout; what is not, is not ours.
  metadata: z.record(z.string(), z.string()).nullish().catch(undefined),
  created_at: z.number(),
  in_progress_at: z.number().nullish().catch(undefined),
  finalizing_at: z.number().nullish().catch(undefined),
  expires_at: z.number().nullish(),
  usage: z.record(z.string(), z.unknown()).nullish().catch(undefined),
});

/** All models of a project. Source: openai 7.59.0 `resources/models.ts`; compatible services give no date. */
export const modelPageSchema = z.object({
  data: z.array(z.object({ id: z.string(), shutdown_date: z.string().nullish().catch(undefined) })),
});

/** A page of batches. */
export const batchPageSchema = z.object({
  data: z.array(remoteBatchSchema),
  has_more: z.boolean().nullish(),
});

/** A file. */
export const fileSchema = z.object({
  id: id.min(1),
  // Compatible services leave it out, or say `null`.
  bytes: z
    .number()
    .nullish()
    .transform((bytes) => bytes ?? undefined),
});

/** A page of files. */
export const filePageSchema = z.object({
  data: z.array(fileSchema.extend({ filename: z.string(), created_at: z.number() })),
  has_more: z.boolean().nullish(),
});

/** A batch as the core knows it. */
export function toRemoteBatch(batch: z.output<typeof remoteBatchSchema>): RemoteBatch {
  const errors = batch.errors?.data?.map(
    ({ code, message, param, line }): BatchLevelError =>
      defined({
        code: code ?? 'unknown',
        message: message ?? '',
        param: param ? param : undefined,
        line: typeof line === 'number' ? line : undefined,
      }),
  );
  const startedAt = batch.in_progress_at || batch.finalizing_at;
  return {
    id: batch.id,
    ...statusOf(batch.status),
    inputFileId: batch.input_file_id,
    outputFileId: batch.output_file_id,
    errorFileId: batch.error_file_id,
    errors: errors === undefined || errors.length === 0 ? undefined : errors,
    usage: batch.usage ? usageOf({ usage: batch.usage }) : undefined,
    progress: batch.request_counts ?? undefined,
    metadata: batch.metadata ?? {},
    createdAt: batch.created_at * 1000,
    startedAt: startedAt ? startedAt * 1000 : undefined,
    expiresAt: batch.expires_at ? batch.expires_at * 1000 : undefined,
  };
}

/**
 * Checks an answer.
 * @throws {OpenAIRequestError} that names the place and what was expected there, as Zod's messages do, not what was
 *   found.
 */
export function parseAnswer<Schema extends z.ZodType>(
  schema: Schema,
  answer: unknown,
  action: string,
): z.output<Schema> {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;

  throw new OpenAIRequestError(
    `${action} was answered with something that is not understood: ${problemsOf(result.error).join('; ')}`,
  );
}
