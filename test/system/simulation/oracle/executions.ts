import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Execution, ServiceBatch } from '../openai-model.ts';
import type { SimulatedOpenAI } from '../openai-service.ts';
import type { ExpectedJob, Report } from './expectations.ts';
import { jobIdOf } from './names.ts';

/** OpenAI's window: what has no end by then never will. */
const WINDOW_MS = 24 * 60 * 60_000;

/** What OpenAI knows of what ran. */
type ServiceLedger = Pick<SimulatedOpenAI, 'batches' | 'executions' | 'seenRunning'>;

/** What became of each request of a job in each batch, as far as anybody can know: of a lost batch, nothing. */
export function executionsOf(
  { drop, head }: ExpectedJob,
  batches: readonly BatchRecord[],
  openai: ServiceLedger,
  say: Report,
): Execution[] {
  const lostAt = new Map(batches.map((batch) => [batch.remote?.openaiBatchId, batch.ending?.lostAt]));
  const refused = new Set(
    batches.flatMap(({ ending, remote }) => (ending?.status === 'failed' ? [remote?.openaiBatchId] : [])),
  );
  const jobId = jobIdOf(head);
  const markers = new Set(drop.lines.map(({ marker }) => marker));
  // Brings every batch to where it is by now.
  const calls = openai
    .executions()
    .filter((one) => markers.has(one.marker) && !one.batch.id.startsWith('batch_'));
  return openai.batches
    .filter((batch) => batch.jobId === jobId)
    .flatMap((batch) => {
      const givenUpAt = lostAt.get(batch.id);
      if (givenUpAt === undefined)
        return isLostSilently(batch, openai) ? lostExecutions(batch, batch.endedAt!) : batch.executions;
      if (!batch.isGone) say(`${batch.id} was given up as lost, and it is there`);
      if (givenUpAt < batch.createdAt + WINDOW_MS) say(`${batch.id} was given up before it must have ended`);
      // It was refused before it was lost, and its owner had seen that: nothing of it ever ran.
      if (refused.has(batch.id)) return [];
      return lostExecutions(batch, givenUpAt, 'lost_batch');
    })
    .concat(calls)
    .sort((one, other) => one.at - other.at);
}

/** It failed with nothing to show, after its owner had written down that it ran. */
export function isLostSilently(
  { id, status, lateFailure }: ServiceBatch,
  openai: Pick<ServiceLedger, 'seenRunning'>,
): boolean {
  return status === 'failed' && lateFailure === 'silent' && openai.seenRunning.has(id);
}

/**
 * Everything in a batch may have been executed, and nobody can have its answers. Its owner knows no better if it was
 * refused because its file had been deleted, and was gone before anybody saw that.
 */
function lostExecutions(batch: ServiceBatch, at: number, code?: string): Execution[] {
  return batch.uploaded.map(({ marker, customId }) => ({
    marker,
    customId,
    stackId: batch.owner,
    batch,
    at,
    isBilled: true,
    result: 'lost',
    ...(code === undefined ? {} : { code }),
  }));
}
