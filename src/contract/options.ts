/**
 * What a person may say with a file that they drop, in its S3 user metadata or in an object beside it, as far as the
 * route's `mayOverride` lets them.
 */
import * as z from 'zod';
import { isUsd } from './budget.ts';
import { type OVERRIDABLE, routeSchema } from './route.ts';

/** `input/a.jsonl.options.json` holds the options of `input/a.jsonl`; it is never an input itself. */
export const OPTIONS_SUFFIX = '.options.json';
/** `x-amz-meta-batchdrop-deadline`: HeadObject returns it without `x-amz-meta-`. */
export const METADATA_PREFIX = 'batchdrop-';

/** What each option may be; the values are those of the route's own settings. */
export const optionsSchema = z.strictObject({
  deadline: z.exactOptional(routeSchema.shape.deadline.unwrap()),
  tiers: z.exactOptional(routeSchema.shape.tiers),
  maxTries: z.exactOptional(routeSchema.shape.maxTries.unwrap()),
  onInvalid: z.exactOptional(routeSchema.shape.onInvalid.unwrap()),
  /** The most that the job may cost, in USD. */
  budgetUsd: z.exactOptional(
    z
      .union([z.string(), z.number()])
      .transform(String)
      .refine(isUsd, 'a budget is an amount of USD above 0 with at most 6 decimals'),
  ),
});
export type Options = z.infer<typeof optionsSchema>;
export type OptionName = keyof Options;

/** One option that a dropped object said and that is followed, as job records and receipts have it. */
export const appliedOptionSchema = z.object({
  name: optionsSchema.keyof(),
  value: z.union([z.string(), z.number(), z.array(z.string())]),
  /** What it was called there, and where. */
  from: z.string(),
});

/** The name of each option in metadata, and what of the route it overrides. */
export const OPTIONS = {
  deadline: { metadata: 'deadline', overrides: 'deadline' },
  tiers: { metadata: 'tiers', overrides: 'tiers' },
  maxTries: { metadata: 'max-tries', overrides: 'maxTries' },
  onInvalid: { metadata: 'on-invalid', overrides: 'onInvalid' },
  budgetUsd: { metadata: 'budget-usd', overrides: 'budget' },
} as const satisfies Record<OptionName, { metadata: string; overrides: (typeof OVERRIDABLE)[number] }>;
