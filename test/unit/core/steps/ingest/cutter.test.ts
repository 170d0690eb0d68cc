import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManifestEntries } from '../../../../../src/core/files/manifest.ts';
import { COALESCE_GAP_BYTES } from '../../../../../src/core/files/ranges.ts';
import type { BatchLimits } from '../../../../../src/core/model/limits.ts';
import { withOutputLimit } from '../../../../../src/core/model/output-limit.ts';
import type { RequestSpan } from '../../../../../src/core/requests/line-scanner.ts';
import {
  type Cuttable,
  Cutter,
  isShattered,
  type OpenBatch,
} from '../../../../../src/core/steps/ingest/cutter.ts';
import { OPENAI_LIMITS } from '../../../../../src/providers/openai/limits.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';

type Shape = Pick<Cuttable, 'endpoint' | 'model' | 'length' | 'embeddingInputs' | 'predictedOutputBytes'>;

const shapeArbitrary = (limits: fc.Arbitrary<number>): fc.Arbitrary<Shape> =>
  fc.record({
    endpoint: fc.constantFrom('/v1/responses' as const, '/v1/embeddings' as const),
    model: fc.constantFrom('a', 'b', 'c'),
    length: fc.integer({ min: 1, max: 60 }),
    embeddingInputs: fc.oneof(fc.constant(0), limits),
    predictedOutputBytes: fc.oneof(fc.constant(0), limits, fc.constant(Number.POSITIVE_INFINITY)),
  });

const limitsArbitrary: fc.Arbitrary<BatchLimits> = fc.record({
  requests: fc.integer({ min: 1, max: 10 }),
  bytes: fc.integer({ min: 1, max: 200 }),
  embeddingInputs: fc.integer({ min: 1, max: 50 }),
  outputBytes: fc.integer({ min: 1, max: 200 }),
});

/** Lays requests side by side, as lines of one file, `gap` bytes apart. */
function layOut(shapes: readonly Shape[], gap = 1): Cuttable[] {
  let offset = 0;
  return shapes.map((shape, index) => {
    const request = {
      ...shape,
      line: index + 1,
      offset,
      hash0: index,
      hash1: 1,
      textBytes: index,
      dataUrlBytes: 2 * index,
    };
    offset += shape.length + gap;
    return request;
  });
}

function cut(requests: readonly Cuttable[], limits: BatchLimits = OPENAI_LIMITS): OpenBatch[] {
  const batches: OpenBatch[] = [];
  const cutter = new Cutter(limits, (batch) => batches.push(batch));
  for (const request of requests) {
    const { entries } = cutter.add(request);
    const last = entries.count - 1;
    if (entries.line(last) !== request.line || entries.offset(last) !== request.offset)
      throw new Error(`line ${request.line} is not the last entry of the batch it was put into`);
  }
  cutter.finish();
  return batches;
}

const linesOf = ({ entries }: OpenBatch): number[] =>
  Array.from({ length: entries.count }, (_, index) => entries.line(index));

