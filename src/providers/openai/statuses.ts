import { BATCH_STATUSES, type BatchStatus } from '../../core/model/batch.ts';
import type { RemoteBatch } from '../../core/ports/provider.ts';

const KNOWN: ReadonlySet<string> = new Set(BATCH_STATUSES);

/**
 * The status of a batch, and OpenAI's own word beside it if that is another one. Compatible services spell statuses
 * in capitals (Azure OpenAI, Together). One that is new to us counts as `in_progress`: it must not stop the listing
 * of all others, and nothing final is decided by it.
 */
export function statusOf(raw: string): Pick<RemoteBatch, 'status' | 'rawStatus'> {
  const word = raw.toLowerCase();
  const status: BatchStatus = isKnown(word) ? word : 'in_progress';
  return status === raw ? { status } : { status, rawStatus: raw };
}

function isKnown(word: string): word is BatchStatus {
  return KNOWN.has(word);
}
