/** What operators did to a job. */
import * as z from 'zod';

/** See {@link Act}. */
export const actSchema = z.object({
  action: z.enum(['cancel', 'resume', 'retry', 'forget']),
  /** ARN of the caller, as AWS gives it. */
  by: z.string(),
  /** Epoch milliseconds. */
  at: z.number(),
  /** As the operator gave it. */
  reason: z.exactOptional(z.string()),
});

/** One act of an operator that changed a job. */
export type Act = z.infer<typeof actSchema>;

/** The acts that a record keeps: the last ones. Ours; a record has 400 KB at most. */
const MAX_ACTS = 20;

/** Acts with one more, oldest first. */
export function withAct(acts: readonly Act[] | undefined, act: Act): Act[] {
  return [...(acts ?? []), act].slice(-MAX_ACTS);
}
