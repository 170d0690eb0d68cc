/** The one way to write a duration: in the settings, in options of a dropped file, and on the command line. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from './time.ts';

/** Minutes, hours or days: `90m`, `24h`, `2d`. */
const DURATION = /^([1-9]\d{0,4})([mhd])$/;
const UNIT_MS = { m: MINUTE_MS, h: HOUR_MS, d: DAY_MS } as const;
/** Milliseconds of `90m`, `24h` or `2d`; `undefined` if the text is no such duration. */
export function readDuration(text: string): number | undefined {
  const parts = DURATION.exec(text);
  return parts === null ? undefined : Number(parts[1]) * UNIT_MS[parts[2] as keyof typeof UNIT_MS];
}
