/** Whether the webhooks of an API key's project arrive. */
import * as z from 'zod';

/** See {@link WebhookHealth}. Times are epoch milliseconds. */
export const webhookHealthSchema = z.object({
  v: z.literal(1),
  /** When one that was about work of ours was last dealt with. Absent: never. */
  arrivedAt: z.exactOptional(z.number()),
  /** The first thing since then that had ended, and that no webhook had reported when it was found. */
  unreported: z.exactOptional(z.object({ id: z.string(), foundAt: z.number() })),
});

/** What is known of the webhooks of an API key's project: see scheduling/webhook-health.ts. */
export type WebhookHealth = z.infer<typeof webhookHealthSchema>;
