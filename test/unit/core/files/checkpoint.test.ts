import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import { readCheckpoint, writeCheckpoint } from '../../../../src/core/files/checkpoint.ts';
import { memoryStore } from '../../../support/memory-store.ts';

const KEY = 'work/checkpoint';

const stateArbitrary = fc.letrec((tie) => ({
  state: fc.oneof(
    { depthSize: 'small' },
    fc.integer(),
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('state'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((name) => name !== '$blob' && name !== '__proto__'),
      tie('state'),
      { noNullPrototype: true, maxKeys: 4 },
    ),
  ),
})).state;

describe('checkpoint', () => {
  it('reads back as it was written, bytes anywhere in it', async () => {
    await fc.assert(
      fc.asyncProperty(stateArbitrary, async (state) => {
        const objects = memoryStore();
        await writeCheckpoint(objects, KEY, 'merge', state);
        expect(await readCheckpoint(objects, KEY, 'merge')).toEqual(state);
      }),
    );
  });

  it('takes a Buffer for its bytes, and gives back memory of its own', async () => {
    const objects = memoryStore();
    await writeCheckpoint(objects, KEY, 'merge', { tail: Buffer.from('abc') });
    const { tail } = (await readCheckpoint(objects, KEY, 'merge')) as { tail: Uint8Array };
    expect(tail).toEqual(new Uint8Array([97, 98, 99]));
    expect(tail.buffer.byteLength).toBe(3);
  });

  it('fails as corrupt when it is missing, of another kind, changed in any bit or cut short', async () => {
    const objects = memoryStore();
    await expect(readCheckpoint(objects, KEY, 'merge')).rejects.toBeInstanceOf(CorruptWorkFileError);
    await writeCheckpoint(objects, KEY, 'merge', { line: 7, tail: new Uint8Array([1, 2, 3]) });
    await expect(readCheckpoint(objects, KEY, 'fetch')).rejects.toThrow('it is a merge checkpoint');
    const bytes = (await objects.get(KEY))!;
    const broken = Array.from({ length: bytes.length * 8 }, (_, bit) => {
      const copy = bytes.slice();
      copy[bit >> 3]! ^= 1 << (bit & 7);
      return copy;
    });
    const short = Array.from(bytes.keys(), (length) => bytes.slice(0, length));
    for (const wrong of [...broken, ...short]) {
      await objects.put(KEY, wrong);
      await expect(readCheckpoint(objects, KEY, 'merge')).rejects.toBeInstanceOf(CorruptWorkFileError);
    }
  });
});
