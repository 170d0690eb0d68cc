/**
 * Vitest setup of whole runs: what the stacks of a test, and of the processes that it starts, were refused by the
 * template's policies fails that test. Which grants were used is kept beside it.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, afterEach, expect } from 'vitest';
import { CALL_RECORDS_VARIABLE, REFUSED_CALLS_FILE } from '../../local/stack/call-records.ts';
import { CALL_RECORDS, RAN_FILE, ROOT } from './call-records-folder.ts';

/** Each worker has a folder of its own. */
const folder = join(CALL_RECORDS, String(process.pid));
process.env[CALL_RECORDS_VARIABLE] = folder;
const refusals = join(folder, REFUSED_CALLS_FILE);

function requireNoRefusals(): void {
  if (!existsSync(refusals)) return;
  const refused = readFileSync(refusals, 'utf8');
  // The next test is not to be blamed.
  forgetRefusals();
  throw new Error(`The policies of the template refuse calls that the stack makes by itself:\n${refused}`);
}

/** For a test that makes calls in the name of a function in order to see them refused: when it has ended. */
export function forgetRefusals(): void {
  rmSync(refusals, { force: true });
}

afterEach(requireNoRefusals);
afterAll(() => {
  requireNoRefusals();
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, RAN_FILE), `${relative(ROOT, expect.getState().testPath ?? '')}\n`);
});
