/** Back from `ended` to `planned`: for a batch of which nothing ran and nothing was charged. */
import { WAITING_AGAIN } from '../admission/waiting.ts';
import type { BatchRecord } from '../model.ts';
import type { Ambient, BatchApi, JobStore, Log } from '../ports.ts';

export interface SendAgainDeps {
  jobs: Pick<JobStore, 'updateBatch'>;
  batches: Pick<BatchApi, 'deleteFile'>;
  ambient: Pick<Ambient, 'now'>;
  log: Log;
}

/** Why a batch goes again, and when. */
export interface SendAgain {
  waitMs: number;
  /** For the operator; never content. */
  reason: string;
  /** Marks the batch as one that a person should look at. Absent: nobody need act. */
  heldReason?: string;
  /** Which of its counts this adds to. @default 'refusals' */
  counted?: 'refusals' | 'tokenRefusals';
}

/** The same batch, with a new file and a new nonce, not before `waitMs` have passed. Needs the claim on the batch. */
export async function sendAgain(
  deps: SendAgainDeps,
  batch: BatchRecord,
  claim: string,
  { waitMs, reason, heldReason, counted = 'refusals' }: SendAgain,
): Promise<void> {
  const refusals = (batch[counted] ?? 0) + 1;
  const now = deps.ambient.now();
  const planned = {
    ...WAITING_AGAIN,
    [counted]: refusals,
    failures: undefined,
    notBefore: waitMs > 0 ? now + waitMs : undefined,
    lastError: reason,
    heldReason,
  };
  if ((await deps.jobs.updateBatch(batch, { state: 'ended', claim }, planned, now)) === undefined) return;
  const { jobId, batchId, openaiBatchId } = batch;
  deps.log.warn('a batch that OpenAI refused waits and goes again', {
    jobId,
    batchId,
    openaiBatchId,
    refusals,
    reason,
    waitMs,
    ...(heldReason === undefined ? {} : { heldReason }),
  });
  if (batch.inputFileId !== undefined) await deps.batches.deleteFile(batch.inputFileId, batch.keyVersion);
}
