/**
 * How long the invocation that runs now still lives. A process runs one at a time, and its clients outlive them all, so this is
 * the one thing about an invocation that is kept by the process.
 */
import type { Deadline } from '../core/ports/ports.ts';

const NO_LIMIT: Deadline = { remainingMs: () => Number.POSITIVE_INFINITY };
let current = NO_LIMIT;

/** An invocation begins: what is called from now on must end with it. */
export function beginLife(deadline: Deadline): void {
  current = deadline;
}

/** Outside an invocation, as in the command line: without limit. */
export const life: Deadline = { remainingMs: () => current.remainingMs() };
