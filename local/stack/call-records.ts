/**
 * What calls came to, for a look at many runs together: one line of JSON for each grant that was used and each
 * call of the stack itself that was refused, each once a run.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Grant } from '../services/iam/policy.ts';

/** Environment variable with the folder that every stack of a process, and of its children, records into. */
export const CALL_RECORDS_VARIABLE = 'BATCHDROP_CALL_RECORDS';
/** Files of a folder of records. */
export const USED_GRANTS_FILE = 'used-grants.jsonl';
/** See {@link USED_GRANTS_FILE}. */
export const REFUSED_CALLS_FILE = 'refused-calls.jsonl';

/** Takes what calls came to. */
export interface CallRecords {
  used(grants: readonly Grant[]): void;
  /** In the words of AWS. */
  refused(reason: string): void;
}

/** @param folder made if missing. Absent: nothing is recorded */
export function openCallRecords(folder: string | undefined): CallRecords {
  if (folder === undefined) return { used() {}, refused() {} };
  mkdirSync(folder, { recursive: true });
  const seen = new Set<Grant | string>();
  const append = (file: string, of: Grant | string, record: object) => {
    if (seen.has(of)) return;
    seen.add(of);
    appendFileSync(join(folder, file), `${JSON.stringify(record)}\n`);
  };
  return {
    used(grants) {
      for (const grant of grants) append(USED_GRANTS_FILE, grant, grant);
    },
    refused: (reason) => append(REFUSED_CALLS_FILE, reason, { reason }),
  };
}
