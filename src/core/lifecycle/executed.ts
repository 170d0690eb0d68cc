import type { BatchRecord, BatchStatus } from '../model/batch.ts';
import type { RemoteBatch } from '../ports/provider.ts';

/**
 * Statuses that a batch comes to only once its requests are executed. Source:
 * platform.openai.com/docs/guides/batch, "Batch object
 * status".
 */
const RUNNING: ReadonlySet<BatchStatus | undefined> = new Set(['in_progress', 'finalizing']);

/**
 * When OpenAI began to execute a batch, or when that was first seen.
 * @param batch as it was recorded before `remote` was read.
 * @param now epoch ms.
 * @returns epoch ms; `undefined` while nothing shows that it has begun.
 */
export function startOf(
  batch: Pick<BatchRecord, 'remote'>,
  remote: Pick<RemoteBatch, 'status' | 'startedAt'>,
  now: number,
): number | undefined {
  const isRunning = RUNNING.has(remote.status) || RUNNING.has(batch.remote?.status);
  return batch.remote?.startedAt ?? remote.startedAt ?? (isRunning ? now : undefined);
}

/** The parts of a batch that show whether it was executed. */
type Traces = Pick<BatchRecord, 'remote'>;

/** Whether a batch that OpenAI calls `failed` may have been executed, at least in part. */
export function showsExecution(batch: Traces): boolean {
  return batch.remote !== undefined && (hasFiles(batch) || showsExecutionBesideFiles(batch));
}

/**
 * The same without its files, which may turn out to be empty. Its requests are counted once they begin: in captures
 * of OpenAI's batches, `total` is 0 while they are validated, and of those that fail then.
 */
export function showsExecutionBesideFiles({ remote }: Traces): boolean {
  const { startedAt, progress, reportedUsage }: Partial<NonNullable<Traces['remote']>> = remote ?? {};
  const { total = 0, completed = 0, failed = 0 } = progress ?? {};
  const { inputTokens = 0, outputTokens = 0 } = reportedUsage ?? {};
  return startedAt !== undefined || total + completed + failed > 0 || inputTokens + outputTokens > 0;
}

function hasFiles({ remote }: Traces): boolean {
  return remote?.outputFileId !== undefined || remote?.errorFileId !== undefined;
}

/**
 * Whether a batch that expired or was cancelled came to its end before any request of it began: nothing names a file,
 * and nothing shows that it ever left `validating`.
 */
export function surelyDidNotBegin(batch: Traces): boolean {
  return !hasFiles(batch) && !showsExecutionBesideFiles(batch);
}
