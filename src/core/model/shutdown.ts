/** Models that end: the day that the provider has announced for it, and what follows from the day. */
import * as z from 'zod';
import { DAY_MS } from '../../contract/time.ts';

export const shutdownSchema = z.object({
  /** The last day on which it may be served, `YYYY-MM-DD`, taken as a day in UTC. */
  date: z.string(),
  /** Models that the provider names in its place; may be empty. */
  replacements: z.array(z.string()).readonly(),
});
/** What is known of the end of a model. */
export type Shutdown = z.infer<typeof shutdownSchema>;

/** How a shutdown date is written. */
export const SHUTDOWN_DATE = /^\d{4}-\d{2}-\d{2}$/;

/** See {@link KeptShutdowns}. */
export const keptShutdownsSchema = z.object({
  v: z.literal(1),
  /** Name of the API key that they were asked for with. */
  apiKey: z.string(),
  /** Counts the writes, from 1. */
  generation: z.int().min(0),
  /** When the provider may be asked again, epoch milliseconds. */
  nextAt: z.number(),
  /** By model; a model that the provider lists no more keeps its date. */
  dates: z.record(z.string(), z.string()),
});
/** The shutdown dates that the provider's list of models has shown to one API key. */
export type KeptShutdowns = z.infer<typeof keptShutdownsSchema>;

/** How long before its end a model is warned of. Ours: time to try a replacement. */
const WARNED_MS = 30 * DAY_MS;

/**
 * Whether the day is over. On the day itself a model may still be served: OpenAI names a date, and no time and no
 * time zone. @param now epoch milliseconds.
 */
export function isShutDown({ date }: Shutdown, now: number): boolean {
  return now >= endOfDay(date);
}

/** Whether the day is over, or is within 30 days. */
export function endsSoon({ date }: Shutdown, now: number): boolean {
  return now >= Date.parse(date) - WARNED_MS;
}

/** When the day of a date is over, epoch milliseconds. */
export function endOfDay(date: string): number {
  return Date.parse(date) + DAY_MS;
}

/** What to use in place of the model: a sentence with a space before it, or nothing. */
export function replacementText({ replacements }: Shutdown): string {
  if (replacements.length === 0) return '';
  const named = replacements.length === 1 ? replacements[0] : `one of ${replacements.join(', ')}`;
  return ` The provider names in its place: ${named}.`;
}