describe('Cutter', () => {
  it('puts every request into exactly one batch of its model and endpoint, in order, within every limit', () => {
    fc.assert(
      fc.property(
        fc.array(shapeArbitrary(fc.nat({ max: 80 })), { maxLength: 80 }),
        limitsArbitrary,
        (shapes, limits) => {
          const requests = layOut(shapes);
          const batches = cut(requests, limits);
          expect(batches.flatMap(linesOf).sort((a, b) => a - b)).toEqual(requests.map(({ line }) => line));
          for (const batch of batches) {
            const lines = linesOf(batch);
            expect(lines.length).toBeGreaterThan(0);
            expect(lines).toEqual([...lines].sort((a, b) => a - b));
            const members = lines.map((line) => requests[line - 1]!);
            for (const { model, endpoint } of members) {
              expect({ model, endpoint }).toEqual({ model: batch.model, endpoint: batch.endpoint });
            }
            const sum = (of: (request: Cuttable) => number): number =>
              members.reduce((total, member) => total + of(member), 0);
            expect(batch.bytes).toBe(sum(({ length }) => length + 1));
            expect(batch.embeddingInputs).toBe(sum(({ embeddingInputs }) => embeddingInputs));
            expect(batch.outputBytes).toBe(sum(({ predictedOutputBytes }) => predictedOutputBytes));
            if (members.length === 1) continue;
            expect(members.length).toBeLessThanOrEqual(limits.requests);
            expect(batch.bytes).toBeLessThanOrEqual(limits.bytes);
            expect(batch.embeddingInputs).toBeLessThanOrEqual(limits.embeddingInputs);
            expect(batch.outputBytes).toBeLessThanOrEqual(limits.outputBytes);
          }
        },
      ),
      { numRuns: propertyRuns(500) },
    );
  });

  it('cuts spans of requests as it does the requests one by one', () => {
    /** Consecutive requests of one group, in spans of these sizes at most. */
    function* spansOf(requests: readonly Cuttable[], sizes: readonly number[]): Generator<RequestSpan> {
      for (let at = 0, turn = 0; at < requests.length; turn++) {
        const { endpoint, model } = requests[at]!;
        const others = requests.slice(at, at + sizes[turn % sizes.length]!);
        const ends = others.findIndex((one) => one.model !== model || one.endpoint !== endpoint);
        const members = ends < 0 ? others : others.slice(0, ends);
        const entries = new ManifestEntries();
        for (const { line, offset, length, outputLimit, hash0, hash1 } of members)
          entries.push({ line, offset, length, tried: withOutputLimit(0, outputLimit), hash0, hash1 });
        const sum = (of: (request: Cuttable) => number): number =>
          members.reduce((total, member) => total + of(member), 0);
        const last = members.at(-1)!;
        yield {
          endpoint,
          model,
          count: members.length,
          start: members[0]!.offset,
          end: last.offset + last.length,
          length: sum(({ length }) => length),
          embeddingInputs: sum(({ embeddingInputs }) => embeddingInputs),
          predictedOutputBytes: sum(({ predictedOutputBytes }) => predictedOutputBytes),
          textBytes: sum(({ textBytes }) => textBytes),
          dataUrlBytes: sum(({ dataUrlBytes }) => dataUrlBytes),
          entries: entries.bytes(),
          hashes: new Uint32Array(0),
          requests: () =>
            members.map((request) => ({
              outputLimit: undefined,
              ...request,
              bytes: () => new Uint8Array(0),
              copyTo: () => {},
              customId: () => '',
            })),
        };
        at += members.length;
      }
    }
    const gapsArbitrary = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.constant(1) },
        { weight: 1, arbitrary: fc.constantFrom(COALESCE_GAP_BYTES, COALESCE_GAP_BYTES + 1, 3_000_000) },
      ),
      { minLength: 1, maxLength: 30 },
    );
    const sizesArbitrary = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(
        fc.array(shapeArbitrary(fc.nat({ max: 20 })), { maxLength: 120 }),
        fc.constantFrom(1, 400_000),
        gapsArbitrary,
        sizesArbitrary,
        limitsArbitrary,
        fc.integer({ min: 1, max: 40 }),
        (shapes, scale, gaps, sizes, tight, maxOpenRequests) => {
          const requests: Cuttable[] = [];
          let offset = 0;
          for (const [index, request] of layOut(shapes).entries()) {
            const length = request.length * scale;
            requests.push({ ...request, offset, length, outputLimit: index % 3 === 0 ? index : undefined });
            offset += length + gaps[index % gaps.length]!;
          }
          const limits = { ...tight, bytes: tight.bytes * scale };
          const take = (put: (cutter: Cutter) => void) => {
            const batches: unknown[] = [];
            const keep = ({ entries, ...batch }: OpenBatch) =>
              batches.push({ ...batch, entries: Buffer.from(entries.bytes()).toString('hex') });
            const cutter = new Cutter(limits, keep, { maxOpenRequests });
            put(cutter);
            const { isShattered: found, groups } = cutter;
            cutter.finish();
            return { batches, found, groups };
          };
          const together = take((cutter) => {
            for (const span of spansOf(requests, sizes)) cutter.addSpan(span);
          });
          const oneByOne = take((cutter) => {
            for (const request of requests) cutter.add(request);
          });
          expect(together).toEqual(oneByOne);
        },
      ),
      { numRuns: propertyRuns(1_000) },
    );
  });

  it('makes no batch smaller than it must: the next request of the group would not have fitted', () => {
    fc.assert(
      fc.property(
        fc.array(shapeArbitrary(fc.nat({ max: 40 })), { maxLength: 60 }),
        limitsArbitrary,
        (shapes, limits) => {
          const requests = layOut(shapes);
          const batches = cut(requests, limits);
          for (const [index, batch] of batches.entries()) {
            const next = batches
              .slice(index + 1)
              .find(({ model, endpoint }) => model === batch.model && endpoint === batch.endpoint);
            if (next === undefined) continue;
            const first = requests[next.entries.line(0) - 1]!;
            const fits =
              batch.entries.count + 1 <= limits.requests &&
              batch.bytes + first.length + 1 <= limits.bytes &&
              batch.embeddingInputs + first.embeddingInputs <= limits.embeddingInputs &&
              batch.outputBytes + first.predictedOutputBytes <= limits.outputBytes;
            expect(fits).toBe(false);
          }
        },
      ),
    );
  });

  const shape: Shape = {
    endpoint: '/v1/responses',
    model: 'm',
    length: 10,
    embeddingInputs: 0,
    predictedOutputBytes: 1,
  };

  it.each<[string, Partial<Shape>]>([
    ['bytes', { length: 500 }],
    ['embedding inputs', { embeddingInputs: 500 }],
    ['predicted output bytes', { predictedOutputBytes: 500 }],
    ['an endless predicted output', { predictedOutputBytes: Number.POSITIVE_INFINITY }],
  ])('gives a request that alone exceeds the limit of %s a batch of its own', (_what, excess) => {
    const limits = { requests: 100, bytes: 100, embeddingInputs: 100, outputBytes: 100 };
    const requests = layOut([shape, { ...shape, ...excess }, shape, shape]);
    expect(cut(requests, limits).map(linesOf)).toEqual([[1], [2], [3, 4]]);
  });

  it('cuts at exactly the number of requests: 120,001 become 50,000, 50,000 and 20,001', () => {
    const batches = cut(layOut(new Array(120_001).fill(shape)));
    expect(batches.map(({ entries }) => entries.count)).toEqual([50_000, 50_000, 20_001]);
    expect(batches[1]!.entries.line(0)).toBe(50_001);
  });

  it('cuts at exactly the bytes: a batch may be as large as the limit, line feeds counted', () => {
    const limits = { ...OPENAI_LIMITS, bytes: 33 };
    expect(cut(layOut(new Array(4).fill(shape)), limits).map(linesOf)).toEqual([[1, 2, 3], [4]]);
    expect(cut(layOut(new Array(4).fill(shape)), { ...limits, bytes: 32 }).map(linesOf)).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it('does not confuse groups whose names run together', () => {
    const requests = layOut([
      { ...shape, model: 'a' },
      { ...shape, model: 'a\0b' },
      { ...shape, model: '' },
      { ...shape, endpoint: '/v1/embeddings', model: 'a' },
    ]);
    expect(cut(requests)).toHaveLength(4);
  });

  it('counts pairs of model and endpoint, not batches', () => {
    const cutter = new Cutter({ ...OPENAI_LIMITS, requests: 1 }, () => {});
    for (const request of layOut([shape, shape, { ...shape, model: 'x' }, shape])) cutter.add(request);
    expect(cutter.groups).toBe(2);
  });

  it('gives no batch where no request came, and none twice', () => {
    const batches: OpenBatch[] = [];
    const cutter = new Cutter(OPENAI_LIMITS, (batch) => batches.push(batch));
    cutter.finish();
    expect(batches).toHaveLength(0);
    for (const request of layOut([shape])) cutter.add(request);
    cutter.finish();
    cutter.finish();
    expect(batches).toHaveLength(1);
  });
});

