/** Whether the file of a job may start, by the limits of its route. Times are epoch milliseconds. */
import * as z from 'zod';

const count = z.int().min(0);
const time = z.number();

/**
 * What a drop waits for: room in the last 60 minutes, in the day, or the drops of its route that wait before it.
 */
const DROP_WAITS = ['perHour', 'perDay', 'earlierDrops'] as const;

/** See {@link DropTurn}. */
export const dropTurnSchema = z.object({
  /** Since when it waits, or waited. Absent: it never did. */
  since: z.exactOptional(time),
  waitsFor: z.exactOptional(z.enum(DROP_WAITS)),
  /** When there may be room, where that is known. */
  nextAt: z.exactOptional(time),
  /** When it was counted among the drops of its route: it may start from then on. Absent: it waits. */
  takenAt: z.exactOptional(time),
});
/** The turn of one drop among those of a route with limits. */
export type DropTurn = z.infer<typeof dropTurnSchema>;

/** See {@link DropTally}. */
export const dropTallySchema = z.object({
  v: z.literal(1),
  route: z.string(),
  /** Drops that started, by epoch minute, as far as they may still count. */
  minutes: z.array(z.object({ minute: count, count })),
  /** The UTC day (`2026-11-30`) that {@link onDay} is of. */
  day: z.string(),
  onDay: count,
  /** When a drop was last made to wait. Absent: none waits. A hint, for the order. */
  waitedAt: z.exactOptional(time),
});
/** How many files of a route have started. */
export type DropTally = z.infer<typeof dropTallySchema>;

/** Whether a job waits until its route lets it start. A cancelled one waits for nothing. */
export function waitsForTurn({
  turn,
  cancelledAt,
  state,
}: {
  turn?: DropTurn | undefined;
  cancelledAt?: number | undefined;
  state: string;
}): boolean {
  return (
    state === 'ingesting' && turn !== undefined && turn.takenAt === undefined && cancelledAt === undefined
  );
}
