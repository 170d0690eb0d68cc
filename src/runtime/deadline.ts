import type { Context } from 'aws-lambda';
import type { Deadline } from '../core/ports/ambient.ts';

/** When Lambda ends an invocation. */
export function deadlineOf(context: Context): Deadline {
  return { remainingMs: () => context.getRemainingTimeInMillis() };
}
