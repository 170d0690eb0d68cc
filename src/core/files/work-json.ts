/** Small files below `work/`; most are written once: the second writer takes what the first one wrote. */

import type * as z from 'zod';
import { problemsOf } from '../../contract/problems.ts';
import { CorruptWorkFileError } from '../base/errors.ts';
import type { ObjectStore } from '../ports/objects.ts';

/**
 * The content at a key, or `undefined`.
 * @throws {CorruptWorkFileError} if it is not what `schema` says.
 */
export async function readWorkJson<Schema extends z.ZodType>(
  objects: Pick<ObjectStore, 'get'>,
  key: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  const bytes = await objects.get(key);
  if (bytes === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw new CorruptWorkFileError(`${key} (${bytes.length} bytes) is damaged: expected JSON`);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;

  throw new CorruptWorkFileError(`${key} is damaged: ${problemsOf(parsed.error).join('; ')}`);
}

/** Writes a file unless there is one; returns the one that is there. */
export async function writeWorkJsonOnce<Schema extends z.ZodType>(
  objects: Pick<ObjectStore, 'get' | 'put'>,
  key: string,
  schema: Schema,
  content: z.output<Schema>,
): Promise<z.output<Schema>> {
  const body = Buffer.from(JSON.stringify(content));
  if (await objects.put(key, body, { ifAbsent: true, contentType: 'application/json' })) return content;
  const current = await readWorkJson(objects, key, schema);
  if (current === undefined)
    throw new CorruptWorkFileError(`${key} was there a moment ago and is missing now`);
  return current;
}
