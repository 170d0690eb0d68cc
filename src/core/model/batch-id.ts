/** The ids of the batches of a job, and their order. */
import type { BatchRecord } from './batch.ts';

/** `3` and `12` give `3-00012`. To sort, see {@link byRoundAndPlace}. */
export function batchIdOf(round: number, index: number): string {
  return `${round}-${String(index).padStart(5, '0')}`;
}

/** Orders batches of a job by round, then by place; ids as text would put round 10 before round 2. */
export function byRoundAndPlace(
  one: Pick<BatchRecord, 'batchId'>,
  other: Pick<BatchRecord, 'batchId'>,
): number {
  const [numbers, others] = [numbersOf(one), numbersOf(other)];
  for (const [index, number] of numbers.entries()) {
    // A batch sorts before those below its place.
    const difference = number - (others[index] ?? -1);
    if (difference !== 0) return difference;
  }
  return numbers.length - others.length;
}

function numbersOf({ batchId }: Pick<BatchRecord, 'batchId'>): number[] {
  return batchId.split(/[-.]/).map(Number);
}

/**
 * The id of child `index` of the `count` batches that take up what a batch leaves. An only child keeps its parent's
 * place (`0-00003`: `1-00003`), one of several has a place below it (`1-00003.0`, `1-00003.1`); so no two batches of a
 * round ever have the same place.
 */
export function childBatchId(
  parent: Pick<BatchRecord, 'batchId' | 'round'>,
  index: number,
  count: number,
): string {
  const place = parent.batchId.slice(parent.batchId.indexOf('-') + 1);
  return `${parent.round + 1}-${place}${count === 1 ? '' : `.${index}`}`;
}
