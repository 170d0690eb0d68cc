/** Vitest's global setup of whole runs: what they record of their calls is of this run alone. */
import { rmSync } from 'node:fs';
import { CALL_RECORDS } from './call-records-folder.ts';

/** Called once, before the first worker starts. */
export function setup(): void {
  rmSync(CALL_RECORDS, { recursive: true, force: true });
}
