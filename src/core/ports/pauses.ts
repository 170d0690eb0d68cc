/** Routes, or a stack, of which nothing new is sent. */
import type { Pause } from '../model/pause.ts';

/** See {@link Pause}. */
export interface PauseStore {
  /** What is paused now. */
  getPauses(): Promise<Pause[]>;
  /**
   * Begins a pause; one that is in force stays as it is.
   * @returns the pause in force, and whether it is this one.
   */
  pause(pause: Omit<Pause, 'isPaused'>): Promise<{ pause: Pause; isNew: boolean }>;
  /** Ends a pause. `false`: there was none. */
  unpause(end: Omit<Pause, 'isPaused'>): Promise<boolean>;
}
