/**
 * `.batchdrop/owners.json`: which stack owns which prefix of the bucket. At a key that no layout can move, so that
 * every stack which uses the bucket finds it. See docs/adr/0034-owners-of-prefixes.md.
 */
import * as z from 'zod';

/** No prefix of a layout or route may lie here. */
export const RESERVED_PREFIX = '.batchdrop/';
/** Key of the object. */
export const OWNERS_KEY = `${RESERVED_PREFIX}owners.json`;

const stack = {
  /** UUID of the CloudFormation stack. */
  stackId: z.string().min(1),
  stackName: z.string().min(1),
};

const pastOwnerSchema = z.object({
  /** What it owned, which may be wider or narrower than what its successor owns. */
  prefix: z.string().min(1),
  ...stack,
  /** Epoch milliseconds: what was put later is its successor's. */
  until: z.number(),
});
/** A stack that owned a prefix before another one took it over. */
export type PastOwner = z.infer<typeof pastOwnerSchema>;

const prefixOwnerSchema = z.object({
  prefix: z.string().min(1),
  ...stack,
  /** Epoch milliseconds. Of a prefix that was taken over, it lies two minutes after the takeover was written. */
  since: z.number(),
  /** The stack from which it was taken over. Absent: it had no owner. */
  before: z.exactOptional(z.array(pastOwnerSchema).min(1)),
});
/** A prefix, and the stack that runs what is put there or writes there. */
export type PrefixOwner = z.infer<typeof prefixOwnerSchema>;

/** Content of the object. */
export const ownersSchema = z.object({ v: z.literal(1), owners: z.array(prefixOwnerSchema) });
