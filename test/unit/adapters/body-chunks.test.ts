import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BodyChunks, release } from '../../../src/adapters/body-chunks.ts';
import { propertyRuns } from '../../support/property-runs.ts';

/** What comes out, copied, and what went wrong then, if anything did. */
async function drain(body: Readable): Promise<{ bytes: Buffer; error?: unknown }> {
  const chunks = new BodyChunks(body);
  const copies: Uint8Array[] = [];
  try {
    for (let next = await chunks.next(); !next.done; next = await chunks.next())
      copies.push(new Uint8Array(next.value));
  } catch (error) {
    return { bytes: Buffer.concat(copies), error };
  }
  return { bytes: Buffer.concat(copies) };
}

describe('the chunks of a body', () => {
  test('are those of the stream, whenever they come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ bytes: fc.uint8Array({ minLength: 1, maxLength: 40_000 }), isLate: fc.boolean() }),
        ),
        async (pieces) => {
          const expected = Buffer.concat(pieces.map(({ bytes }) => bytes));
          const body = Readable.from(
            (async function* () {
              for (const { bytes, isLate } of pieces) {
                if (isLate) await new Promise(setImmediate);
                yield Buffer.from(new Uint8Array(bytes).buffer);
              }
            })(),
            { objectMode: false },
          );
          const { bytes, error } = await drain(body);
          expect(error).toBeUndefined();
          expect(bytes.equals(expected)).toBe(true);
        },
      ),
      { numRuns: propertyRuns(200) },
    );
  });

  test('are not put together: each is the one that came', async () => {
    const body = new PassThrough();
    const sent = [Buffer.alloc(20_000, 1), Buffer.alloc(30_000, 2)];
    for (const chunk of sent) body.write(chunk);
    body.end();
    const chunks = new BodyChunks(body);
    expect((await chunks.next()).value).toBe(sent[0]);
    expect((await chunks.next()).value).toBe(sent[1]);
    expect(await chunks.next()).toEqual({ done: true, value: undefined });
    expect(await chunks.next()).toEqual({ done: true, value: undefined });
  });

  test('are freed one by one, when the next one is asked for', async () => {
    const sent = [new Uint8Array(20_000), new Uint8Array(20_000)].map(({ buffer }) => Buffer.from(buffer));
    const body = new PassThrough();
    for (const chunk of sent) body.write(chunk);
    body.end();
    const chunks = new BodyChunks(body);
    await chunks.next();
    expect(sent.map(({ length }) => length)).toEqual([20_000, 20_000]);
    await chunks.next();
    expect(sent.map(({ length }) => length)).toEqual([0, 20_000]);
    await chunks.next();
    expect(sent.map(({ length }) => length)).toEqual([0, 0]);
  });

  test('end with the error of the stream, however often one asks', async () => {
    const broken = new Error('broken');
    const body = new PassThrough();
    const chunks = new BodyChunks(body);
    body.write(Buffer.alloc(10, 7));
    expect((await chunks.next()).value).toEqual(Buffer.alloc(10, 7));
    body.destroy(broken);
    await expect(chunks.next()).rejects.toBe(broken);
    await expect(chunks.next()).rejects.toBe(broken);
  });

  test('end with an error where the stream just stops', async () => {
    const body = new PassThrough();
    const reading = drain(body);
    body.write(Buffer.alloc(10));
    await new Promise(setImmediate);
    body.destroy();
    const { bytes, error } = await reading;
    expect(bytes).toHaveLength(10);
    expect(error).toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
  });

  test('hold the stream back while no chunk is asked for', async () => {
    let made = 0;
    const body = new Readable({
      highWaterMark: 64 * 1024,
      read() {
        made++;
        this.push(Buffer.alloc(32 * 1024));
      },
    });
    const chunks = new BodyChunks(body);
    await chunks.next();
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect(made).toBeLessThan(6);
    body.destroy();
  });
});

describe('letting go', () => {
  test('leaves alone what shares its buffer with others', () => {
    const pool = new Uint8Array(100_000).fill(5);
    release(pool.subarray(0, 50_000));
    expect(pool).toHaveLength(100_000);
    expect(pool[0]).toBe(5);
  });

  test('leaves alone what is small', () => {
    const small = new Uint8Array(1_000);
    release(small);
    expect(small).toHaveLength(1_000);
  });
});