describe('a file whose models take turns', () => {
  /** Lines of 4 KB, of 200 models in turn: each is a range of its own. */
  const shatteredAfter = (totalBytes: number): number | undefined => {
    const [like] = layOut([
      { endpoint: '/v1/responses', model: '', length: 0, embeddingInputs: 0, predictedOutputBytes: 0 },
    ]) as [Cuttable];
    const cutter = new Cutter(OPENAI_LIMITS, () => {}, { totalBytes });
    for (let line = 1; line * 4_001 <= totalBytes; line++) {
      cutter.add({ ...like, model: `m-${line % 200}`, line, offset: line * 4_001, length: 4_000 });
      if (cutter.isShattered) return line * 4_001;
    }
    return undefined;
  };

  it('is known to be shattered long before it is, where it is large', () => {
    expect(shatteredAfter(2_000_000_000)).toBeLessThan(60_000_000);
  });

  it('is not shattered where its batches will have few ranges', () => {
    expect(shatteredAfter(500_000_000)).toBeUndefined();
  });
});

describe('isShattered', () => {
  const lines = (models: number, count: number, length: number): Shape[] =>
    Array.from({ length: count }, (_, index) => ({
      endpoint: '/v1/responses',
      model: `m${index % models}`,
      length,
      embeddingInputs: 0,
      predictedOutputBytes: 1,
    }));

  it('is false for one model, however many lines', () => {
    expect(cut(layOut(lines(1, 50_000, 1_000))).some(isShattered)).toBe(false);
  });

  it('is false for two models line by line: reading over one of them costs less than a copy', () => {
    expect(cut(layOut(lines(2, 50_000, 1_000))).some(isShattered)).toBe(false);
  });

  it('is true for five models line by line in a large file', () => {
    expect(cut(layOut(lines(5, 20_000, 1_000))).some(isShattered)).toBe(true);
  });

  it('is false for five models line by line in a small file', () => {
    expect(cut(layOut(lines(5, 5_000, 1_000))).some(isShattered)).toBe(false);
  });

  it('is false for five models one after the other', () => {
    const sorted = lines(5, 20_000, 1_000).sort((a, b) => a.model.localeCompare(b.model));
    expect(cut(layOut(sorted)).some(isShattered)).toBe(false);
  });

  it('is true for more than a thousand ranges that lie far apart', () => {
    const far = layOut(lines(1, 1_001, 10), COALESCE_GAP_BYTES + 1);
    expect(cut(far).some(isShattered)).toBe(true);
    expect(cut(far.slice(0, 1_000)).some(isShattered)).toBe(false);
  });
});

