/** Never pay twice: what goes out must not be running, nor its answer to be had. */
import { WINDOW_MS } from './openai-fates.ts';
import type { Execution, ServiceBatch, ServiceWorld } from './openai-model.ts';

/** What was executed so far. */
export interface Account {
  batches: readonly ServiceBatch[];
  calls: readonly Execution[];
}

/**
 * Reports each request that goes out although an earlier run of it is under way or has given what stays.
 * @param of.jobId unknown for a call: what was dropped twice may then be of either job.
 */
export function checkNotTwice(
  world: ServiceWorld,
  { batches, calls }: Account,
  { id, jobId }: { id: string; jobId?: string },
  markers: readonly string[],
): void {
  const mayBeOfAnother = (marker: string, other: string): boolean =>
    jobId === undefined
      ? world.isDroppedAgain(marker)
      : jobId !== other && world.areSameContent(jobId, other);
  for (const marker of markers) {
    for (const call of calls) {
      if (call.marker !== marker || world.isDroppedAgain(marker)) continue;
      if (call.result === 'answered' || call.result === 'final')
        world.violation(
          `request ${marker} goes out in ${id}; ${call.batch.id} gave it ${call.code ?? 'an answer that is kept'}`,
        );
    }
    for (const other of batches) {
      if (!other.requests.some((request) => request.marker === marker)) continue;
      // Nothing of it ran.
      if (other.status === 'failed' && other.executions.length === 0) continue;
      if (!mayBeOfAnother(marker, other.jobId)) checkOne(world, other, id, marker);
    }
  }
}

function checkOne(world: ServiceWorld, other: ServiceBatch, id: string, marker: string): void {
  // Nobody can have its results, and it must have ended by now.
  if (other.isGone && world.now() >= other.createdAt + WINDOW_MS) {
    world.note('fault:a lost request run again');
    return;
  }
  const execution = other.executions.find((candidate) => candidate.marker === marker);
  if (other.endedAt === undefined) {
    world.violation(`request ${marker} goes out in ${id} while ${other.id} is ${other.status}`);
  } else if (execution?.result === 'answered') {
    world.violation(`request ${marker} goes out in ${id}; its answer is in the output of ${other.id}`);
  } else if (execution?.result === 'final') {
    world.violation(
      `request ${marker} goes out in ${id}; ${other.id} gave it ${execution.code}, which stays`,
    );
  }
}
