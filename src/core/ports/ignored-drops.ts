/** Drops that are not run and that no receipt answers, day by day. */
import type { IgnoredDrop } from '../model/ignored-drop.ts';

/** Nothing decides by it: it is there for the person who looks for a drop. */
export interface IgnoredDropStore {
  /** Lists a drop on its UTC day, unless its key is listed there already: one small write in either case. */
  note(drop: IgnoredDrop): Promise<void>;
  /**
   * What is listed on a UTC day (`2026-11-30`), in the order of keys.
   * @param prefix what the keys begin with; empty: all.
   */
  listOn(day: string, prefix: string): AsyncIterable<IgnoredDrop>;
}