describe('even cuts', () => {
  const LIMITS = { ...OPENAI_LIMITS, bytes: 1_000 };
  function cutEvenly(lengths: readonly number[], models: readonly string[] = ['m']): OpenBatch[] {
    const batches: OpenBatch[] = [];
    const totalBytes = lengths.reduce((sum, length) => sum + length + 1, 0);
    const cutter = new Cutter(LIMITS, (batch) => batches.push(batch), { totalBytes });
    let offset = 0;
    for (const [index, length] of lengths.entries()) {
      cutter.add({
        endpoint: '/v1/responses',
        model: models[index % models.length]!,
        line: index + 1,
        offset,
        length,
        hash0: index,
        hash1: 0,
        embeddingInputs: 0,
        predictedOutputBytes: 0,
        textBytes: 0,
        dataUrlBytes: 0,
      });
      offset += length + 1;
    }
    cutter.finish();
    return batches;
  }

  it('a file that is little larger than a batch becomes two halves', () => {
    const batches = cutEvenly(Array.from({ length: 22 }, () => 49));
    expect(batches.map(({ bytes }) => bytes)).toEqual([550, 550]);
  });

  it('any file becomes as many batches as its bytes need, one more at the most, of much the same size', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 400 }), (lengths) => {
        const batches = cutEvenly(lengths);
        const total = lengths.reduce((sum, length) => sum + length + 1, 0);
        const needed = Math.ceil(total / LIMITS.bytes);
        expect(batches.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(total);
        expect(batches.length).toBeLessThanOrEqual(needed + 1);
        for (const { bytes } of batches) expect(bytes).toBeLessThanOrEqual(LIMITS.bytes);
        for (const { bytes } of batches.slice(0, -1)) expect(bytes).toBeGreaterThan(total / needed - 100);
      }),
    );
  });

  it('a model that fits into one batch is not divided because of others', () => {
    const batches = cutEvenly(
      Array.from({ length: 30 }, () => 49),
      ['a', 'b'],
    );
    expect(batches.map(({ bytes }) => bytes)).toEqual([750, 750]);
  });
});
