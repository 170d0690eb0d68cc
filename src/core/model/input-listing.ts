import * as z from 'zod';
import { listCursorSchema } from './objects.ts';

const listingPassSchema = z.object({
  startedAt: z.number(),
  /** Versions without a job so far, and when the oldest of them was put. */
  found: z.int().min(0),
  oldestFound: z.number().optional(),
  /** Which prefix is being listed, and how far it is. */
  prefix: z.exactOptional(z.string()),
  after: listCursorSchema.optional(),
});
/** One listing of all inputs, over one run or several. */
export type ListingPass = z.infer<typeof listingPassSchema>;

/** See {@link InputListing}. Times are epoch milliseconds. */
export const listingSchema = z.object({
  v: z.literal(1),
  /** Counts the writes, from 1. */
  generation: z.int().min(0),
  /** When this deployment first ran: what was put before is left alone. */
  since: z.number(),
  /** What was put before has a job, or was waited for long enough. */
  watermark: z.number(),
  /** When the next pass may begin. */
  nextAt: z.number(),
  /** One that another run continues. */
  pass: z.exactOptional(listingPassSchema),
});
/** How far the listing that finds inputs without a job is. */
export type InputListing = z.infer<typeof listingSchema>;
