import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../../src/core/base/errors.ts';
import type { RunRef } from '../../../../../src/core/model/batch.ts';
import { mergeIndexes, writeMergedText } from '../../../../../src/core/steps/finalize/merge.ts';
import { collectBytes, collectItems } from '../../../../support/bytes.ts';
import type { MemoryObjects } from '../../../../support/memory/objects.ts';
import { BUCKET, memoryStore, watchReads } from '../../../../support/memory-store.ts';
import { writeRun } from '../../../../support/runs.ts';

const textOf = (line: number): string => `{"line":${line}}${'x'.repeat(line % 17)}`;

/** Writes runs over these line numbers; empty ones give no run. */
async function writeRuns(
  objects: MemoryObjects,
  partition: readonly (readonly number[])[],
): Promise<RunRef[]> {
  const runs: RunRef[] = [];
  for (const [index, lines] of partition.entries()) {
    const source = { bucket: BUCKET, key: `source-${index}` };
    const run = await writeRun(
      objects,
      `run-${index}`,
      lines.map((line) => ({ line, text: textOf(line) })),
      source,
    );
    if (run !== undefined) runs.push(run);
  }
  return runs;
}

type Reader = Parameters<typeof writeMergedText>[0];

/** Merged text, and how much of it was copied. */
async function merge(
  objects: Reader,
  runs: readonly RunRef[],
  options: Parameters<typeof writeMergedText>[4] = {},
) {
  const chunks: Uint8Array[] = [];
  let copied = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    chunks.push(new Uint8Array(bytes));
  };
  const copy = async (...range: Parameters<Reader['read']>): Promise<void> => {
    const bytes = await collectBytes(await objects.read(...range));
    copied += bytes.length;
    chunks.push(bytes);
  };
  const nextLine = await writeMergedText(objects, BUCKET, runs, { write, copy }, options);
  return { text: Buffer.concat(chunks).toString(), copied, nextLine };
}

const merged = async (objects: Reader, runs: readonly RunRef[]): Promise<string> =>
  (await merge(objects, runs)).text;

/** Some line numbers, dealt out to some runs. */
const partitionArbitrary = fc
  .record({
    lines: fc.uniqueArray(fc.integer({ min: 1, max: 500 }), { maxLength: 120 }),
    owners: fc.array(fc.nat({ max: 5 }), { minLength: 120, maxLength: 120 }),
  })
  .map(({ lines, owners }) => {
    const runs: number[][] = [[], [], [], [], [], []];
    for (const [index, line] of [...lines].sort((a, b) => a - b).entries()) runs[owners[index]!]!.push(line);
    return { lines, runs };
  });

