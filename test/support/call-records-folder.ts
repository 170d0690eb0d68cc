/** Where whole runs record what their calls came to. */
import { join, resolve } from 'node:path';

/** The repository. */
export const ROOT = resolve(import.meta.dirname, '../..');
/** A folder for each worker. */
export const CALL_RECORDS = join(ROOT, 'node_modules/.cache/call-records');
/** Test files that ran to their end, one a line, in the folder of each worker. */
export const RAN_FILE = 'ran.txt';
