import { MINUTE_MS } from '../contract/time.ts';
import { LateSweep, type LateSweepDeps } from '../core/steps/poll/late-sweep.ts';
import type { Invocation } from './queue-handler.ts';

/**
 * A step of a queue handler, before which the worker sweeps if the poll is late.
 * @param deps of the process; each invocation adds its own.
 * @param pollIntervalMinutes how often the poll is to run.
 */
export function sweepingFirst<Deps extends Omit<LateSweepDeps, keyof Invocation>, Message>(
  deps: Deps,
  pollIntervalMinutes: number,
  step: (deps: Deps & Invocation, message: Message) => Promise<unknown>,
): (message: Message, invocation: Invocation) => Promise<unknown> {
  const lateSweep = new LateSweep(pollIntervalMinutes * MINUTE_MS);
  return async (message, invocation) => {
    const own = { ...deps, ...invocation };
    await lateSweep.run({ ...own, settings: deps.settings });
    return step(own, message);
  };
}
