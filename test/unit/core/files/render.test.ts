import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import { ManifestEntries, renderedBytes } from '../../../../src/core/files/manifest.ts';
import { renderBatch } from '../../../../src/core/files/render.ts';
import { collectBytes, collectItems } from '../../../support/bytes.ts';
import { memoryStore, putSource, watchReads } from '../../../support/memory-store.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

const KEY = 'input/a.jsonl';

interface Piece {
  gap: number;
  length: number;
}

/** Lines in a source with anything between them. */
function layOut(pieces: readonly Piece[]): { source: Buffer; entries: ManifestEntries; expected: Buffer } {
  const source: Buffer[] = [];
  const lines: Buffer[] = [];
  const entries = new ManifestEntries();
  let at = 0;
  for (const [index, { gap, length }] of pieces.entries()) {
    const line = Buffer.alloc(length, `line-${index};`);
    source.push(Buffer.alloc(gap, 0x0d), line);
    lines.push(line, Buffer.from('\n'));
    entries.push({ line: index + 1, offset: at + gap, length, tried: 0, hash0: index, hash1: 1 });
    at += gap + length;
  }
  return { source: Buffer.concat(source), entries, expected: Buffer.concat(lines) };
}

async function render(source: Buffer, entries: ManifestEntries) {
  const objects = memoryStore();
  const { objects: watched, reads } = watchReads(objects);
  const manifest = { source: await putSource(objects, KEY, source), entries };
  return { rendered: await collectBytes(renderBatch(watched, manifest)), reads };
}

const CHUNK_BYTES = 256 * 1024;

describe('renderBatch', () => {
  it('gives every line with one line feed, and exactly the bytes that the manifest says', async () => {
    const size = fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 1, max: 300 }) },
      { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 140_000 }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ gap: fc.nat({ max: 300 }), length: size }), { maxLength: 25 }),
        async (pieces) => {
          const { source, entries, expected } = layOut(pieces);
          const { rendered } = await render(source, entries);
          expect(rendered.equals(expected)).toBe(true);
          expect(rendered.length).toBe(renderedBytes(entries));
        },
      ),
      { numRuns: propertyRuns(200) },
    );
  });

  it.each([-2, -1, 0, 1, 2])(
    'is right where a line ends %i bytes beside the end of an output chunk',
    async (beside) => {
      const { source, entries, expected } = layOut([
        { gap: 3, length: CHUNK_BYTES + beside },
        { gap: 1, length: CHUNK_BYTES - 1 },
        { gap: 0, length: 1 },
        { gap: 9, length: 2 * CHUNK_BYTES },
      ]);
      expect((await render(source, entries)).rendered.equals(expected)).toBe(true);
    },
  );

  it('keeps its chunks apart: each may be used after the next was asked for', async () => {
    const { source, entries, expected } = layOut(new Array(2_000).fill({ gap: 2, length: 999 }));
    const objects = memoryStore();
    const manifest = { source: await putSource(objects, KEY, source), entries };
    const chunks = await collectItems(renderBatch(objects, manifest));
    expect(Buffer.concat(chunks).equals(expected)).toBe(true);
    expect(Math.max(...chunks.map(({ length }) => length))).toBe(CHUNK_BYTES);
  });

  it('reads a dense batch of 10,000 lines with one request', async () => {
    const { source, entries } = layOut(new Array(10_000).fill({ gap: 1, length: 100 }));
    expect((await render(source, entries)).reads).toHaveLength(1);
  });

  it('gives nothing for an empty manifest', async () => {
    expect(await render(Buffer.from('x'), new ManifestEntries())).toEqual({
      rendered: Buffer.alloc(0),
      reads: [],
    });
  });

  it('fails for a source that is shorter than the manifest says', async () => {
    const { source, entries } = layOut(new Array(10).fill({ gap: 1, length: 100 }));
    await expect(render(source.subarray(0, -1), entries)).rejects.toBeInstanceOf(CorruptWorkFileError);
  });
});
