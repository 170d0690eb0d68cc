import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WebhookStore } from '../../../src/core/ports/webhooks.ts';
import { arrived, foundUnreported } from '../../../src/core/scheduling/webhook-health.ts';

const NOW = 1_790_000_000_000;

/** What every {@link WebhookStore} does. */
export function describeWebhookStore(
  name: string,
  start: () => Promise<{ webhooks: WebhookStore; close(): Promise<void> }>,
): void {
  describe(`webhook store: ${name}`, () => {
    let fixture: Awaited<ReturnType<typeof start>>;
    beforeAll(async () => {
      fixture = await start();
    });
    afterAll(() => fixture?.close());

    test('remembers an event, and may get it twice', async () => {
      const { webhooks } = fixture;
      expect(await webhooks.wasObserved('wh_1')).toBe(false);
      await Promise.all([webhooks.putObserved('wh_1', NOW), webhooks.putObserved('wh_1', NOW + 1)]);
      await webhooks.putObserved('wh_1', NOW + 2);
      expect(await webhooks.wasObserved('wh_1')).toBe(true);
      expect(await webhooks.wasObserved('wh_2')).toBe(false);
    });

    test('keeps what is known of the webhooks of each API key, and forgets what a rule leaves out', async () => {
      const { webhooks } = fixture;
      expect(await webhooks.getHealth('default')).toBeUndefined();
      await webhooks.changeHealth('default', (health) => foundUnreported(health, 'batch_1', NOW));
      expect(await webhooks.getHealth('default')).toEqual({
        v: 1,
        unreported: { id: 'batch_1', foundAt: NOW },
      });
      await webhooks.changeHealth('default', (health) => arrived(health, NOW + 1));
      expect(await webhooks.getHealth('default')).toEqual({ v: 1, arrivedAt: NOW + 1 });
      await webhooks.changeHealth('default', () => undefined);
      expect(await webhooks.getHealth('default')).toEqual({ v: 1, arrivedAt: NOW + 1 });
      expect(await webhooks.getHealth('team-a')).toBeUndefined();
    });
  });
}
