/** What every {@link IgnoredDropStore} does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { IgnoredDrop } from '../../../src/core/model/ignored-drop.ts';
import type { IgnoredDropStore } from '../../../src/core/ports/ignored-drops.ts';

const NOON = Date.UTC(2026, 10, 30, 12);
const DAY = '2026-11-30';
/** As long as S3 allows, in bytes. */
const LONG = `input/${'ü'.repeat(509)}`;

const drop = (key: string, changes: Partial<IgnoredDrop> = {}): IgnoredDrop => ({
  v: 1,
  key,
  why: 'no_route',
  at: NOON,
  ...changes,
});

/** Runs the suite on a store that lists nothing. */
export function describeIgnoredDropStore(
  name: string,
  open: () => Promise<{ store: IgnoredDropStore; close(): Promise<void> }>,
): void {
  describe(`ignored drops in ${name}`, () => {
    let opened: Awaited<ReturnType<typeof open>>;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.close());
    const list = (day: string, prefix = ''): Promise<IgnoredDrop[]> =>
      Array.fromAsync(opened.store.listOn(day, prefix));

    test('are listed once a key and day, as they were first seen, in the order of keys', async () => {
      const { store } = opened;
      const second = drop('input/b.csv', { why: 'not_matched', route: 'nightly' });
      await store.note(second);
      await store.note(drop('input/a.txt'));
      await store.note(drop('input/b.csv', { why: 'ignored', at: NOON + 1 }));
      expect(await list(DAY)).toEqual([drop('input/a.txt'), second]);
      const nextDay = drop('input/b.csv', { at: NOON + 24 * 3_600_000 });
      await store.note(nextDay);
      expect(await list(DAY)).toHaveLength(2);
      expect(await list('2026-12-01')).toEqual([nextDay]);
      expect(await list('2026-11-29')).toEqual([]);
    });

    test('are found by what their keys begin with, also keys as long as S3 allows', async () => {
      await opened.store.note(drop(LONG));
      expect(await list(DAY, 'input/ü')).toEqual([drop(LONG)]);
      expect(await list(DAY, 'input/b')).toMatchObject([{ key: 'input/b.csv' }]);
      expect(await list(DAY, 'else')).toEqual([]);
    });
  });
}
