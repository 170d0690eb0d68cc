/**
 * Vitest setup of whole runs: what the stacks of a test, and of the processes that it starts, were refused by the
 * template's policies fails that test. What was used is kept for test/system/grants.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { afterAll, afterEach, expect } from 'vitest';
import { CALL_RECORDS_VARIABLE, REFUSED_CALLS_FILE } from '../../local/stack/call-records.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** Where all workers record, each in a folder of its own. */
const CALL_RECORDS = join(ROOT, 'node_modules/.cache/call-records');
/** Test files that ran to their end, one a line, in the folder of each worker. */
const RAN_FILE = 'ran.txt';

const folder = join(CALL_RECORDS, String(process.pid));
process.env[CALL_RECORDS_VARIABLE] = folder;

function requireNoRefusals(): void {
  const file = join(folder, REFUSED_CALLS_FILE);
  if (!existsSync(file)) return;
  const refused = readFileSync(file, 'utf8');
  // Seen: the next test is not to be blamed.
  renameSync(file, join(folder, `${Date.now()}-${REFUSED_CALLS_FILE}`));
  throw new Error(`The policies of the template refuse calls that the stack makes by itself:\n${refused}`);
}

afterEach(requireNoRefusals);
afterAll(() => {
  requireNoRefusals();
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, RAN_FILE), `${relative(ROOT, expect.getState().testPath ?? '')}\n`);
});
