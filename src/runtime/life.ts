import type { Deadline } from '../core/ports/ambient.ts';

const NO_LIMIT: Deadline = { remainingMs: () => Number.POSITIVE_INFINITY };
let current = NO_LIMIT;

/** An invocation begins: what is called from now on must end with it. */
export function beginLife(deadline: Deadline): void {
  current = deadline;
}

/** Outside an invocation, as in the command line: without limit. */
export const life: Deadline = { remainingMs: () => current.remainingMs() };
