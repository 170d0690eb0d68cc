import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import { type RunRecord, RunWriter, readRunIndex } from '../../../../src/core/files/run-file.ts';
import type { RunRef } from '../../../../src/core/model/batch.ts';
import type { SourceObject } from '../../../../src/core/model/objects.ts';
import type { MemoryObjects } from '../../../support/memory/objects.ts';
import { BUCKET, memoryStore } from '../../../support/memory-store.ts';
import { RUN_SOURCE, type RunLine, writeRun } from '../../../support/runs.ts';

async function readIndex(objects: MemoryObjects, run: RunRef) {
  let source: SourceObject | undefined;
  const records: RunRecord[] = [];
  for await (const piece of readRunIndex(objects, BUCKET, run)) {
    if ('source' in piece) source = piece.source;
    else records.push(...piece.records);
  }
  return { source, records };
}

const linesArbitrary: fc.Arbitrary<RunLine[]> = fc
  .uniqueArray(fc.integer({ min: 1, max: 2 ** 40 }), { minLength: 1, maxLength: 30 })
  .chain((numbers) =>
    fc
      .array(
        fc.record({
          text: fc.string({ unit: 'binary' }),
          original: fc.record({
            offset: fc.maxSafeNat(),
            length: fc.oneof(fc.maxSafeNat(), fc.constant(-1)),
          }),
        }),
        { minLength: numbers.length, maxLength: numbers.length },
      )
      .map((rest) => numbers.sort((a, b) => a - b).map((line, index) => ({ line, ...rest[index]! }))),
  );

const small: RunLine[] = [
  { line: 3, text: 'three' },
  { line: 7, text: 'seven' },
];

describe('run file', () => {
  it('reads back as it was written: text, lengths, lines and originals', async () => {
    await fc.assert(
      fc.asyncProperty(linesArbitrary, async (lines) => {
        const objects = memoryStore();
        const run = (await writeRun(objects, 'run', lines))!;
        const text = lines.map((line) => `${line.text}\n`).join('');
        expect(Buffer.from((await objects.get(run.dataKey))!).equals(Buffer.from(text))).toBe(true);
        const { source, records } = await readIndex(objects, run);
        expect(source).toEqual(RUN_SOURCE);
        expect(records).toEqual(
          lines.map(({ line, text, original }) => ({ line, length: Buffer.byteLength(text) + 1, original })),
        );
        expect(run).toEqual({
          dataKey: 'work/run.jsonl',
          indexKey: 'work/run.index',
          lines: lines.length,
          bytes: Buffer.byteLength(text),
          firstLine: lines[0]!.line,
          lastLine: lines.at(-1)!.line,
        });
      }),
    );
  });

  it('writes a run that is larger than what is held back', async () => {
    const objects = memoryStore();
    const lines = Array.from({ length: 40_000 }, (_, index) => ({
      line: index + 1,
      text: `${index}`.padEnd(60, 'x'),
    }));
    const run = (await writeRun(objects, 'run', lines))!;
    expect(run).toMatchObject({ lines: 40_000, bytes: 40_000 * 61, firstLine: 1, lastLine: 40_000 });
    expect((await objects.get(run.dataKey))!.length).toBe(run.bytes);
    const { records } = await readIndex(objects, run);
    expect(records).toHaveLength(40_000);
    expect(records.at(-1)).toMatchObject({ line: 40_000, length: 61 });
  });

  it('is the same run however often its writing is suspended, and wherever', async () => {
    const keys = { data: 'work/run.jsonl', index: 'work/run.index' };
    await fc.assert(
      fc.asyncProperty(linesArbitrary, fc.func(fc.boolean()), async (lines, isSuspended) => {
        const whole = memoryStore();
        const expected = await writeRun(whole, 'run', lines);
        const objects = memoryStore();
        let writer = new RunWriter(objects, keys, RUN_SOURCE);
        for (const [index, { line, text, original }] of lines.entries()) {
          if (isSuspended(index)) {
            const state = structuredClone(await writer.suspend());
            writer = new RunWriter(objects, keys, RUN_SOURCE, state);
          }
          writer.add(line, Buffer.from(text), original!);
        }
        expect(await writer.close()).toEqual(expected);
        for (const key of [keys.data, keys.index])
          expect(await objects.get(key)).toEqual(await whole.get(key));
      }),
    );
  });

  it('writes nothing at all for a run without lines, suspended or not', async () => {
    const objects = memoryStore();
    const keys = { data: 'work/run.jsonl', index: 'work/run.index' };
    const state = await new RunWriter(objects, keys, RUN_SOURCE).suspend();
    expect(await new RunWriter(objects, keys, RUN_SOURCE, state).close()).toBeUndefined();
    expect(objects.keys()).toEqual([]);
  });

  it('writes nothing at all for a run without lines', async () => {
    const objects = memoryStore();
    expect(await writeRun(objects, 'run', [])).toBeUndefined();
    expect(objects.keys()).toEqual([]);
  });

  it('leaves nothing behind when it is aborted, before and after its first write', async () => {
    for (const text of ['x', 'x'.repeat(2_000_000)]) {
      const objects = memoryStore();
      const writer = new RunWriter(objects, { data: 'work/d', index: 'work/i' }, RUN_SOURCE);
      writer.add(1, Buffer.from(text), { offset: 0, length: 1 });
      await writer.flush();
      await writer.abort();
      expect(objects.keys()).toEqual([]);
    }
  });

  it('fails as corrupt when the index has other lines than the batch recorded', async () => {
    const objects = memoryStore();
    const run = (await writeRun(objects, 'run', small))!;
    await expect(readIndex(objects, { ...run, lines: 3 })).rejects.toBeInstanceOf(CorruptWorkFileError);
    await expect(readIndex(objects, { ...run, lines: 1 })).rejects.toBeInstanceOf(CorruptWorkFileError);
  });

  it('fails as corrupt for every single bit that flips in the index, and wherever it is cut short', async () => {
    const objects = memoryStore();
    const run = (await writeRun(objects, 'run', small))!;
    const index = (await objects.get(run.indexKey))!;
    const escaped: string[] = [];
    const expectCorrupt = async (what: string, bytes: Uint8Array): Promise<void> => {
      await objects.put(run.indexKey, bytes);
      const error = await readIndex(objects, run).then(
        () => 'read as if whole',
        (reason: unknown) => reason,
      );
      if (!(error instanceof CorruptWorkFileError)) escaped.push(`${what}: ${error}`);
    };
    for (let bit = 0; bit < index.length * 8; bit++) {
      const broken = new Uint8Array(index);
      broken[bit >> 3]! ^= 1 << (bit & 7);
      await expectCorrupt(`byte ${bit >> 3}, bit ${bit & 7}`, broken);
    }
    for (let length = 0; length < index.length; length++)
      await expectCorrupt(`${length} bytes`, index.subarray(0, length));
    expect(escaped.slice(0, 5)).toEqual([]);
  });

  it('fails as corrupt for a manifest in place of an index', async () => {
    const objects = memoryStore();
    const run = (await writeRun(objects, 'run', small))!;
    const index = Buffer.from((await objects.get(run.indexKey))!);
    index.write('BDMF', 0);
    await objects.put(run.indexKey, index);
    await expect(readIndex(objects, run)).rejects.toThrow(/BDMF.*BDRN/);
  });
});
