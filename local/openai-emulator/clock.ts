/** Where every timestamp of the emulator comes from. Milliseconds since 1970. */
export type Clock = {
  /** The emulator's present. */
  now(): number;
  /** Moves the present forward by `ms` (0 or more). */
  advance(ms: number): void;
};

/** A clock that stops until it is advanced: what tests use. */
export type VirtualClock = Clock;

/** 2026-11-21T00:00:00Z: where a virtual clock starts when the caller does not care. */
const DEFAULT_START_MS = Date.UTC(2026, 10, 21);

/**
 * A clock that moves only by `advance`.
 * @param startMs the first present; default 2026-11-21T00:00:00Z
 */
export function virtualClock(startMs: number = DEFAULT_START_MS): VirtualClock {
  let present = startMs;
  return {
    now: () => present,
    advance: (ms) => {
      present += checkedStep(ms);
    },
  };
}

/**
 * A clock that runs by itself, `scale` times as fast as real time: present = start + real elapsed x scale.
 * @param scale 1 is real time, 60 is a minute a second
 * @param startMs the first present; default the machine's
 * @param realNow the machine's clock, replaceable for tests
 */
export function scaledClock(
  scale: number,
  startMs: number = Date.now(),
  realNow: () => number = Date.now,
): Clock {
  if (!(scale > 0)) throw new RangeError(`clock scale: expected a number above 0, got ${scale}`);
  const realStart = realNow();
  let skipped = 0;
  return {
    now: () => Math.floor(startMs + skipped + (realNow() - realStart) * scale),
    advance: (ms) => {
      skipped += checkedStep(ms);
    },
  };
}

function checkedStep(ms: number): number {
  if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`clock.advance: expected 0 or more ms, got ${ms}`);
  return ms;
}

/** Whole seconds, the unit of every timestamp on the wire. */
export const unixSeconds = (ms: number): number => Math.floor(ms / 1000);
