import { serviceCode } from '../../base/own-text.ts';
import { toWaiting } from '../../lifecycle/batch-transitions.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { BatchService } from '../../ports/provider.ts';
import type { QuotaStore } from '../../ports/quota.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

/** What {@link sendAgain} works with. */
export interface SendAgainDeps {
  batches: Pick<BatchService, 'deleteFile'>;
  quota: Pick<QuotaStore, 'settle'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Why a batch goes again, and when. */
export interface SendAgain {
  waitMs: number;
  /** OpenAI's or ours: why it is sent again. */
  code: string;
  /** The same for the operator; never content. */
  reason: string;
  /** Marks the batch as one that a person should look at. Absent: no action is needed. */
  heldReason?: string;
  /** Which of its counts this adds to. @default none */
  counted?: 'refusals' | 'tokenRefusals' | 'resends';
  /** It does not go by itself, but only once a person releases it. @default false */
  isHeld?: boolean;
}

/**
 * The same batch, with a new file and a new nonce, not before `waitMs` have passed, or once it is released.
 * @throws {TakenOverError} if another worker has it; then its reservation and its file are left to that worker.
 */
export async function sendAgain(
  deps: SendAgainDeps,
  batch: LeasedBatch,
  { waitMs, code, reason, heldReason, counted, isHeld = false }: SendAgain,
): Promise<void> {
  const now = deps.ambient.now();
  const { jobId, batchId, admission, remote, attempt, history = {} } = batch.record;
  const { openaiBatchId } = remote ?? {};
  const count = counted === undefined ? undefined : { [counted]: (history[counted] ?? 0) + 1 };
  await batch.move(
    toWaiting(batch.record, {
      notBefore: waitMs > 0 ? now + waitMs : undefined,
      lastError: reason,
      reason: heldReason,
      heldAt: isHeld ? now : undefined,
      history: count,
    }),
  );
  // Nothing of it was executed, so nothing was charged.
  if (admission !== undefined) await deps.quota.settle(admission.reservation, now);
  const resends = history.resends ?? 0;
  if (isHeld)
    deps.telemetry.record('batch.held', { jobId, batchId, openaiBatchId, code: serviceCode(code), resends });
  else
    deps.telemetry.record('batch.resent', {
      jobId,
      batchId,
      openaiBatchId,
      code: serviceCode(code),
      waitMs,
      counted,
      tries: counted === undefined ? undefined : count?.[counted],
    });
  if (attempt?.inputFileId !== undefined)
    await deps.batches.deleteFile(attempt.inputFileId, attempt.keyVersion);
}
