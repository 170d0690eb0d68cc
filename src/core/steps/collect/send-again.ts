import type { BatchRecord } from '../../model/batch.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { BatchService } from '../../ports/provider.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import { WAITING_AGAIN } from '../../scheduling/waiting.ts';

export interface SendAgainDeps {
  jobs: Pick<JobStore, 'updateBatch'>;
  batches: Pick<BatchService, 'deleteFile'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Why a batch goes again, and when. */
export interface SendAgain {
  waitMs: number;
  /** For the operator; never content. */
  /** OpenAI's, or ours, for why it is sent again. */
  code: string;
  reason: string;
  /** Marks the batch as one that a person should look at. Absent: nobody need act. */
  heldReason?: string;
  /** Which of its counts this adds to. @default none */
  counted?: 'refusals' | 'tokenRefusals' | 'resends';
  /** It does not go by itself, but only once a person releases it. @default false */
  isHeld?: boolean;
}

/**
 * The same batch, with a new file and a new nonce, not before `waitMs` have passed, or once it is released. Needs the claim
 * on the batch.
 */
export async function sendAgain(
  deps: SendAgainDeps,
  batch: BatchRecord,
  claim: string,
  { waitMs, code, reason, heldReason, counted, isHeld = false }: SendAgain,
): Promise<void> {
  const now = deps.ambient.now();
  const planned = {
    ...WAITING_AGAIN,
    ...(counted === undefined ? {} : { [counted]: (batch[counted] ?? 0) + 1 }),
    failures: undefined,
    notBefore: waitMs > 0 ? now + waitMs : undefined,
    lastError: reason,
    heldReason,
    heldAt: isHeld ? now : undefined,
  };
  if ((await deps.jobs.updateBatch(batch, { state: 'ended', claim }, planned, now)) === undefined) return;
  const { jobId, batchId, openaiBatchId, resends = 0 } = batch;
  if (isHeld) deps.telemetry.record('batch.held', { jobId, batchId, openaiBatchId, code, resends });
  else
    deps.telemetry.record('batch.resent', {
      jobId,
      batchId,
      openaiBatchId,
      code,
      waitMs,
      counted,
      tries: counted === undefined ? undefined : (batch[counted] ?? 0) + 1,
    });
  if (batch.inputFileId !== undefined) await deps.batches.deleteFile(batch.inputFileId, batch.keyVersion);
}
