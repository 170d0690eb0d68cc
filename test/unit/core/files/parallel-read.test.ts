import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buffersFor, readInParallel } from '../../../../src/core/files/parallel-read.ts';
import type { ByteStream, ObjectStore } from '../../../../src/core/ports/objects.ts';
import { MemoryObjects } from '../../../support/memory/objects.ts';

const SOURCE = { bucket: 'b', key: 'k' };

async function storeOf(bytes: Uint8Array): Promise<MemoryObjects> {
  const objects = new MemoryObjects({ bucket: 'b' }, { now: () => 0 });
  await objects.put('k', bytes);
  return objects;
}

async function join(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(stream, (chunk) => new Uint8Array(chunk)));
}

/** A store whose reads can be watched, and give a byte at a time. */
function watched(bytes: Uint8Array, onRead: (start: number) => void = () => {}) {
  const state = { open: 0, most: 0, closed: 0 };
  const read: ObjectStore['read'] = async (_source, start = 0, end = bytes.length) => {
    onRead(start);
    state.most = Math.max(state.most, ++state.open);
    return (async function* (): ByteStream {
      try {
        for (let at = start; at < end; at++) yield bytes.subarray(at, at + 1);
      } finally {
        state.open--;
        state.closed++;
      }
    })();
  };
  return { objects: { read }, state };
}

test('the bytes come in order, for any size, range and number of reads', async () => {
  const sizes = { rangeBytes: fc.integer({ min: 1, max: 300 }), inFlight: fc.integer({ min: 1, max: 6 }) };
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), fc.record(sizes), async (bytes, options) => {
      const objects = await storeOf(bytes);
      expect((await join(readInParallel(objects, SOURCE, bytes.length, options))).equals(bytes)).toBe(true);
    }),
  );
});

test('never more ranges are read at a time than allowed, and none twice', async () => {
  const starts: number[] = [];
  const { objects, state } = watched(Buffer.alloc(1_000, 'x'), (start) => starts.push(start));
  await join(readInParallel(objects, SOURCE, 1_000, { rangeBytes: 100, inFlight: 3 }));
  expect(state).toEqual({ open: 0, most: 3, closed: 10 });
  expect(starts).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
});

test('a reader that stops early ends every read that was begun', async () => {
  const { objects, state } = watched(Buffer.alloc(1_000, 'x'));
  for await (const _ of readInParallel(objects, SOURCE, 1_000, { rangeBytes: 100, inFlight: 4 })) break;
  expect(state.open).toBe(0);
});

test('fails with the error of a range, after everything before it has come', async () => {
  const failing: Pick<ObjectStore, 'read'> = {
    read: async (_source, start = 0) => {
      if (start === 20) throw new Error('range 2 is broken');
      return (async function* () {
        yield Buffer.alloc(10, 'x');
      })();
    },
  };
  const got: Uint8Array[] = [];
  const reading = (async () => {
    for await (const chunk of readInParallel(failing, SOURCE, 50, { rangeBytes: 10 }))
      got.push(new Uint8Array(chunk));
  })();
  await expect(reading).rejects.toThrow('range 2 is broken');
  expect(Buffer.concat(got).length).toBe(20);
});

test('an empty object gives nothing and is not read', async () => {
  const { objects, state } = watched(Buffer.alloc(0));
  expect((await join(readInParallel(objects, SOURCE, 0))).length).toBe(0);
  expect(state.closed).toBe(0);
});

test('fails if a range gives more than was asked for', async () => {
  const generous: Pick<ObjectStore, 'read'> = {
    read: async () =>
      (async function* () {
        yield Buffer.alloc(11, 'x');
      })(),
  };
  await expect(join(readInParallel(generous, SOURCE, 50, { rangeBytes: 10 }))).rejects.toThrow(
    '10 bytes were read from byte 0 on, and more came',
  );
});

test('fails if the object is shorter than it was said to be, or a range in its middle is cut short', async () => {
  const short = await storeOf(Buffer.alloc(45, 'x'));
  const options = { rangeBytes: 10, inFlight: 2 };
  await expect(join(readInParallel(short, SOURCE, 50, options))).rejects.toThrow(
    '10 bytes were read from byte 40 on, and only 5 came',
  );
  await expect(join(readInParallel(short, SOURCE, 70, options))).rejects.toThrow('from byte 40 on');
  const torn: Pick<ObjectStore, 'read'> = {
    read: (source, start, end) => short.read(source, start, start === 20 ? 29 : end),
  };
  await expect(join(readInParallel(torn, SOURCE, 45, options))).rejects.toThrow(
    '10 bytes were read from byte 20 on, and only 9 came',
  );
});

test('a last range that is shorter than its buffer may not give more than was asked for either', async () => {
  const objects = await storeOf(Buffer.alloc(50, 'x'));
  const generous: Pick<ObjectStore, 'read'> = { read: (source, start) => objects.read(source, start, 50) };
  await expect(join(readInParallel(generous, SOURCE, 45, { rangeBytes: 30 }))).rejects.toThrow(
    '30 bytes were read from byte 0 on, and more came',
  );
});

test('reads into the buffers that it is given, which are as many and as large as is said', async () => {
  const bytes = Buffer.alloc(1_000, 'x');
  const ranges = fc.record({
    start: fc.integer({ min: 0, max: 1_000 }),
    rangeBytes: fc.integer({ min: 1, max: 1_500 }),
    inFlight: fc.integer({ min: 1, max: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(ranges, async (options) => {
      const { count, bytes: each } = buffersFor(bytes.length, options);
      const buffers = Array.from({ length: count }, () => new Uint8Array(each));
      const { objects } = watched(bytes);
      let read = 0;
      for await (const chunk of readInParallel(objects, SOURCE, bytes.length, { ...options, buffers })) {
        expect(buffers.map(({ buffer }) => buffer)).toContain(chunk.buffer);
        read += chunk.length;
      }
      expect(read).toBe(bytes.length - options.start);
    }),
  );
});

test('holds no more buffers than ranges that are read at a time', async () => {
  const { objects } = watched(Buffer.alloc(1_000, 'x'));
  const buffers = new Set<ArrayBufferLike>();
  for await (const chunk of readInParallel(objects, SOURCE, 1_000, { rangeBytes: 100, inFlight: 3 }))
    buffers.add(chunk.buffer);
  expect(buffers.size).toBe(3);
});
