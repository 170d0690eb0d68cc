import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ObjectGoneError, UploadGoneError } from '../../../src/core/base/errors.ts';
import type { KeyVersion, ListCursor, ObjectHead } from '../../../src/core/model/objects.ts';
import type {
  ByteStream,
  Inputs,
  ObjectStore,
  ObjectWriter,
  WorkFiles,
  WriterState,
} from '../../../src/core/ports/objects.ts';
import { propertyRuns } from '../property-runs.ts';

/** The smallest part of {@link ObjectStoreFixture.inSmallParts}. */
export const SMALL_PART_BYTES = 60;
const MIN_PART_BYTES = 5 * 1024 * 1024;

/** A store to test, with what the port does not offer. */
export interface ObjectStoreFixture {
  objects: ObjectStore & Inputs & WorkFiles;
  /** The same kind of store, whose service takes parts from {@link SMALL_PART_BYTES} on. */
  inSmallParts: ObjectStore;
  bucket: string;
  isVersioned: boolean;
  /** Puts an object as a person who drops an input does, with user metadata. */
  putWithMetadata(key: string, body: Uint8Array, metadata: Record<string, string>): Promise<unknown>;
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
    let objects: ObjectStore & Inputs & WorkFiles;
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

    test('has nothing at a key that was never written', async () => {
      expect(await objects.get('work/nothing')).toBeUndefined();
      expect(await objects.head(bucket, 'work/nothing')).toBeUndefined();
    });

