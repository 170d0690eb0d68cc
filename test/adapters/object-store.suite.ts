import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ObjectGoneError } from '../../src/core/errors.ts';
import type { ByteStream, ObjectStore } from '../../src/core/ports.ts';

/** A store to test, with what the port does not offer. */
export interface ObjectStoreFixture {
  objects: ObjectStore;
  bucket: string;
  isVersioned: boolean;
  /** How many multipart uploads were begun and neither ended nor given up. */
  countOpenUploads(): Promise<number>;
  close(): Promise<void>;
}

const ODD_KEYS = [
  'work/plain.bin',
  'work/with space + plus & ampersand?question#hash.jsonl',
  'work/ünï-日本-🙂/%41%2f percent.jsonl',
  'work/quotes\'"(parens)*!~;:@,=$.jsonl',
  'work//double//slash/./dot',
];

/** What every {@link ObjectStore} does. */
export function describeObjectStore(name: string, start: () => Promise<ObjectStoreFixture>): void {
  describe(`object store: ${name}`, () => {
    let fixture: ObjectStoreFixture;
    let objects: ObjectStore;
    let bucket: string;
    let keysMade = 0;
    const freshKey = () => {
      keysMade += 1;
      return `work/${keysMade}.bin`;
    };

    beforeAll(async () => {
      fixture = await start();
      ({ objects, bucket } = fixture);
    });
    afterAll(() => fixture?.close());

    test('gives back what was put, whole', async () => {
      const key = freshKey();
      expect(await objects.put(key, bytesOf('hello'), { contentType: 'text/plain' })).toBe(true);
      expect(textOf(await objects.get(key))).toBe('hello');
    });

    test('has nothing at a key that nobody wrote', async () => {
      expect(await objects.get('work/nothing')).toBeUndefined();
      expect(await objects.head(bucket, 'work/nothing')).toBeUndefined();
    });

    test('tells size, etag, version and whole seconds of an object', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('12345'));
      const head = await objects.head(bucket, key);
      expect(head).toMatchObject({ bucket, key, size: 5, etag: expect.stringMatching(/^".+"$/) });
      expect(head!.lastModified % 1000).toBe(0);
      expect(head!.versionId === undefined).toBe(!fixture.isVersioned);
    });

    test('changes the etag with the content', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('one'));
      const first = await objects.head(bucket, key);
      await objects.put(key, bytesOf('two'));
      const second = await objects.head(bucket, key);
      expect(second!.etag).not.toBe(first!.etag);
    });

    test('keeps a version readable after the key was overwritten and removed, where versions are kept', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('first'));
      const first = (await objects.head(bucket, key))!;
      await objects.put(key, bytesOf('second!'));
      await objects.remove(key);
      expect(await objects.head(bucket, key)).toBeUndefined();
      if (!fixture.isVersioned) return;
      expect(await objects.head(bucket, key, first.versionId)).toEqual(first);
      expect(textOf(await collect(await objects.read(first)))).toBe('first');
    });

    test.each([
      [undefined, undefined, '0123456789'],
      [0, undefined, '0123456789'],
      [3, undefined, '3456789'],
      [0, 1, '0'],
      [3, 7, '3456'],
      [9, 10, '9'],
      [4, 4, ''],
      [10, undefined, ''],
      [12, 15, ''],
      [5, 99, '56789'],
    ])('reads bytes %s to %s of ten', async (start, end, expected) => {
      const key = 'work/ten';
      await objects.put(key, bytesOf('0123456789'));
      expect(textOf(await collect(await objects.read({ bucket, key }, start, end)))).toBe(expected);
    });

    test('reads an empty object as no bytes', async () => {
      const key = freshKey();
      await objects.put(key, new Uint8Array());
      expect(await collect(await objects.read({ bucket, key }))).toHaveLength(0);
      expect(await objects.get(key)).toHaveLength(0);
    });

    test('fails with ObjectGoneError where there is no object', async () => {
      await expect(objects.read({ bucket, key: 'work/never' })).rejects.toThrow(ObjectGoneError);
      await expect(objects.read({ bucket, key: 'work/never' }, 5, 10)).rejects.toThrow(ObjectGoneError);
    });

    test('fails with ObjectGoneError after the object was removed', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('x'));
      await objects.remove(key);
      await expect(objects.read({ bucket, key })).rejects.toThrow(ObjectGoneError);
    });

    test('lets a reader stop early', async () => {
      const key = freshKey();
      await objects.put(key, new Uint8Array(3_000_000));
      for await (const chunk of await objects.read({ bucket, key })) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    });

    test('does not write over an object when asked to write only if there is none', async () => {
      const key = freshKey();
      expect(await objects.put(key, bytesOf('first'), { ifAbsent: true })).toBe(true);
      expect(await objects.put(key, bytesOf('second'), { ifAbsent: true })).toBe(false);
      expect(textOf(await objects.get(key))).toBe('first');
    });

    test('writes where the object was removed when asked to write only if there is none', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('first'));
      await objects.remove(key);
      expect(await objects.put(key, bytesOf('second'), { ifAbsent: true })).toBe(true);
    });

    test('lets exactly one of twenty writers win that race to write only if there is none', async () => {
      const key = freshKey();
      const writers = Array.from({ length: 20 }, (_, index) =>
        objects.put(key, bytesOf(`writer ${index}`), { ifAbsent: true }),
      );
      const won = await Promise.all(writers);
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(textOf(await objects.get(key))).toBe(`writer ${won.indexOf(true)}`);
    });

    test.each(ODD_KEYS)('writes, reads, pins and removes the key %j', async (key) => {
      await objects.put(key, bytesOf(key));
      const head = (await objects.head(bucket, key))!;
      expect(textOf(await collect(await objects.read(head)))).toBe(key);
      await objects.pin(head, `${key}.pinned`);
      expect(textOf(await objects.get(`${key}.pinned`))).toBe(key);
      const writer = objects.openWrite(key);
      await writer.write(bytesOf('again'));
      await writer.close();
      expect(textOf(await objects.get(key))).toBe('again');
      await objects.remove(key);
      expect(await objects.get(key)).toBeUndefined();
    });

    test('makes a written object visible, whole, only when it is closed', async () => {
      const key = freshKey();
      const writer = objects.openWrite(key, { contentType: 'application/jsonl' });
      await writer.write(bytesOf('one '));
      await writer.write(bytesOf('two'));
      expect(await objects.get(key)).toBeUndefined();
      expect(await writer.close()).toBe(7);
      expect(textOf(await objects.get(key))).toBe('one two');
    });

    test('writes an object of no bytes', async () => {
      const key = freshKey();
      expect(await objects.openWrite(key).close()).toBe(0);
      expect((await objects.head(bucket, key))!.size).toBe(0);
    });

    test('writes 25 MB in chunks of odd sizes and gives back the same bytes', async () => {
      const key = freshKey();
      const sent = createHash('sha256');
      const writer = objects.openWrite(key);
      let total = 0;
      // One buffer for all chunks: a writer may not keep what it was given.
      const buffer = new Uint8Array(1_000_003);
      for (let index = 0; total < 25_000_000; index += 1) {
        const chunk = buffer.subarray(0, [1, 65_537, 1_000_003, 4096][index % 4]);
        for (let at = 0; at < chunk.length; at += 97) chunk[at] = (index * 31 + at) % 251;
        sent.update(chunk);
        await writer.write(chunk);
        total += chunk.length;
      }
      buffer.fill(0);
      expect(await writer.close()).toBe(total);
      expect((await objects.head(bucket, key))!.size).toBe(total);
      const got = createHash('sha256');
      for await (const chunk of await objects.read({ bucket, key })) got.update(chunk);
      expect(got.digest('hex')).toBe(sent.digest('hex'));
    });

    test.each([10, 20_000_000])('leaves nothing of %i bytes after an abort', async (size) => {
      const key = freshKey();
      const writer = objects.openWrite(key);
      await writer.write(new Uint8Array(size));
      await writer.abort();
      expect(await objects.get(key)).toBeUndefined();
      expect(await fixture.countOpenUploads()).toBe(0);
      await expect(writer.write(bytesOf('x'))).rejects.toThrow('aborted');
      await expect(writer.close()).rejects.toThrow('aborted');
    });

    test('keeps a closed object when its writer is aborted afterwards', async () => {
      const key = freshKey();
      const writer = objects.openWrite(key);
      await writer.write(bytesOf('kept'));
      await writer.close();
      await writer.abort();
      await writer.abort();
      expect(textOf(await objects.get(key))).toBe('kept');
      await expect(writer.write(bytesOf('x'))).rejects.toThrow('closed');
    });

    test('pins an object as it stood', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('as it stood'));
      await objects.pin((await objects.head(bucket, key))!, `${key}.pinned`);
      await objects.put(key, bytesOf('otherwise'));
      expect(textOf(await objects.get(`${key}.pinned`))).toBe('as it stood');
    });

    test('fails with ObjectGoneError when the object to be pinned was replaced', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('seen'));
      const { versionId: _, ...seen } = (await objects.head(bucket, key))!;
      await objects.put(key, bytesOf('replaced'));
      await expect(objects.pin(seen, `${key}.pinned`)).rejects.toThrow(ObjectGoneError);
      expect(await objects.get(`${key}.pinned`)).toBeUndefined();
    });

    test('fails with ObjectGoneError when the object to be pinned was removed', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('seen'));
      const { versionId: _, ...seen } = (await objects.head(bucket, key))!;
      await objects.remove(key);
      await expect(objects.pin(seen, `${key}.pinned`)).rejects.toThrow(ObjectGoneError);
    });

    test('removes what is not there without complaint', async () => {
      await objects.remove('work/never-written');
    });
  });
}

/** All bytes of a stream. */
export async function collect(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

export const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);
