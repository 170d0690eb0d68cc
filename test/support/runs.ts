/** Runs as ingest and collect write them. */

import { type OriginalRange, RunWriter } from '../../src/core/files/run-file.ts';
import type { RunRef } from '../../src/core/model/batch.ts';
import type { SourceObject } from '../../src/core/model/objects.ts';
import type { MemoryObjects } from './memory/objects.ts';
import { BUCKET } from './memory-store.ts';

export interface RunLine {
  line: number;
  text: string;
  original?: OriginalRange;
}

/** Where the originals of a test's runs stand, unless it says otherwise. */
export const RUN_SOURCE: SourceObject = { bucket: BUCKET, key: 'input/a.jsonl', versionId: 'v1' };

/** Writes a run named `name`; `undefined` if it has no line. */
export async function writeRun(
  objects: MemoryObjects,
  name: string,
  lines: Iterable<RunLine>,
  source = RUN_SOURCE,
): Promise<RunRef | undefined> {
  const keys = { data: `work/${name}.jsonl`, index: `work/${name}.index` };
  const writer = new RunWriter(objects, keys, source);
  for (const { line, text, original } of lines) {
    writer.add(line, Buffer.from(text), original ?? { offset: line * 100, length: 99 });
    await writer.flush();
  }
  return writer.close();
}