    test('reports size, etag, version and whole seconds of an object', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('12345'));
      const head = await objects.head(bucket, key);
      expect(head).toMatchObject({ bucket, key, size: 5, etag: expect.stringMatching(/^".+"$/) });
      expect(head!.lastModified % 1000).toBe(0);
      expect(head!.versionId === undefined).toBe(!fixture.isVersioned);
    });

    test('reports user metadata, with names in small letters, and none where there is none', async () => {
      const key = freshKey();
      await fixture.putWithMetadata(key, bytesOf('x'), { 'batchdrop-deadline': '2h', owner: 'me' });
      const head = await objects.head(bucket, key);
      expect(head?.metadata).toEqual({ 'batchdrop-deadline': '2h', owner: 'me' });
      await objects.put(key, bytesOf('y'));
      expect((await objects.head(bucket, key))?.metadata).toBeUndefined();
    });

    async function listAll(prefix: string): Promise<{ versions: ObjectHead[]; pages: number }> {
      const versions: ObjectHead[] = [];
      let pages = 0;
      let after: ListCursor | undefined;
      do {
        // As it is when it was kept between two runs.
        const cursor = after === undefined ? undefined : (JSON.parse(JSON.stringify(after)) as ListCursor);
        const page = await objects.listVersions(prefix, cursor);
        versions.push(...page.versions);
        after = page.next;
        pages += 1;
      } while (after !== undefined);
      return { versions, pages };
    }

    test('lists what is below a prefix, each as a request for it reports it, whatever its key', async () => {
      const keys = ODD_KEYS.map((key) => key.replace('work/', 'odd/'));
      for (const key of [...keys, 'odder/no', 'od']) await objects.put(key, bytesOf(key));
      const { versions } = await listAll('odd/');
      expect(versions.map(({ key }) => key)).toEqual(
        keys.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
      );
      for (const version of versions) {
        expect(await objects.head(bucket, version.key, version.versionId)).toEqual(version);
      }
      expect(await listAll('nothing/here/')).toEqual({ versions: [], pages: 1 });
    });

    test('lists every version that can be read, and no object that was removed where none are kept', async () => {
      for (const body of ['one', 'two!', 'three']) await objects.put('versions/a', bytesOf(body));
      await objects.put('versions/b', bytesOf('gone'));
      await objects.remove('versions/b');
      const { versions } = await listAll('versions/');
      const found = versions.map(({ key, size }) => `${key} ${size}`);
      expect(found).toEqual(
        fixture.isVersioned
          ? ['versions/a 5', 'versions/a 4', 'versions/a 3', 'versions/b 4']
          : ['versions/a 5'],
      );
      for (const version of versions) {
        expect(await objects.head(bucket, version.key, version.versionId)).toEqual(version);
      }
    });

    test('lists more than a page, each version once, also where what a page ended with is gone meanwhile', async () => {
      const names = Array.from({ length: 1_100 }, (_, index) => `many/${String(index).padStart(5, '0')}`);
      for (let start = 0; start < names.length; start += 50) {
        await Promise.all(names.slice(start, start + 50).map((key) => objects.put(key, bytesOf('x'))));
      }
      const { versions, pages } = await listAll('many/');
      expect(versions.map(({ key }) => key)).toEqual(names);
      expect(pages).toBe(2);
      const first = await objects.listVersions('many/');
      await objects.remove(first.next!.key);
      const second = await objects.listVersions('many/', first.next);
      expect([...first.versions, ...second.versions].map(({ key }) => key)).toEqual(names);
    });

    test('lists what is kept at exactly one key, newest first, in the order in which it was put, also within a second', async () => {
      const key = 'exactly/a +ü';
      for (const other of [`${key}.gz`, `${key}/b`, 'exactly/a']) await objects.put(other, bytesOf('other'));
      const bodies = ['1', '22', '333', '4444', '55555'];
      for (const body of bodies) await objects.put(key, bytesOf(body));
      const kept: KeyVersion[] = [];
      let after: ListCursor | undefined;
      do {
        const page = await objects.listKey(key, after);
        kept.push(...page.versions);
        after = page.next;
      } while (after !== undefined);
      expect(kept.map(({ size }) => size)).toEqual(fixture.isVersioned ? [5, 4, 3, 2, 1] : [5]);
      expect(kept.map(({ isLatest }) => isLatest)).toEqual(kept.map((_, index) => index === 0));
      for (const { isLatest: _, isDeleteMarker, ...head } of kept) {
        expect(isDeleteMarker).toBe(false);
        expect(await objects.head(bucket, key, head.versionId)).toEqual(head);
      }
      expect(await objects.listKey('exactly/nobody')).toEqual({ versions: [] });
    });

    test('lists the delete markers of a key where versions are kept', async () => {
      const key = freshKey();
      await objects.put(key, bytesOf('one'));
      await objects.remove(key);
      const { versions } = await objects.listKey(key);
      const found = versions.map(({ size, isLatest, isDeleteMarker }) => ({
        size,
        isLatest,
        isDeleteMarker,
      }));
      expect(found).toEqual(
        fixture.isVersioned
          ? [
              { size: 0, isLatest: true, isDeleteMarker: true },
              { size: 3, isLatest: false, isDeleteMarker: false },
            ]
          : [],
      );
    });

    test('lists what begins with a prefix, whatever its key, over all pages, and nothing else', async () => {
      const keys = ODD_KEYS.map((key) => key.replace('work/', 'work/listed/'));
      for (const key of [...keys, 'work/listed', 'work/listed2/a']) await objects.put(key, bytesOf('x'));
      expect((await objects.listBelow('work/listed/')).toSorted()).toEqual(keys.toSorted());
      expect(await objects.listBelow('work/none/')).toEqual([]);
    });

    test('removes what begins with a prefix, whatever its key, page by page, and nothing else', async () => {
      for (const key of ODD_KEYS) await objects.put(key.replace('work/', 'work/job/'), bytesOf('x'));
      await objects.put('work/job', bytesOf('another'));
      await objects.put('work/job2/a', bytesOf('another'));
      let calls = 1;
      while (!(await objects.removeBelow('work/job/'))) calls += 1;
      expect(calls).toBeLessThanOrEqual(ODD_KEYS.length);
      for (const key of ODD_KEYS)
        expect(await objects.get(key.replace('work/', 'work/job/'))).toBeUndefined();
      for (const key of ['work/job', 'work/job2/a']) expect(textOf(await objects.get(key))).toBe('another');
      expect(await objects.removeBelow('work/job/')).toBe(true);
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

    test('gives the same bytes again, whatever was done with what it was given and what it gave', async () => {
      const key = freshKey();
      const body = Buffer.alloc(50_000, 'a');
      await objects.put(key, body);
      body.fill('b');
      for (let reads = 0; reads < 2; reads++) {
        const read = await collect(await objects.read({ bucket, key }));
        expect(textOf(read)).toBe('a'.repeat(50_000));
        (await objects.get(key))!.fill(0x63);
      }
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

    test('continues with a suspended object where it was, and shows it only when it is closed', async () => {
      const key = freshKey();
      const first = objects.openWrite(key);
      await first.write(bytesOf('one '));
      const state = await first.suspend();
      await expect(first.write(bytesOf('x'))).rejects.toThrow('suspended');
      await expect(first.close()).rejects.toThrow('suspended');
      await first.abort();
      expect(await objects.get(key)).toBeUndefined();
      const second = objects.openWrite(key, { resume: structuredClone(state) });
      await second.write(bytesOf('two'));
      expect(await second.close()).toBe(7);
      expect(textOf(await objects.get(key))).toBe('one two');
    });

    test('writes any mixture of writes, copies, suspensions and deaths as the same bytes', async () => {
      const { inSmallParts } = fixture;
      const source = patternOf(2_000);
      await inSmallParts.put('work/source', source);
      const from = (await inSmallParts.head(bucket, 'work/source'))!;
      const step = fc.oneof(
        fc.record({ kind: fc.constant('write' as const), size: fc.nat({ max: 400 }) }),
        fc
          .tuple(fc.nat({ max: 2_000 }), fc.nat({ max: 2_000 }))
          .map(([a, b]) => ({ kind: 'copy' as const, start: Math.min(a, b), end: Math.max(a, b) })),
        fc.record({ kind: fc.constantFrom('suspend' as const, 'die' as const) }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
          const key = freshKey();
          let writer: ObjectWriter = inSmallParts.openWrite(key);
          let state: WriterState | undefined;
          let expected: Uint8Array = new Uint8Array();
          for (const step of steps) {
            if (step.kind === 'write') {
              const bytes = source.slice(0, step.size);
              await writer.write(bytes);
              expected = Buffer.concat([expected, bytes]);
              bytes.fill(0);
            } else if (step.kind === 'copy') {
              await writer.copy(from, step.start, step.end);
              expected = Buffer.concat([expected, source.subarray(step.start, step.end)]);
            } else {
              // Of a worker that died only what was suspended before is known.
              if (step.kind === 'suspend') state = structuredClone(await writer.suspend());
              expected = expected.subarray(0, state?.bytes ?? 0);
              expect(state?.bytes ?? 0).toBe(expected.length);
              expect(state?.tail.length ?? 0).toBeLessThan(SMALL_PART_BYTES);
              writer = inSmallParts.openWrite(key, state === undefined ? {} : { resume: state });
            }
          }
          try {
            expect(await writer.close()).toBe(expected.length);
          } catch (error) {
            // A part that the dead worker had under way came last: refused whole, and nothing of both is mixed.
            expect(steps.some(({ kind }) => kind === 'die')).toBe(true);
            expect(error).toBeInstanceOf(UploadGoneError);
            return;
          }
          expect(Buffer.compare((await inSmallParts.get(key))!, expected)).toBe(0);
        }),
        { numRuns: propertyRuns(60) },
      );
    });

    test('writes 30 MB with copies and suspensions in parts that the service takes', async () => {
      const source = patternOf(13_000_000);
      const sourceKey = freshKey();
      await objects.put(sourceKey, source);
      const from = (await objects.head(bucket, sourceKey))!;
      const key = freshKey();
      let writer = objects.openWrite(key);
      const suspend = async (): Promise<void> => {
        const state = await writer.suspend();
        expect(state.tail.length).toBeLessThan(MIN_PART_BYTES);
        writer = objects.openWrite(key, { resume: state });
      };
      await writer.write(source.subarray(0, 10));
      await suspend();
      await writer.copy(from, 10, 12_999_000);
      await writer.write(source.subarray(12_999_000));
      await suspend();
      await writer.write(source.subarray(0, 6_000_000));
      await suspend();
      await suspend();
      await writer.copy(from, 6_000_000, 6_000_001);
      await writer.copy(from, 6_000_001, 13_000_000);
      await writer.copy(from, 0, 4_000_000);
      expect(await writer.close()).toBe(30_000_000);
      const expected = Buffer.concat([source, source, source.subarray(0, 4_000_000)]);
      expect(Buffer.compare((await objects.get(key))!, expected)).toBe(0);
      expect(await fixture.countOpenUploads()).toBe(0);
    });

    test.each([
      ['is gone', 'work/never'],
      ['is shorter', 'work/ten bytes'],
    ])('fails to copy from an object that %s, however long the stretch', async (_what, sourceKey) => {
      await objects.put('work/ten bytes', bytesOf('0123456789'));
      for (const length of [20, 40_000_000]) {
        const writer = objects.openWrite(freshKey());
        const copying = async () => {
          await writer.copy({ bucket, key: sourceKey }, 0, length);
          await writer.close();
        };
        await expect(copying()).rejects.toThrow(sourceKey === 'work/never' ? ObjectGoneError : Error);
        await writer.abort();
        expect(await fixture.countOpenUploads()).toBe(0);
      }
    });

    test('gives up a suspended object when it is opened again and aborted', async () => {
      const key = freshKey();
      const writer = objects.openWrite(key);
      await writer.write(new Uint8Array(20_000_000));
      const state = await writer.suspend();
      expect(await fixture.countOpenUploads()).toBe(1);
      await objects.openWrite(key, { resume: state }).abort();
      expect(await fixture.countOpenUploads()).toBe(0);
    });

    test('fails with UploadGoneError when a suspended object was given up or ended meanwhile', async () => {
      for (const ending of ['abort', 'close'] as const) {
        const key = freshKey();
        const writer = objects.openWrite(key);
        await writer.write(new Uint8Array(20_000_000));
        const state = await writer.suspend();
        await objects.openWrite(key, { resume: state })[ending]();
        const late = objects.openWrite(key, { resume: state });
        await expect(late.close()).rejects.toThrow(UploadGoneError);
        const writing = async () => {
          const later = objects.openWrite(key, { resume: state });
          await later.write(new Uint8Array(30_000_000));
          await later.suspend();
        };
        await expect(writing()).rejects.toThrow(UploadGoneError);
      }
    });

    test('never shows a mixture of what two workers wrote that resumed one state', async () => {
      const key = freshKey();
      const writer = objects.openWrite(key);
      await writer.write(new Uint8Array(6_000_000).fill(1));
      const state = await writer.suspend();
      const zombie = objects.openWrite(key, { resume: state });
      const owner = objects.openWrite(key, { resume: state });
      await owner.write(new Uint8Array(6_000_000).fill(2));
      const owned = await owner.suspend();
      await zombie.write(new Uint8Array(6_000_000).fill(3));
      await zombie.suspend();
      await expect(objects.openWrite(key, { resume: owned }).close()).rejects.toThrow(UploadGoneError);
      expect(await objects.get(key)).toBeUndefined();
      await objects.openWrite(key, { resume: owned }).abort();
    });

    test('pins an object at its ETag', async () => {
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

/** Bytes whose every stretch of a few differs from those around it. */
function patternOf(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) % 251);
}

/** All bytes of a stream. */
export async function collect(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

export const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);
