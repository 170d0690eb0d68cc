/** Rules of transitions: where each may begin, and where it leads. */
import { BatchdropError } from '../base/errors.ts';
import type { Transition } from '../model/transition.ts';

/** From where a transition leads, and what it forgets. */
export interface TransitionRule<State extends string, Part extends string> {
  /** The states that it may begin in. */
  readonly from: readonly State[];
  /**
   * States that it may begin in besides, where the table was restored to an earlier time: what was done since is
   * found again.
   */
  readonly afterRestore?: readonly State[];
  /** Absent: the record stays in its state. */
  readonly to?: State;
  /** What it removes from the record. */
  readonly clear?: readonly Part[];
  /** It is so seldom taken that a run of the simulation need not see it. */
  readonly isSeldom?: true;
}

/** A step asked for a transition that the record's state does not allow: a fault of ours, nothing is written. */
export class TransitionError extends BatchdropError {}

/**
 * @param what names the record in the error.
 * @throws {TransitionError} if `rule` does not begin in `state`.
 */
export function transitionOf<State extends string, Part extends string, Changes>(
  name: string,
  rule: TransitionRule<State, Part>,
  record: { state: State; what: string },
  set: Changes,
): Transition<State, Part, Changes> {
  const { state, what } = record;
  if (!rule.from.includes(state) && !rule.afterRestore?.includes(state)) {
    throw new TransitionError(
      `${what} is ${state}; "${name}" begins in ${[...rule.from, ...(rule.afterRestore ?? [])].join(', ')} only`,
    );
  }
  return { name, from: state, to: rule.to ?? state, set, clear: rule.clear ?? [] };
}

/** One arrow of a state diagram. */
export interface Edge {
  from: string;
  to: string;
  /** It is taken only where the table was restored to an earlier time. */
  isAfterRestore: boolean;
  isSeldom: boolean;
}

/** The arrows between states that a table of rules has, each once. */
export function edgesOf(rules: Readonly<Record<string, TransitionRule<string, string>>>): Edge[] {
  const edges = new Map<string, Edge>();
  for (const { from, afterRestore = [], to, isSeldom = false } of Object.values(rules)) {
    if (to === undefined) continue;
    for (const [states, isAfterRestore] of [[from, false] as const, [afterRestore, true] as const])
      for (const state of states) {
        const known = edges.get(`${state} ${to}`);
        if (state === to && isAfterRestore) continue;
        edges.set(`${state} ${to}`, {
          from: state,
          to,
          isAfterRestore: isAfterRestore && (known?.isAfterRestore ?? true),
          isSeldom: isSeldom && (known?.isSeldom ?? true),
        });
      }
  }
  return [...edges.values()];
}
