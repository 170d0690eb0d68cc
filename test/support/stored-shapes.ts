/** The shapes of all that a stack stores and that another release may have to read. */
import * as z from 'zod';
import { latestSchema, monthSchema } from '../../src/adapters/dynamodb/record-schemas.ts';
import {
  batchMessageSchema,
  dropIgnoredSchema,
  jobCompletedSchema,
  jobMessageSchema,
  objectMessageSchema,
  observeMessageSchema,
} from '../../src/contract/messages.ts';
import { ownersSchema } from '../../src/contract/prefix-owners.ts';
import { receiptSchema } from '../../src/contract/receipt.ts';
import { arrivalSchema } from '../../src/core/files/arrivals.ts';
import { createdSchema } from '../../src/core/files/created.ts';
import { jobFileSchema } from '../../src/core/files/job-file.ts';
import { planSchema } from '../../src/core/files/plan.ts';
import { outcomeFileSchema } from '../../src/core/lifecycle/outcome-file.ts';
import { batchSchema } from '../../src/core/model/batch.ts';
import { dropTallySchema } from '../../src/core/model/drop-turn.ts';
import { ignoredDropSchema } from '../../src/core/model/ignored-drop.ts';
import { listingSchema } from '../../src/core/model/input-listing.ts';
import { jobSchema } from '../../src/core/model/job.ts';
import { endedJobSchema } from '../../src/core/model/job-end.ts';
import { ledgerSchema, reservationSchema } from '../../src/core/model/ledger.ts';
import { pauseSchema } from '../../src/core/model/pause.ts';
import { keptShutdownsSchema } from '../../src/core/model/shutdown.ts';
import { suspensionSchema } from '../../src/core/model/suspension.ts';
import { tombstoneSchema } from '../../src/core/model/tombstone.ts';
import { webhookHealthSchema } from '../../src/core/model/webhook-health.ts';
import { unreadFileSchema } from '../../src/core/steps/call/unread.ts';
import { pollFileSchema } from '../../src/core/steps/poll/reconcile.ts';
import { attemptSchema } from '../../src/core/steps/submit/attempts.ts';

/** By the name of what is stored. */
export const STORED: Readonly<Record<string, z.ZodType>> = {
  'item: job': jobSchema,
  'item: batch': batchSchema,
  'item: ledger': ledgerSchema,
  'item: reservation': reservationSchema,
  'item: latest job of a key': latestSchema,
  'item: month': monthSchema,
  'item: ended job': endedJobSchema,
  'item: drops of a route': dropTallySchema,
  'item: ignored drop': ignoredDropSchema,
  'item: listing of inputs': listingSchema,
  'item: pause': pauseSchema,
  'item: shutdown dates': keptShutdownsSchema,
  'item: suspension': suspensionSchema,
  'item: forgotten job': tombstoneSchema,
  'item: webhooks of a key': webhookHealthSchema,
  'message: batch': batchMessageSchema,
  'message: job': jobMessageSchema,
  'message: object': objectMessageSchema,
  'message: observe': observeMessageSchema,
  'event: JobCompleted': jobCompletedSchema,
  'event: DropIgnored': dropIgnoredSchema,
  'file: receipt': receiptSchema,
  'file: owners of prefixes': ownersSchema,
  'file: job': jobFileSchema,
  'file: plan': planSchema,
  'file: create attempt': attemptSchema,
  'file: outcome of a batch': outcomeFileSchema,
  'file: created response, a line': createdSchema,
  'file: arrived response': arrivalSchema,
  'file: unread responses': unreadFileSchema,
  'file: poll': pollFileSchema,
};

/** Types by path; a path that ends in `?` may be missing, `[]` are the elements of a list, `{}` those of a map. */
export type Shape = Record<string, string>;

interface JsonSchema {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  type?: string | readonly string[];
  const?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly JsonSchema[];
  oneOf?: readonly JsonSchema[];
  allOf?: readonly JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: readonly string[];
  items?: JsonSchema;
  prefixItems?: readonly JsonSchema[];
  additionalProperties?: JsonSchema | boolean;
}

/** The shape that a schema reads. */
export function shapeOf(schema: z.ZodType): Shape {
  const root = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const shape: Shape = {};
  /** Names of what refers to itself, from the root to here. */
  const open: string[] = [];
  const walk = (part: JsonSchema, path: string): void => {
    const name = part.$ref?.replace('#/$defs/', '');
    if (name !== undefined) {
      if (open.includes(name)) shape[path] = `again what is ${open.length - open.indexOf(name)} above`;
      else {
        open.push(name);
        walk(root.$defs![name]!, path);
        open.pop();
      }
      return;
    }
    for (const all of part.allOf ?? []) walk(all, path);
    const either = part.anyOf ?? part.oneOf;
    if (either !== undefined) {
      for (const [index, one] of either.entries()) walk(one, `${path}|${index}`);
      return;
    }
    const values = part.const !== undefined ? [part.const] : part.enum;
    const extra = part.additionalProperties;
    const isMap = typeof extra === 'object' && Object.keys(extra).length > 0;
    const type = [part.type ?? 'anything'].flat().join(' or ');
    shape[path] = values?.map((value) => JSON.stringify(value)).join(' ') ?? (isMap ? 'map' : type);
    for (const [name, member] of Object.entries(part.properties ?? {}))
      walk(member, `${path}.${name}${part.required?.includes(name) ? '' : '?'}`);
    if (isMap) walk(extra, `${path}{}`);
    if (part.items !== undefined) walk(part.items, `${path}[]`);
    for (const [index, item] of (part.prefixItems ?? []).entries()) walk(item, `${path}[${index}]`);
  };
  walk(root, '');
  return shape;
}

/** The shape of a value that is plain data, with bytes in it: what is in a list counts together. */
export function shapeOfValue(value: unknown): Shape {
  const shape: Shape = {};
  const walk = (part: unknown, path: string): void => {
    if (part instanceof Uint8Array) shape[path] = 'bytes';
    else if (Array.isArray(part)) {
      shape[path] = 'array';
      for (const item of part) walk(item, `${path}[]`);
    } else if (part instanceof Object) {
      shape[path] = 'object';
      for (const [name, member] of Object.entries(part)) walk(member, `${path}.${name}`);
    } else shape[path] = typeof part;
  };
  walk(value, '');
  return shape;
}

/**
 * How a shape has changed, where a release that knows only the other one would not read it right.
 * @returns one line for each change; `[]`: none, or members were added that may be missing.
 */
export function breakingChanges(before: Shape, now: Shape): string[] {
  const changes: string[] = [];
  for (const [path, type] of Object.entries(before))
    if (now[path] === undefined) changes.push(`${path || 'all of it'} is no longer there`);
    else if (now[path] !== type) changes.push(`${path || 'all of it'} was ${type} and is ${now[path]}`);
  const isOptional = (path: string): boolean =>
    [...path.matchAll(/\?/g)].some(({ index }) => before[path.slice(0, index + 1)] === undefined);
  for (const path of Object.keys(now))
    if (before[path] === undefined && !isOptional(path)) changes.push(`${path} is new and not optional`);
  return changes;
}
