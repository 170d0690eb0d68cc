/** What is kept of a job that was forgotten: nothing of what it was about. */
import * as z from 'zod';

/** See {@link Tombstone}. */
export const tombstoneSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  /** Epoch milliseconds. */
  forgottenAt: z.number(),
  /** ARN of who did it. */
  by: z.string(),
  /** As the operator gave it. */
  reason: z.exactOptional(z.string()),
});

/** Says that there was a job, and who had everything of it removed. It has no key, no counts and no text of the job. */
export type Tombstone = z.infer<typeof tombstoneSchema>;
