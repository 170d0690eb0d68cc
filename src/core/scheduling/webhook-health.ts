/**
 * While webhooks arrive, OpenAI is looked at less often. Only looking slows down: the sweep, deadlines, the dispatch
 * and what is to be cancelled keep their times.
 */
import { DAY_MS, MINUTE_MS } from '../../contract/time.ts';
import type { WebhookHealth } from '../model/webhook-health.ts';

/** How much later a webhook may come than the poll, which may look in the moment in which something ends. */
const REPORTED_WITHIN_MS = 2 * MINUTE_MS;
/** Nothing of ours has ended for so long: nothing shows any more that webhooks still arrive. */
const HEALTHY_FOR_MS = DAY_MS;
/** How exactly the last arrival is recorded: with thousands an hour, each would be a write to one row. */
const ARRIVAL_STEP_MS = MINUTE_MS;
/** Of so many polls, one looks at everything while webhooks arrive. */
const FULL_LOOK_EVERY = 6;

/** Whether webhooks can be relied on for now. */
export function isHealthy(health: WebhookHealth | undefined, now: number): boolean {
  if (health?.arrivedAt === undefined || now >= health.arrivedAt + HEALTHY_FOR_MS) return false;
  return !isSilent(health, now);
}

/** A webhook about work of ours was dealt with. `undefined`: nothing new. */
export function arrived(health: WebhookHealth | undefined, now: number): WebhookHealth | undefined {
  const { arrivedAt, unreported } = health ?? {};
  if (unreported === undefined && arrivedAt !== undefined && now < arrivedAt + ARRIVAL_STEP_MS)
    return undefined;
  return { v: 1, arrivedAt: now };
}

/** Something of ours had ended, and it was found by looking. `undefined`: that is noted of another one already. */
export function foundUnreported(
  health: WebhookHealth | undefined,
  id: string,
  now: number,
): WebhookHealth | undefined {
  return health?.unreported === undefined ? { ...health, v: 1, unreported: { id, foundAt: now } } : undefined;
}

/** Whether something of ours has ended and no webhook tells of it: OpenAI sends none, or none arrives. */
export function isSilent(health: WebhookHealth | undefined, now: number): boolean {
  return health?.unreported !== undefined && now >= health.unreported.foundAt + REPORTED_WITHIN_MS;
}

/**
 * Whether a poll looks at everything.
 * @param poll its number, which grows by one from poll to poll.
 */
export function looksAtAll(health: WebhookHealth | undefined, poll: number, now: number): boolean {
  return poll % FULL_LOOK_EVERY === 0 || !isHealthy(health, now);
}
