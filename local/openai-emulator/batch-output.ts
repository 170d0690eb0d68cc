import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { BatchRecord, Shapes } from './batch-lifecycle.ts';
import type { Workspace } from './batch-workspace.ts';
import type { Faults } from './faults.ts';
import { DEFAULT_EXPIRY_SECONDS } from './files.ts';
import { randomOf } from './ids.ts';
import { endOfHalf, spoilFile } from './spoil-file.ts';
import type { FileRecord, Store } from './store.ts';

/** A batch that ends. */
type Ending = { record: BatchRecord; workspace: Workspace; atMs: number; isCompleted: boolean };

type Deps = { store: Store; shapes: Shapes; seed: string; faults: Faults };

/**
 * Writes the output or error file of a batch that ends, spoilt as the rules say.
 * @returns the file, which is not remembered yet; undefined when there is none
 */
export async function writeOutput(
  kind: 'output' | 'error',
  { record, workspace, atMs, isCompleted }: Ending,
  { store, shapes, seed, faults: rules }: Deps,
): Promise<FileRecord | undefined> {
  const incoming = join(store.dir, 'incoming', `${record.id}_${kind}`);
  const random = shapes.outputOrder === 'shuffled' ? randomOf(seed, record.id, kind) : undefined;
  const written = await workspace.write(kind, incoming, random);
  const shape = kind === 'output' ? shapes.noOutputFile : shapes.noErrorFile;
  if (written.lines === 0 && !(isCompleted && shape === 'zero_byte_file')) return undefined;
  const { ordinal: batch, endpoint, metadata, model } = record;
  const faults = rules.fire('file', { batch, endpoint, metadata, model, file: kind, atMs });
  const bytes = await spoilFile(incoming, written.bytes, faults);
  const late = faults.find((fault) => fault.kind === 'file.late');
  const lateBytes = late?.as === 'half' ? await endOfHalf(incoming, bytes) : 0;
  const vanish = faults.find((fault) => fault.kind === 'file.vanish');
  const id = store.ids.file();
  await rename(incoming, store.filePath(id));
  const expirySeconds = record.outputExpiresAfterSeconds ?? DEFAULT_EXPIRY_SECONDS;
  return {
    id,
    bytes,
    createdAtMs: atMs,
    expiresAtMs: atMs + expirySeconds * 1000,
    readyAtMs: atMs,
    filename: `${record.id}_${kind}.jsonl`,
    purpose: 'batch_output',
    project: record.project,
    output: {
      batchId: record.id,
      file: kind,
      late:
        late === undefined ? null : { untilMs: atMs + late.seconds * 1000, as: late.as, bytes: lateBytes },
      vanishesAtMs: vanish === undefined ? null : atMs + vanish.after_seconds * 1000,
    },
  };
}
