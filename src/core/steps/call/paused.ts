import type { BatchRecord } from '../../model/batch.ts';
import { pauseOf } from '../../model/pause.ts';
import type { CallDeps } from './deps.ts';

/** Whether no new call of a slice may begin, because its route, or the stack, is paused. */
export async function isPaused(
  { pauses }: Pick<CallDeps, 'pauses'>,
  { route }: Pick<BatchRecord, 'route'>,
): Promise<boolean> {
  return pauseOf(await pauses.getPauses(), route) !== undefined;
}
