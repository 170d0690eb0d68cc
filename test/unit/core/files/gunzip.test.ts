import { constants, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ObjectGoneError } from '../../../../src/core/base/errors.ts';
import { GzipError, gunzip, isGzip, MAX_GZIP_RATIO } from '../../../../src/core/files/gunzip.ts';
import { chunkSizesArbitrary, collectBytes, cut } from '../../../support/bytes.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

async function* stream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

const unpack = (packed: Uint8Array, sizes: readonly number[] = [packed.length || 1]): Promise<Buffer> =>
  collectBytes(gunzip(stream(cut(packed, sizes))));

/** The error that reading ends with; unpacked bytes are not kept. */
async function failureOf(source: AsyncIterable<Uint8Array>): Promise<unknown> {
  try {
    for await (const chunk of gunzip(source)) expect(chunk.length).toBeGreaterThan(0);
    return 'no failure';
  } catch (error) {
    return error;
  }
}

const TEXT = Buffer.from('{"custom_id":"a"}\n'.repeat(1_000));

describe('isGzip', () => {
  it('goes by the first two bytes alone', () => {
    expect(isGzip(gzipSync('x'))).toBe(true);
    expect(isGzip(Uint8Array.from([0x1f, 0x8b]))).toBe(true);
    for (const bytes of [[], [0x1f], [0x8b, 0x1f], [0x7b, 0x22], [0x50, 0x4b], [0x28, 0xb5]])
      expect(isGzip(Uint8Array.from(bytes))).toBe(false);
  });
});

describe('gunzip', () => {
  it('gives back any bytes from any number of members in any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 4 }),
        chunkSizesArbitrary(60),
        async (members, sizes) => {
          const packed = Buffer.concat(members.map((member) => gzipSync(member)));
          expect((await unpack(packed, sizes)).equals(Buffer.concat(members))).toBe(true);
        },
      ),
      { numRuns: propertyRuns(100) },
    );
  });

  it('continues with the next member where a chunk ends with the one before', async () => {
    const member = gzipSync(TEXT);
    const twice = await collectBytes(gunzip(stream([new Uint8Array(member), new Uint8Array(member)])));
    expect(twice.equals(Buffer.concat([TEXT, TEXT]))).toBe(true);
  });

  it('reads members with a name, a comment and an extra field, as gzip(1) and pigz write them', async () => {
    const plain = gzipSync(TEXT);
    const named = Buffer.concat([
      Buffer.from([0x1f, 0x8b, 8, 0x08 | 0x10, 0, 0, 0, 0, 0, 3]),
      Buffer.from('nightly.jsonl\0a comment\0'),
      plain.subarray(10),
    ]);
    expect((await unpack(named)).equals(TEXT)).toBe(true);
  });

  it('reads stored blocks and an empty member', async () => {
    const stored = gzipSync(TEXT, { level: constants.Z_NO_COMPRESSION });
    expect((await unpack(Buffer.concat([gzipSync(''), stored]))).equals(TEXT)).toBe(true);
  });

  it('accepts zeros after the last member: tapes and block devices pad with them', async () => {
    for (const sizes of [[100_000], [7]]) {
      const padded = Buffer.concat([gzipSync(TEXT), Buffer.alloc(512)]);
      expect((await unpack(padded, sizes)).equals(TEXT)).toBe(true);
    }
  });

  it('drops nothing silently: a member after padding is read, or the file is refused', async () => {
    const packed = Buffer.concat([gzipSync(TEXT), Buffer.alloc(8), gzipSync(TEXT)]);
    for (const sizes of [[100_000], [11]]) {
      const result = await unpack(packed, sizes).catch((error: unknown) => error);
      if (result instanceof GzipError) expect(result.code).toBe('gzip_corrupt');
      else expect((result as Buffer).length).toBe(2 * TEXT.length);
    }
  });

  it.each<[string, Uint8Array]>([
    ['the magic alone', Uint8Array.from([0x1f, 0x8b])],
    ['a cut header', gzipSync(TEXT).subarray(0, 7)],
    ['a cut body', gzipSync(TEXT).subarray(0, -20)],
    ['a missing trailer', gzipSync(TEXT).subarray(0, -8)],
    ['a trailer that lacks one byte', gzipSync(TEXT).subarray(0, -1)],
    ['another compression method', Buffer.concat([Buffer.from([0x1f, 0x8b, 9]), gzipSync(TEXT).subarray(3)])],
    ['a wrong checksum', flip(gzipSync(TEXT), -6)],
    ['a wrong length', flip(gzipSync(TEXT), -2)],
    ['a flipped byte in the body', flip(gzipSync(TEXT), 30)],
    ['text after the member', Buffer.concat([gzipSync(TEXT), Buffer.from('{"custom_id":"b"}\n')])],
    ['a second member that is cut', Buffer.concat([gzipSync(TEXT), gzipSync(TEXT).subarray(0, 15)])],
  ])('fails as corrupt for %s, whatever the chunks are', async (_what, packed) => {
    for (const sizes of [[100_000], [1], [13]]) {
      const error = await failureOf(stream(cut(packed, sizes)));
      expect(error).toBeInstanceOf(GzipError);
      expect(error).toMatchObject({ code: 'gzip_corrupt', name: 'GzipError' });
    }
  });

  it('fails for a bomb soon after the size from which its ratio matters', async () => {
    const packed = gzipSync(Buffer.alloc(120_000_000));
    expect(120_000_000 / packed.length).toBeGreaterThan(MAX_GZIP_RATIO);
    let unpacked = 0;
    const reading = (async () => {
      for await (const chunk of gunzip(stream(cut(packed, [65_536])))) unpacked += chunk.length;
    })();
    await expect(reading).rejects.toMatchObject({ name: 'GzipError', code: 'gzip_too_large' });
    expect(unpacked).toBeLessThan(60_000_000);
  });

  it('accepts the same ratio in a small file', async () => {
    const repeated = Buffer.alloc(5_000_000, 'a\n');
    expect((await unpack(gzipSync(repeated))).equals(repeated)).toBe(true);
  });

  it('passes an error of the source on as it is, before, between and after bytes', async () => {
    const packed = gzipSync(TEXT);
    for (const whole of [[], [packed.subarray(0, 20)], [packed]]) {
      const gone = new ObjectGoneError('s3://b/k is gone');
      const source = (async function* () {
        yield* whole;
        throw gone;
      })();
      expect(await failureOf(source)).toBe(gone);
    }
  });

  it('leaves the source when its reader stops early', async () => {
    let left = false;
    const packed = gzipSync(
      Buffer.concat(Array.from({ length: 200 }, (_, index) => Buffer.alloc(50_000, String(index)))),
    );
    const source = (async function* () {
      try {
        for (;;) yield* cut(packed, [1_000]);
      } finally {
        left = true;
      }
    })();
    for await (const chunk of gunzip(source)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    // The source is left in a tick of its own.
    for (let tick = 0; tick < 10 && !left; tick++) await new Promise((resolve) => setImmediate(resolve));
    expect(left).toBe(true);
  });
});

/** A copy with one bit flipped in the byte at `at`, counted from the end if negative. */
function flip(bytes: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at < 0 ? copy.length + at : at]! ^= 0x10;
  return copy;
}
