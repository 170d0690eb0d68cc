import type { PagePosition } from '../model/batch.ts';
import type { RemoteBatch } from '../ports/provider.ts';

/** Whether every batch of a page was created before `time`. An empty page says nothing: more may follow. */
export function isPast(batches: readonly Pick<RemoteBatch, 'createdAt'>[], time: number): boolean {
  return batches.length > 0 && batches.every(({ createdAt }) => createdAt < time);
}

/**
 * The position after one more page.
 * @param position of the page that was read; `undefined`: the first one.
 * @param next the cursor that this page gave.
 * @returns `undefined` if the list leads in a circle. That is noticed after at most three rounds (Brent's algorithm:
 * the cursor is compared with the one at the last power of two).
 */
export function advance(position: PagePosition | undefined, next: string): PagePosition | undefined {
  if (next === position?.mark) return undefined;
  const pages = (position?.pages ?? 0) + 1;
  const mark = Number.isInteger(Math.log2(pages)) ? next : position!.mark;
  return { after: next, pages, mark };
}