describe('merge', () => {
  it('holds no stream open where more runs overlap than a client has connections for, and merges them all the same', async () => {
    const objects = memoryStore();
    const partition = Array.from({ length: 200 }, (_, run) =>
      Array.from({ length: 30 }, (_, at) => at * 200 + run + 1),
    );
    const runs = await writeRuns(objects, partition);
    const watched = watchReads(objects);
    const lines = Array.from({ length: 6_000 }, (_, index) => `${textOf(index + 1)}\n`);
    expect(await merged(watched.objects, runs)).toBe(lines.join(''));
    expect(watched.state.mostOpen).toBeLessThanOrEqual(2);
  });

  it('brings any partition of lines into runs back into input order, byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(partitionArbitrary, async ({ lines, runs: partition }) => {
        const objects = memoryStore();
        const runs = await writeRuns(objects, partition);
        const inOrder = [...lines].sort((a, b) => a - b);
        expect(await merged(objects, runs)).toBe(inOrder.map((line) => `${textOf(line)}\n`).join(''));
        const stretches = await collectItems(mergeIndexes(objects, BUCKET, runs));
        expect(stretches.flatMap(({ records }) => records.map(({ line }) => line))).toEqual(inOrder);
        for (const { run, source, records } of stretches) {
          const index = Number(/\d+/.exec(run.dataKey)![0]);
          expect(source.key).toBe(`source-${index}`);
          for (const { line } of records) expect(partition[index]).toContain(line);
        }
      }),
    );
  });

  it('gives the same text wherever it stops and continues, and whatever is copied', async () => {
    await fc.assert(
      fc.asyncProperty(
        partitionArbitrary,
        fc.integer({ min: 1, max: 200 }),
        fc.func(fc.boolean()),
        async ({ runs: partition }, copiedBytes, isOutOfTime) => {
          const objects = memoryStore();
          const runs = await writeRuns(objects, partition);
          let text = '';
          let asked = 0;
          let fromLine: number | undefined = 0;
          while (fromLine !== undefined) {
            const step = await merge(objects, runs, {
              fromLine,
              copiedBytes,
              isOutOfTime: () => isOutOfTime(asked++),
            });
            if (step.nextLine !== undefined) expect(step.nextLine).toBeGreaterThan(fromLine);
            text += step.text;
            fromLine = step.nextLine;
          }
          expect(text).toBe(await merged(objects, runs));
        },
      ),
    );
  });

  it('copies what is together, and reads only what is not', async () => {
    const objects = memoryStore();
    const lines = Array.from({ length: 1_000 }, (_, index) => index + 1);
    const runs = await writeRuns(objects, [lines.filter((line) => line !== 500), [500]]);
    const { text, copied } = await merge(objects, runs, { copiedBytes: 100 });
    expect(text).toBe(lines.map((line) => `${textOf(line)}\n`).join(''));
    expect(copied).toBe(text.length - textOf(500).length - 1);
  });

  it('does not depend on the order in which the runs are given', async () => {
    const objects = memoryStore();
    const runs = await writeRuns(objects, [[1, 4, 9], [2, 3], [5], [6, 7, 8]]);
    expect(await merged(objects, runs.toReversed())).toBe(await merged(objects, runs));
  });

  it('gives nothing for no runs', async () => {
    expect(await merged(memoryStore(), [])).toBe('');
  });

  it('merges long runs that take turns, across blocks of their indexes', async () => {
    const objects = memoryStore();
    const count = 12_000;
    const all = Array.from({ length: count }, (_, index) => index + 1);
    const runs = await writeRuns(objects, [
      all.filter((line) => line % 3 === 0),
      all.filter((line) => line % 3 === 1 && line < 9_000),
      all.filter((line) => line % 3 === 2 || (line % 3 === 1 && line >= 9_000)),
    ]);
    expect(await merged(objects, runs)).toBe(all.map((line) => `${textOf(line)}\n`).join(''));
  });

  it('has only those runs open that overlap, however many there are', async () => {
    const objects = memoryStore();
    const partition = Array.from({ length: 200 }, (_, index) => [
      index * 3 + 1,
      index * 3 + 2,
      index * 3 + 3,
    ]);
    const runs = await writeRuns(objects, partition);
    const { objects: watched, state } = watchReads(objects);
    const text = await merged(watched, runs);
    expect(text.split('\n')).toHaveLength(601);
    // An index and a text for each of at most two runs: the one that ends and the one that begins.
    expect(state.mostOpen).toBeLessThanOrEqual(4);
    expect(state.open).toBe(0);
  });

  it('reads the text of each run with one request', async () => {
    const objects = memoryStore();
    const runs = await writeRuns(objects, [
      [1, 3, 5, 7],
      [2, 4, 6, 8],
    ]);
    const { objects: watched, reads } = watchReads(objects);
    await merged(watched, runs);
    expect(reads.filter(({ key }) => key.endsWith('.jsonl'))).toHaveLength(2);
    expect(reads.filter(({ key }) => key.endsWith('.index'))).toHaveLength(2);
  });

  it('closes every stream when it stops early', async () => {
    const objects = memoryStore();
    const runs = await writeRuns(objects, [
      [1, 3, 5, 7],
      [2, 4, 6, 8],
    ]);
    const { objects: watched, state } = watchReads(objects);
    expect(await merge(watched, runs, { isOutOfTime: () => true })).toMatchObject({ nextLine: 2 });
    expect(state.open).toBe(0);
  });

  it.each<[string, number[][]]>([
    [
      'at the start of both',
      [
        [1, 2],
        [1, 3],
      ],
    ],
    [
      'at the end of both',
      [
        [1, 9],
        [2, 9],
      ],
    ],
    [
      'in the middle of both',
      [
        [1, 5, 9],
        [2, 5, 8],
      ],
    ],
    [
      'at the end of one and the start of the other',
      [
        [1, 2, 3],
        [3, 4],
      ],
    ],
    ['as the only line of one', [[1, 2, 3], [2]]],
    ['as the only line of both', [[1], [1]]],
    ['of three runs', [[1, 4], [4, 5], [4]]],
  ])('fails as corrupt when a line stands in two runs: %s', async (_where, partition) => {
    const objects = memoryStore();
    const runs = await writeRuns(objects, partition);
    await expect(merged(objects, runs)).rejects.toBeInstanceOf(CorruptWorkFileError);
    await expect(merged(objects, runs)).rejects.toThrow(/two outcomes/);
  });

  it('fails as corrupt when any line of any partition is put into a second run', async () => {
    await fc.assert(
      fc.asyncProperty(
        partitionArbitrary.filter(({ lines }) => lines.length > 1),
        fc.nat(),
        fc.nat({ max: 5 }),
        async ({ lines, runs: partition }, pick, extra) => {
          const line = lines[pick % lines.length]!;
          const target = partition[extra]!.includes(line) ? (extra + 1) % 6 : extra;
          const spoiled = partition.map((run, index) =>
            index === target ? [...run, line].sort((a, b) => a - b) : run,
          );
          const objects = memoryStore();
          await expect(merged(objects, await writeRuns(objects, spoiled))).rejects.toBeInstanceOf(
            CorruptWorkFileError,
          );
        },
      ),
    );
  });

  it('fails as corrupt when the text of a run is shorter than its index says', async () => {
    const objects = memoryStore();
    const runs = await writeRuns(objects, [[1, 3], [2]]);
    const text = (await objects.get(runs[0]!.dataKey))!;
    await objects.put(runs[0]!.dataKey, text.subarray(0, -1));
    await expect(merged(objects, runs)).rejects.toBeInstanceOf(CorruptWorkFileError);
  });

  it('fails as corrupt when the text of a run is longer than its index says', async () => {
    const objects = memoryStore();
    const runs = await writeRuns(objects, [[1, 3], [2]]);
    const text = (await objects.get(runs[0]!.dataKey))!;
    await objects.put(runs[0]!.dataKey, Buffer.concat([text, Buffer.from('{}\n')]));
    await expect(merged(objects, runs)).rejects.toBeInstanceOf(CorruptWorkFileError);
  });
});
