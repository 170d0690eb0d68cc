/**
 * What workers of collect and finalize leave for the next ones has no schema: its shape is that of what they really
 * write. That of ingest is in test/unit/core/steps/ingest/scan-continuation.test.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../src/core/base/errors.ts';
import { readCheckpoint } from '../../../src/core/files/checkpoint.ts';
import { chatLine } from '../../support/pipeline.ts';
import { type Shape, shapeOfValue } from '../../support/stored-shapes.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

it('has the shape that other releases know, for each kind of checkpoint', async () => {
  const ids = Array.from({ length: 400 }, (_, index) => `id-${index}`);
  const modelOf = (index: number): string => (index % 2 === 0 ? 'gpt-6-luna' : 'gpt-5.4-mini');
  const lines = ids.map((id, index) =>
    index % 5 === 4 ? 'broken' : chatLine(id, { model: modelOf(index) }),
  );
  // As long as it takes for a worker that may read one piece more.
  let leftMs = 0;
  const p = await startTestPipeline({
    intercept: async (call, effect) => {
      const result = await effect();
      if (/^jobs\.(lease|create)(Job|Batch)$/.test(call)) leftMs = Math.min(leftMs, 1_000);
      return result;
    },
    onInvocation: () => {
      leftMs = 900_000;
    },
    deadline: { remainingMs: () => (leftMs = leftMs > 1_000 ? leftMs : leftMs / 2) },
    redeliver: true,
  });
  const shapes: Record<string, Shape> = {};
  const look = async (key: string): Promise<void> => {
    for (const kind of ['fetch', 'merge'])
      try {
        const state = await readCheckpoint(p.deps.objects, key, kind);
        shapes[kind] = { ...shapes[kind], ...shapeOfValue(state) };
      } catch (error) {
        if (!(error instanceof CorruptWorkFileError)) throw error;
      }
  };
  await p.drop('input/a.jsonl', lines.map((line) => line + ' '.repeat(9_000)).join('\n'));
  await p.run(400);
  for (const key of p.deps.objects.keys().filter((name) => /checkpoint/.test(name))) await look(key);
  const known = join(import.meta.dirname, '../../support/checkpoint-shapes.json');
  expect(
    JSON.parse(readFileSync(known, 'utf8')),
    'A changed shape takes a new kind of checkpoint: then what has an old one begins anew.',
  ).toMatchObject(shapes);
});
