/** A scope of batches that is suspended until a person has acted. */
import * as z from 'zod';

/** See {@link Suspension}. */
export const suspensionSchema = z.object({
  v: z.literal(1),
  /** A key scope, or a key scope and a model: see `scheduling/scopes.ts`. */
  scope: z.string(),
  isSuspended: z.boolean(),
  /** OpenAI's code, or ours. */
  reason: z.string(),
  /** When the provider said so last, epoch milliseconds. Absent in records of before: `suspendedAt` counts. */
  saidAt: z.exactOptional(z.number()),
  provenBy: z.enum(['created', 'collected']),
  /** Epoch milliseconds. */
  suspendedAt: z.number(),
  /** Batches sent to see whether it is over, and when the next one may go. */
  probes: z.int().min(0),
  probeAt: z.number(),
  updatedAt: z.number(),
});

/** Something that only a person can fix (key, billing, access to a model): batches of the scope wait, unharmed. */
export type Suspension = z.infer<typeof suspensionSchema>;

/** How it shows that what was wrong is over: OpenAI took a batch, or answered requests of one. */
export type SuspensionProof = Suspension['provenBy'];
