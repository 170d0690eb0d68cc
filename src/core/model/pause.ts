/** A pause of a route, or of the stack: nothing new is sent. */
import * as z from 'zod';

/** See {@link Pause}. */
export const pauseSchema = z.object({
  v: z.literal(1),
  /** Name of the route. Absent: the whole stack. */
  route: z.exactOptional(z.string()),
  isPaused: z.boolean(),
  /** ARN of who paused it, or ended the pause. */
  by: z.string(),
  /** Epoch milliseconds. */
  at: z.number(),
  /** As the operator gave it. */
  reason: z.exactOptional(z.string()),
});

/** Whether a route or the stack is paused, and by whom. */
export type Pause = z.infer<typeof pauseSchema>;

/** Why a batch waits that a pause holds back. */
export const PAUSED = 'paused';

/** The pause that holds back what is of a route: that of the stack first. */
export function pauseOf(pauses: readonly Pause[], route: string | undefined): Pause | undefined {
  return pauses.find((pause) => pause.route === undefined) ?? pauses.find((pause) => pause.route === route);
}
