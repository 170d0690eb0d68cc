/**
 * What follows when OpenAI ends a batch as `failed` and nothing shows that any of it ran: it is sent again, a few times,
 * and then held until a person releases it (see resume.ts). Each time costs an upload and a create, and would cost
 * everything if the batch had been executed after all.
 */

import type { Settings } from '../../../contract/settings.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { type BatchRecord, tokensOf } from '../../model/batch.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { ParkStore, QuotaStore } from '../../ports/quota.ts';
import { configuredFor } from '../../scheduling/admit.ts';
import { parkFor } from '../../scheduling/operator-errors.ts';
import { tokensLedgerOf } from '../../scheduling/scopes.ts';
import { cutAfterRefusal, lessonOfRefusal } from '../../scheduling/token-limit.ts';
import type { Refusal } from './decide.ts';
import { type SendAgain, type SendAgainDeps, sendAgain } from './send-again.ts';

/**
 * When such a batch is sent again: four times, within an hour and a half. Ours: OpenAI documents no state in which a batch
 * that failed would succeed later; what has not passed by then is taken for what only a person can explain.
 */
const RESEND_AFTER_MS = [MINUTE_MS, 5 * MINUTE_MS, 20 * MINUTE_MS, 60 * MINUTE_MS] as const;
/** A longer wait ends with a poll. Source: SQS API reference, SendMessage: a message is delayed by 15 minutes at most. */
const MAX_DELAY_MS = 15 * MINUTE_MS;

export interface RefusedDeps extends SendAgainDeps {
  settings: Pick<Settings, 'quota'>;
  parks: ParkStore;
  quota: Pick<QuotaStore, 'getLedger' | 'changeLedger' | 'settle'>;
  outbox: Pick<Outbox, 'collect'>;
}

/**
 * Needs the claim on the batch, which waits for its turn again, or is held.
 * @returns the batch as it is to be cut, where the refusal says that it is too large; nothing else was done then.
 */
export async function sendRefusedAgain(
  deps: RefusedDeps,
  batch: BatchRecord,
  claim: string,
  refusal: Exclude<Refusal, { kind: 'repair' }>,
): Promise<BatchRecord | undefined> {
  const tooLarge =
    refusal.kind === 'no_room' ? await learnRefusal(deps, batch, claim, refusal.error.message) : undefined;
  if (refusal.kind === 'operator')
    await parkFor(deps, batch, { scope: refusal.scope, code: refusal.error.code }, 'collected');
  // Nothing of it was executed, so nothing was charged.
  if (batch.reservation !== undefined) await deps.quota.settle(batch.reservation, deps.ambient.now());
  if (tooLarge !== undefined) return tooLarge;
  const rest = restAfterRefusal(batch, refusal);
  await sendAgain(deps, batch, claim, rest);
  const { jobId, batchId } = batch;
  if (rest.waitMs > 0 && rest.waitMs <= MAX_DELAY_MS)
    await deps.outbox.collect({ v: 1, jobId, batchId }, { delayMs: rest.waitMs });
  return undefined;
}

/** How a batch that goes again as it is waits, and what is to be seen of it meanwhile. */
function restAfterRefusal(batch: BatchRecord, refusal: Exclude<Refusal, { kind: 'repair' }>): SendAgain {
  // Not OpenAI's message, which may quote a request.
  const { code } = refusal.error;
  const reason = `OpenAI refused the batch: ${code}`;
  switch (refusal.kind) {
    case 'no_room':
      // The ledger knows when there may be room.
      return { waitMs: 0, code, reason, counted: 'tokenRefusals' };
    case 'operator':
      // Its scope is suspended.
      return { waitMs: 0, code, reason, heldReason: code, counted: 'refusals' };
    case 'again': {
      const waitMs = RESEND_AFTER_MS[batch.resends ?? 0];
      return waitMs === undefined
        ? { waitMs: 0, code, reason, heldReason: code, isHeld: true }
        : { waitMs, code, reason, counted: 'resends' };
    }
  }
}

/**
 * OpenAI had no room for the batch: notes what that says of the limit.
 * @returns the batch as it is to be cut, where the refusal says that it is too large; recorded, because a worker that comes
 * later finds another ledger.
 */
async function learnRefusal(
  deps: RefusedDeps,
  batch: BatchRecord,
  claim: string,
  message: string,
): Promise<BatchRecord | undefined> {
  const { model } = batch;
  const name = tokensLedgerOf(batch);
  const now = deps.ambient.now();
  const recutTokens = batch.recutTokens ?? cutAfterRefusal(await deps.quota.getLedger(name), batch, message);
  if (recutTokens !== undefined && batch.recutTokens === undefined)
    await deps.jobs.updateBatch(batch, { state: 'ended', claim }, { recutTokens }, now);
  const isCut = recutTokens !== undefined;
  const refusal = { openaiBatchId: batch.openaiBatchId!, tokens: tokensOf(batch), message, isCut };
  const configured = configuredFor(deps.settings.quota, model);
  await deps.quota.changeLedger(
    name,
    (ledger) => lessonOfRefusal(ledger, refusal, model, configured, now),
    now,
  );
  return isCut ? { ...batch, recutTokens } : undefined;
}
