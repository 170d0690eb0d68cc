/**
 * What follows when OpenAI ends a batch as `failed` and nothing shows that any of it ran: it is sent again, a few
 * times, and then held until a person releases it (see resume.ts). Each time costs an upload and a create, and would
 * cost everything if the batch had been executed after all.
 */

import type { Settings } from '../../../contract/settings.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { toTooLarge } from '../../lifecycle/batch-transitions.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { type BatchRecord, tokensOf } from '../../model/batch.ts';
import { MAX_DELAY_MS, type Outbox } from '../../ports/outbox.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import { suspendFor } from '../../scheduling/operator-errors.ts';
import { tokensLedgerOf } from '../../scheduling/scopes.ts';
import { cutAfterRefusal, givenLimitOf, lessonOfRefusal } from '../../scheduling/token-limit.ts';
import type { Refusal } from './decide.ts';
import { type SendAgain, type SendAgainDeps, sendAgain } from './send-again.ts';

/**
 * When such a batch is sent again: four times, within an hour and a half. Ours: OpenAI documents no state in which a
 * batch that failed would succeed later; what has not passed by then is taken for what only a person can explain.
 */
const RESEND_AFTER_MS = [MINUTE_MS, 5 * MINUTE_MS, 20 * MINUTE_MS, 60 * MINUTE_MS] as const;

export interface RefusedDeps extends SendAgainDeps {
  settings: Pick<Settings, 'quota'>;
  rules: Pick<ProviderRules, 'name' | 'quota'>;
  suspensions: SuspensionStore;
  quota: Pick<QuotaStore, 'getLedger' | 'changeLedger' | 'settle'>;
  outbox: Pick<Outbox, 'collect'>;
}

/**
 * The batch waits for its turn again, or is held.
 * @returns whether the refusal says that it is too large: its record says how it is to be cut, and nothing else was
 *   done.
 */
export async function sendRefusedAgain(
  deps: RefusedDeps,
  batch: LeasedBatch,
  refusal: Exclude<Refusal, { kind: 'repair' }>,
): Promise<boolean> {
  const isTooLarge =
    refusal.kind === 'no_room' ? await learnRefusal(deps, batch, refusal.error.message) : false;
  const { jobId, batchId } = batch.record;
  if (refusal.kind === 'operator')
    await suspendFor(deps, batch.record, { scope: refusal.scope, code: refusal.error.code }, 'collected');
  // Its reservation is settled once it is collected.
  if (isTooLarge) return true;
  const rest = restAfterRefusal(batch.record, refusal, deps.rules.name);
  await sendAgain(deps, batch, rest);
  if (rest.waitMs > 0 && rest.waitMs <= MAX_DELAY_MS)
    await deps.outbox.collect({ v: 1, jobId, batchId }, { delayMs: rest.waitMs });
  return false;
}

/** How a batch that goes again as it is waits, and what is to be seen of it meanwhile. */
function restAfterRefusal(
  batch: BatchRecord,
  refusal: Exclude<Refusal, { kind: 'repair' }>,
  provider: string,
): SendAgain {
  // Not the provider's message, which may quote a request.
  const { code } = refusal.error;
  const reason = `${provider} refused the batch: ${code}`;
  switch (refusal.kind) {
    case 'no_room':
      // The ledger knows when there may be room.
      return { waitMs: 0, code, reason, counted: 'tokenRefusals' };
    case 'operator':
      // Its scope is suspended.
      return { waitMs: 0, code, reason, heldReason: code, counted: 'refusals' };
    case 'again': {
      const waitMs = RESEND_AFTER_MS[batch.history?.resends ?? 0];
      return waitMs === undefined
        ? { waitMs: 0, code, reason, heldReason: code, isHeld: true }
        : { waitMs, code, reason, counted: 'resends' };
    }
  }
}

/**
 * There was no room for the batch: notes what that says of the limit.
 * @returns whether the refusal says that it is too large; how it is to be cut is recorded, because a worker that
 * comes later finds another ledger.
 */
async function learnRefusal(deps: RefusedDeps, batch: LeasedBatch, message: string): Promise<boolean> {
  const { record } = batch;
  const name = tokensLedgerOf(record);
  const now = deps.ambient.now();
  const known = record.recut?.tokens;
  const reported = deps.rules.quota.reportedEnqueuedTokens(message);
  const tokens = known ?? cutAfterRefusal(await deps.quota.getLedger(name), record, reported);
  const isCut = tokens !== undefined;
  if (isCut && known === undefined) await batch.move(toTooLarge(record, tokens));
  const { openaiBatchId } = record.remote!;
  const refusal = { openaiBatchId, tokens: tokensOf(record), reported, isCut };
  const given = givenLimitOf(deps.settings.quota, deps.rules.quota, record.model);
  await deps.quota.changeLedger(name, (ledger) => lessonOfRefusal(ledger, refusal, given, now), now);
  return isCut;
}
