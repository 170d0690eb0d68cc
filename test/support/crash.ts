/** Ends the worker of a pipeline before or after one call of a port, and checks that the job comes to the same end. */
import { expect } from 'vitest';
import type { Interceptor, Pipeline } from './pipeline.ts';

/** Whether the worker dies before the call has its effect, or after it. */
export type CrashTime = 'before' | 'after';

/** Says whether a call is one to die at; `counted` are the calls that were, oldest first. */
export type CallFilter = (call: string, counted: readonly string[]) => boolean;

/** One crash, as options of `startPipeline`. */
export interface Crash {
  /** The counted calls so far, those of the dead worker's left out. */
  readonly calls: readonly string[];
  readonly intercept: Interceptor;
  /** A new worker: calls have effects again. */
  readonly onInvocation: () => void;
}

/** What a port throws once its worker is dead. */
class CrashedError extends Error {}

const NEVER = -1;

/** Dies at the counted call of index `at`; no call of that worker has an effect any more. */
function crashAt(at: number, when: CrashTime, counts: CallFilter = () => true): Crash {
  const calls: string[] = [];
  let isDead = false;
  const intercept: Interceptor = async (call, effect) => {
    if (isDead) throw new CrashedError(call);
    if (!counts(call, calls)) return effect();
    calls.push(call);
    if (calls.length - 1 !== at) return effect();
    if (when === 'after') await effect();
    isDead = true;
    throw new CrashedError(call);
  };
  const onInvocation = (): void => {
    isDead = false;
  };
  return { calls, intercept, onInvocation };
}

/** What `run` gives without a crash, and the calls that count on its way. */
export async function withoutCrash<Result>(
  run: (crash: Crash) => Promise<Result>,
  counts?: CallFilter,
): Promise<{ result: Result; calls: readonly string[] }> {
  const crash = crashAt(NEVER, 'before', counts);
  return { result: await run(crash), calls: crash.calls };
}

/** Runs once for each of `calls`, with a crash there: each run must give `expected`. */
export async function expectSameAtEachCrash(
  { calls, when, counts }: { calls: readonly string[]; when: CrashTime; counts?: CallFilter },
  run: (crash: Crash) => Promise<unknown>,
  expected: unknown,
): Promise<void> {
  for (const [at, call] of calls.entries()) {
    const result = await run(crashAt(at, when, counts)).catch((error: Error) => error.message);
    expect(result, `killed ${when} call ${at}, ${call}`).toEqual(expected);
  }
}

/** Delivers S3's event of an object until it has been handled, each time to a new worker. */
export async function notifyUntilHandled(pipeline: Pipeline, key: string, crash: Crash): Promise<void> {
  for (let isHandled = false; !isHandled; ) {
    crash.onInvocation();
    isHandled = await pipeline.notify(key).then(
      () => true,
      () => false,
    );
  }
}
