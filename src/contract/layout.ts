/** Key prefixes of the bucket: those of the layout, and those that a route has of its own. */
import * as z from 'zod';
import { onlyFields } from './only-fields.ts';
import { RESERVED_PREFIX } from './prefix-owners.ts';

/** A key prefix that ends in a slash, such as `input/`. */
export const prefixSchema = z
  .string()
  .regex(/^[A-Za-z0-9!_.*'()-][A-Za-z0-9!_.*'()/-]*\/$/, 'a prefix is a plain S3 key path that ends with "/"')
  .refine(
    (prefix) => !prefix.startsWith(RESERVED_PREFIX),
    `"${RESERVED_PREFIX}" is where stacks note which of them owns which prefix; give another prefix`,
  );

/** Key prefixes of the bucket: one that people write, and five that batchdrop writes. */
export const layoutSchema = onlyFields({
  /** Files dropped here become jobs. batchdrop writes none of its own accord; a retry is one that an operator has it drop. */
  input: prefixSchema.default('input/'),
  /** Successful answers, OpenAI's own output lines in input order. */
  output: prefixSchema.default('output/'),
  /** One line for each request that failed or was invalid, with the reason. */
  errors: prefixSchema.default('errors/'),
  /** The original lines of everything not succeeded, ready to be fixed and dropped again. */
  retry: prefixSchema.default('retry/'),
  /** One account for each finished job, written last. */
  receipts: prefixSchema.default('receipts/'),
  /** Private intermediates, removed some time after their job has ended. */
  work: prefixSchema.default('work/'),
});
export type Layout = z.infer<typeof layoutSchema>;

/** Areas of a layout that hold results: a route may have its own. */
const RESULT_AREAS = ['output', 'errors', 'retry', 'receipts'] as const;

/** IAM would take a star for anything. */
const resultPrefixSchema = prefixSchema
  .refine((prefix) => !prefix.includes('*'), 'a prefix that results are written to has no "*"')
  .optional();

/** Where the results of a route's jobs go; what is left out goes where the layout says. */
export const resultPrefixesSchema = onlyFields({
  /** Prefix of the route's answers. */
  output: resultPrefixSchema,
  /** Prefix of its error lines. */
  errors: resultPrefixSchema,
  /** Prefix of the original lines of everything not succeeded. */
  retry: resultPrefixSchema,
  /** Prefix of its receipts. */
  receipts: resultPrefixSchema,
} satisfies Record<(typeof RESULT_AREAS)[number], unknown>);
type ResultPrefixes = z.infer<typeof resultPrefixesSchema>;

/** What of a route says where the results of its jobs go. */
interface RoutePlaces {
  name: string;
  layout?: ResultPrefixes | undefined;
}

/** What of settings says where files are. */
export interface Places {
  layout: Layout;
  routes: readonly RoutePlaces[];
}

/** The prefixes of an area, each once: that of the layout first, then those of routes. */
export function prefixesOf({ layout, routes }: Places, area: keyof Layout): string[] {
  return [...new Set([layout[area], ...routes.flatMap((route) => ownPrefixes(route)[area] ?? [])])];
}

/**
 * Where the results of a job go: where its route said when it was recorded, or says now, if the settings of now have
 * that prefix for that area. Else it may be anything, input too, and no function may write there.
 */
export function layoutOf(places: Places, recorded: RoutePlaces): Layout {
  const now = places.routes.find(({ name }) => name === recorded.name);
  const layout = { ...places.layout };
  for (const area of RESULT_AREAS) {
    const known = prefixesOf(places, area);
    const wanted = [recorded.layout?.[area], now?.layout?.[area]];
    layout[area] = wanted.find((prefix) => prefix !== undefined && known.includes(prefix)) ?? layout[area];
  }
  return layout;
}

/** The prefixes that a route has of its own. */
export function ownPrefixes({
  layout,
}: Pick<RoutePlaces, 'layout'>): Partial<Record<keyof Layout, string | undefined>> {
  return layout ?? {};
}
