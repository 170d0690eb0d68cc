import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OwnersStore } from '../../../src/core/ports/objects.ts';

/** What every implementation of {@link OwnersStore} has to do. */
export function describeOwnersStore(
  name: string,
  open: () => Promise<{ owners: OwnersStore; remove(): Promise<void>; close(): Promise<void> }>,
): void {
  describe(`OwnersStore: ${name}`, () => {
    let store: Awaited<ReturnType<typeof open>>;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    it('has nothing until something is written, then what was written last, under another ETag each time', async () => {
      const { owners } = store;
      expect(await owners.readOwners()).toBeUndefined();
      expect(await owners.writeOwners('one', undefined)).toBe(true);
      const one = await owners.readOwners();
      expect(one?.body).toBe('one');
      expect(await owners.writeOwners('two é', one!.etag)).toBe(true);
      const two = await owners.readOwners();
      expect(two?.body).toBe('two é');
      expect(two?.etag).not.toBe(one?.etag);
    });

    it('writes nothing over what the writer has not read', async () => {
      const { owners } = store;
      await owners.writeOwners('one', undefined);
      expect(await owners.writeOwners('blind', undefined)).toBe(false);
      const { etag } = (await owners.readOwners())!;
      expect(await owners.writeOwners('two', etag)).toBe(true);
      expect(await owners.writeOwners('late', etag)).toBe(false);
      expect((await owners.readOwners())?.body).toBe('two');
    });

    it('of writers that have read the same, one writes', async () => {
      const { owners } = store;
      const write = (etag: string | undefined) =>
        Promise.all(['a', 'b', 'c', 'd'].map((body) => owners.writeOwners(body, etag)));
      expect((await write(undefined)).filter(Boolean)).toHaveLength(1);
      const { etag } = (await owners.readOwners())!;
      // One of the four writes what stands there already, which changes nothing, not even its ETag.
      await owners.writeOwners('other', etag);
      expect((await write((await owners.readOwners())!.etag)).filter(Boolean)).toHaveLength(1);
    });

    it('writes nothing for who has read what was removed since', async () => {
      const { owners } = store;
      await owners.writeOwners('one', undefined);
      const { etag } = (await owners.readOwners())!;
      await store.remove();
      expect(await owners.readOwners()).toBeUndefined();
      expect(await owners.writeOwners('two', etag)).toBe(false);
      expect(await owners.writeOwners('three', undefined)).toBe(true);
    });
  });
}
