/**
 * `work/<job>/calls/<batch>/created/<segment>.jsonl`: which responses a slice has created in the background. Each segment
 * is written once by the slice's worker.
 */
import * as z from 'zod';
import type { ObjectStore } from '../ports/objects.ts';
import type { workKeys } from './keys.ts';

/** A create, as its line has it. */
export const createdSchema = z.object({
  custom_id: z.string(),
  /** The place of its request in the slice. */
  request: z.int().min(0),
  /** Epoch ms: when it was created, or when a worker found that nobody knows its id. */
  at: z.number(),
  /** Absent: no answer to the create is known. */
  id: z.exactOptional(z.string()),
  /** Version of the key that created it, or that could read it. */
  keyVersion: z.exactOptional(z.string()),
  /** It is about to be cancelled: how far it was when it was read right before. */
  leaving: z.exactOptional(z.enum(['queued', 'in_progress'])),
});
export type CreatedLine = z.infer<typeof createdSchema>;

type CreatedKeys = Pick<ReturnType<ReturnType<typeof workKeys>['calls']>, 'created'>;

/** The lines of each segment, in order, from the first one until one is missing. */
export async function* readCreated(
  objects: Pick<ObjectStore, 'get'>,
  keys: CreatedKeys,
): AsyncGenerator<CreatedLine[]> {
  for (let segment = 0; ; segment++) {
    const bytes = await objects.get(keys.created(segment));
    if (bytes === undefined) return;
    const lines = Buffer.from(bytes).toString('utf8').split('\n').slice(0, -1);
    yield lines.map((line) => createdSchema.parse(JSON.parse(line)));
  }
}

/** A segment. */
export function createdSegment(lines: readonly CreatedLine[]): Uint8Array {
  return Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}
