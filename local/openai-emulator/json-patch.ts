import { z } from 'zod';
import { isObject } from './json-lines.ts';

const pointer = z
  .string()
  .regex(/^(\/.*)?$/s, 'expected a JSON pointer such as "/response/body/usage", or "" for the whole');

/**
 * Operations of JSON Patch (RFC 6902) in their order: `add`, `replace` and `remove`. A segment that is a
 * star is every member or item there, which is an addition to the RFC.
 */
export const patchSchema = z.array(
  z.discriminatedUnion('op', [
    z.strictObject({ op: z.enum(['add', 'replace']), path: pointer, value: z.json() }),
    z.strictObject({ op: z.literal('remove'), path: pointer }),
  ]),
);

/** See `patchSchema`. */
type PatchOperation = z.output<typeof patchSchema>[number];

/**
 * A copy of a JSON value with the operations applied. One whose place is not there changes nothing, so that one rule
 * can be applied to answers and to refusals.
 */
export function patched(value: unknown, operations: readonly PatchOperation[]): unknown {
  const root: Record<string, unknown> = { root: structuredClone(value) };
  for (const operation of operations) {
    const segments = operation.path.split('/').slice(1);
    const path = segments.map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
    change(root, ['root', ...path], operation);
  }
  return root.root;
}

function change(holder: unknown, [step, ...rest]: string[], operation: PatchOperation): void {
  if (!isObject(holder) && !Array.isArray(holder)) return;
  // From the end, so that removing an item does not move those that are still to come.
  const keys = step === '*' ? Object.keys(holder).reverse() : [step!];
  for (const key of keys) {
    if (rest.length > 0) {
      if (Object.hasOwn(holder, key)) change((holder as Record<string, unknown>)[key], rest, operation);
    } else if (Array.isArray(holder)) changeItem(holder, key, operation);
    else if (operation.op === 'remove') delete holder[key];
    else holder[key] = structuredClone(operation.value);
  }
}

function changeItem(items: unknown[], key: string, operation: PatchOperation): void {
  const index = key === '-' ? items.length : Number(key);
  const end = operation.op === 'add' ? items.length : items.length - 1;
  if (!Number.isInteger(index) || index < 0 || index > end) return;
  if (operation.op === 'remove') items.splice(index, 1);
  else items.splice(index, operation.op === 'add' ? 0 : 1, structuredClone(operation.value));
}
