/** What every {@link ShutdownStore} does. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { DynamoDBShutdowns } from '../../../../src/adapters/dynamodb/shutdowns.ts';
import type { KeptShutdowns } from '../../../../src/core/model/shutdown.ts';
import type { ShutdownStore } from '../../../../src/core/ports/records.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryShutdowns } from '../../../support/memory/shutdowns.ts';

const STORES: [string, () => Promise<ShutdownStore>][] = [
  ['memory', async () => new MemoryShutdowns()],
  [
    'DynamoDB',
    async () => {
      const { client, close } = await startLocalDynamoDB();
      onTestFinished(close);
      return new DynamoDBShutdowns(client, { table: TABLE });
    },
  ],
];

describe.each(STORES)('shutdown store: %s', (_name, start) => {
  const FIRST: KeptShutdowns = {
    v: 1,
    apiKey: 'default',
    generation: 1,
    nextAt: 5_000,
    dates: { 'gpt-5-nano': '2026-12-11', 'ft:gpt-4o:org::1': '2027-01-14' },
  };

  test('gives back what was written for a key, and nothing for another one', async () => {
    const store = await start();
    expect(await store.getShutdowns('default')).toBeUndefined();
    expect(await store.putShutdowns(FIRST)).toBe(true);
    expect(await store.getShutdowns('default')).toEqual(FIRST);
    expect(await store.getShutdowns('team')).toBeUndefined();
  });

  test('forgets a model that the next write does not name', async () => {
    const store = await start();
    await store.putShutdowns(FIRST);
    const next = { ...FIRST, generation: 2, dates: { 'gpt-4o': '2027-01-14' } };
    await store.putShutdowns(next);
    expect(await store.getShutdowns('default')).toEqual(next);
  });

  test('takes nothing that does not follow the current one, and lets one of several writers win', async () => {
    const store = await start();
    expect(await store.putShutdowns({ ...FIRST, generation: 2 })).toBe(false);
    await store.putShutdowns(FIRST);
    expect(await store.putShutdowns({ ...FIRST, nextAt: 9 })).toBe(false);
    const written = await Promise.all(
      [1, 2, 3].map((nextAt) => store.putShutdowns({ ...FIRST, generation: 2, nextAt })),
    );
    expect(written.filter(Boolean)).toHaveLength(1);
  });
});
