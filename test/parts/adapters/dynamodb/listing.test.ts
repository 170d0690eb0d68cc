/** What every {@link ListingStore} does. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { DynamoDBListing } from '../../../../src/adapters/dynamodb/listing.ts';
import type { InputListing } from '../../../../src/core/model/input-listing.ts';
import type { ListingStore } from '../../../../src/core/ports/records.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryListing } from '../../../support/memory/listing.ts';

const STORES: [string, () => Promise<ListingStore>][] = [
  ['memory', async () => new MemoryListing()],
  [
    'DynamoDB',
    async () => {
      const { client, close } = await startLocalDynamoDB();
      onTestFinished(close);
      return new DynamoDBListing(client, { table: TABLE });
    },
  ],
];

describe.each(STORES)('listing store: %s', (_name, start) => {
  const FIRST: InputListing = { v: 1, generation: 1, since: 1_000, watermark: 1_000, nextAt: 5_000 };
  const pass = {
    startedAt: 5_000,
    found: 2,
    oldestFound: 4_000,
    prefix: 'input/',
    after: { key: 'input/a', versionId: 'v' },
  };

  test('gives back what was written, and nothing before that', async () => {
    const store = await start();
    expect(await store.getListing()).toBeUndefined();
    expect(await store.putListing(FIRST)).toBe(true);
    expect(await store.getListing()).toEqual(FIRST);
    const second = { ...FIRST, generation: 2, pass };
    expect(await store.putListing(second)).toBe(true);
    expect(await store.getListing()).toEqual(second);
  });

  test('forgets a pass that has ended, and what a pass leaves open', async () => {
    const store = await start();
    await store.putListing({ ...FIRST, pass });
    const begun = {
      ...FIRST,
      generation: 2,
      pass: { startedAt: 6_000, found: 0, oldestFound: undefined, after: undefined },
    };
    await store.putListing(begun);
    expect(await store.getListing()).toEqual({
      ...FIRST,
      generation: 2,
      pass: { startedAt: 6_000, found: 0 },
    });
    await store.putListing({ ...FIRST, generation: 3 });
    expect(await store.getListing()).toEqual({ ...FIRST, generation: 3 });
  });

  test('takes nothing that does not follow the current one', async () => {
    const store = await start();
    expect(await store.putListing({ ...FIRST, generation: 2 })).toBe(false);
    await store.putListing(FIRST);
    expect(await store.putListing({ ...FIRST, watermark: 9 })).toBe(false);
    expect(await store.putListing({ ...FIRST, generation: 3 })).toBe(false);
    expect(await store.getListing()).toEqual(FIRST);
  });

  test('lets exactly one of several writers win', async () => {
    const store = await start();
    await store.putListing(FIRST);
    const written = await Promise.all(
      [1, 2, 3, 4].map((nextAt) => store.putListing({ ...FIRST, generation: 2, nextAt })),
    );
    expect(written.filter(Boolean)).toHaveLength(1);
  });
});
