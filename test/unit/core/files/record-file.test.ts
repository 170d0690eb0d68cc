import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import { RECORD_BYTES, RecordFileEncoder, readRecordFile } from '../../../../src/core/files/record-file.ts';
import { chunkSizesArbitrary, cut } from '../../../support/bytes.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

const MAGIC = 'BDXX';

/** @param blocks numbers of records that are written together. */
function encode(header: unknown, records: Uint8Array, blocks: readonly number[] = [1]): Buffer {
  const encoder = new RecordFileEncoder(MAGIC);
  const pieces = [encoder.start(header)];
  for (const block of cut(
    records,
    blocks.map((count) => count * RECORD_BYTES),
  ))
    pieces.push(encoder.records(block));
  return Buffer.concat([...pieces, encoder.finish()]);
}

async function decode(
  chunks: readonly Uint8Array[],
  magic = MAGIC,
): Promise<{ header: unknown; records: Buffer }> {
  let header: unknown;
  const records: Buffer[] = [];
  async function* stream(): AsyncGenerator<Uint8Array> {
    yield* chunks;
  }
  for await (const piece of readRecordFile(stream(), magic, 'work/x')) {
    if ('header' in piece) header = piece.header;
    else {
      expect(piece.records.byteLength).toBe(piece.count * RECORD_BYTES);
      records.push(
        Buffer.from(new Uint8Array(piece.records.buffer, piece.records.byteOffset, piece.records.byteLength)),
      );
    }
  }
  return { header, records: Buffer.concat(records) };
}

const recordsArbitrary = fc
  .array(fc.uint8Array({ minLength: RECORD_BYTES, maxLength: RECORD_BYTES }), { maxLength: 12 })
  .map((records) => Buffer.concat(records));

describe('record file', () => {
  it('reads back as it was written, however it was written and in whatever chunks it comes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue(),
        recordsArbitrary,
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
        chunkSizesArbitrary(100),
        async (header, records, blocks, sizes) => {
          const file = encode(header, records, blocks);
          const read = await decode(cut(file, sizes));
          expect(read.header).toEqual(JSON.parse(JSON.stringify(header)));
          expect(read.records.equals(records)).toBe(true);
        },
      ),
      { numRuns: propertyRuns(300) },
    );
  });

  it('reads back a file without records, byte by byte', async () => {
    const read = await decode(cut(encode({ a: 'ü' }, Buffer.alloc(0)), [1]));
    expect(read).toEqual({ header: { a: 'ü' }, records: Buffer.alloc(0) });
  });

  it('has the layout that its documentation shows', () => {
    const file = encode({ a: 1 }, Buffer.alloc(2 * RECORD_BYTES, 7), [2]);
    expect(file.toString('latin1', 0, 4)).toBe(MAGIC);
    expect([file.readUInt16LE(4), file.readUInt16LE(6), file.readUInt32LE(8)]).toEqual([1, 32, 7]);
    expect(file.toString('utf8', 12, 19)).toBe('{"a":1}');
    expect(file.length).toBe(12 + 7 + 64 + 12);
    expect(file.readDoubleLE(file.length - 12)).toBe(2);
  });

  const small = encode(
    { source: { key: 'k' } },
    Buffer.from(Array.from({ length: 64 }, (_, index) => index)),
  );

  it('fails as corrupt for every single bit that flips', async () => {
    const escaped: string[] = [];
    for (let bit = 0; bit < small.length * 8; bit++) {
      const broken = Buffer.from(small);
      broken[bit >> 3]! ^= 1 << (bit & 7);
      const error = await decode([broken]).then(
        () => 'read as if whole',
        (reason: unknown) => reason,
      );
      if (!(error instanceof CorruptWorkFileError))
        escaped.push(`byte ${bit >> 3}, bit ${bit & 7}: ${error}`);
    }
    expect(escaped.slice(0, 5)).toEqual([]);
  });

  it('fails as corrupt wherever it is cut short', async () => {
    for (let length = 0; length < small.length; length++) {
      await expect(decode([small.subarray(0, length)]), `${length} bytes`).rejects.toBeInstanceOf(
        CorruptWorkFileError,
      );
      await expect(decode(cut(small.subarray(0, length), [7]))).rejects.toBeInstanceOf(CorruptWorkFileError);
    }
  });

  it('fails as corrupt when something follows it', async () => {
    for (const extra of [1, 12, 31, 32, 33, 64]) {
      const longer = Buffer.concat([small, Buffer.alloc(extra)]);
      await expect(decode([longer]), `${extra} bytes more`).rejects.toBeInstanceOf(CorruptWorkFileError);
    }
    await expect(decode([small, small])).rejects.toBeInstanceOf(CorruptWorkFileError);
  });

  it('fails as corrupt when a record was lost or two changed places', async () => {
    const start = small.length - 12 - 64;
    const [one, two] = [small.subarray(start, start + 32), small.subarray(start + 32, start + 64)];
    const [before, after] = [small.subarray(0, start), small.subarray(start + 64)];
    await expect(decode([before, one, after])).rejects.toBeInstanceOf(CorruptWorkFileError);
    await expect(decode([before, two, one, after])).rejects.toBeInstanceOf(CorruptWorkFileError);
  });

  it('fails for a file of another kind, and says what it found and where', async () => {
    await expect(decode([small], 'BDYY')).rejects.toThrow(/work\/x.*BDXX.*BDYY/);
    await expect(decode([Buffer.from('{"v":1,"jobId":"x"}')])).rejects.toThrow(CorruptWorkFileError);
  });
});
