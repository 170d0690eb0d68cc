import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ObserveOutbox, Outbox } from '../../../src/core/ports/outbox.ts';
import type { QueuedMessage } from '../memory/outbox.ts';

/** What every {@link Outbox} does. `take` gives and removes the one message of a queue. */
export function describeOutbox(
  name: string,
  start: () => Promise<{
    outbox: Outbox & ObserveOutbox;
    take(queue: QueuedMessage['queue']): Promise<unknown>;
    /** How many messages of a queue are not due yet. */
    held(queue: QueuedMessage['queue']): Promise<number>;
    close(): Promise<void>;
  }>,
): void {
  describe(`outbox: ${name}`, () => {
    let fixture: Awaited<ReturnType<typeof start>>;
    beforeAll(async () => {
      fixture = await start();
    });
    afterAll(() => fixture?.close());

    test.each(['submit', 'collect'] as const)('puts a batch into the %s queue', async (queue) => {
      const message = { v: 1, jobId: 'job', batchId: '0-00001' } as const;
      await fixture.outbox[queue](message);
      expect(await fixture.take(queue)).toEqual(message);
    });

    test.each(['submit', 'collect'] as const)('holds a message to the %s queue back', async (queue) => {
      const message = { v: 1, jobId: 'job', batchId: '0-00001' } as const;
      await fixture.outbox[queue](message, { delayMs: 901_000 });
      expect(await fixture.held(queue)).toBe(1);
    });

    test.each(['ingest', 'finalize'] as const)('puts a job into the %s queue', async (queue) => {
      const message = { v: 1, jobId: 'jöb "1"' } as const;
      await fixture.outbox[queue](message);
      expect(await fixture.take(queue)).toEqual(message);
    });

    test('puts what a webhook names into the observe queue', async () => {
      const names = { webhookId: 'wh_1', type: 'batch.failed', objectId: 'batch_1' } as const;
      const message = { v: 1, ...names, apiKey: 'default', receivedAt: 1, tries: 2 } as const;
      await fixture.outbox.observe(message);
      expect(await fixture.take('observe')).toEqual(message);
    });
  });
}
