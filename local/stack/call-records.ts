/**
 * What calls came to, for a look at many runs together: one line of JSON for each grant that the policies hold, each
 * grant that was used and each call of the stack itself that was refused, each once a run.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Grant } from '../services/iam/policy.ts';

/** Environment variable with the folder that every stack of a process, and of its children, records into. */
export const CALL_RECORDS_VARIABLE = 'BATCHDROP_CALL_RECORDS';
/** Files of a folder of records. */
export const HELD_GRANTS_FILE = 'held-grants.jsonl';
/** See {@link HELD_GRANTS_FILE}. */
export const USED_GRANTS_FILE = 'used-grants.jsonl';
/** See {@link HELD_GRANTS_FILE}. */
export const REFUSED_CALLS_FILE = 'refused-calls.jsonl';

/** Takes what calls came to. */
export interface CallRecords {
  /** What all policies of the stack allow. */
  held(grants: readonly Grant[]): void;
  used(grants: readonly Grant[]): void;
  /** In the words of AWS. */
  refused(reason: string): void;
}

/** @param folder made if missing. Absent: nothing is recorded */
export function openCallRecords(folder: string | undefined): CallRecords {
  if (folder === undefined) return { held() {}, used() {}, refused() {} };
  mkdirSync(folder, { recursive: true });
  const append = (file: string, records: readonly object[]) =>
    appendFileSync(join(folder, file), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  const seen = new Set<Grant | string>();
  const isNew = (of: Grant | string) => !seen.has(of) && seen.add(of);
  return {
    held: (grants) => append(HELD_GRANTS_FILE, grants),
    used(grants) {
      const fresh = grants.filter(isNew);
      if (fresh.length > 0) append(USED_GRANTS_FILE, fresh);
    },
    refused(reason) {
      if (isNew(reason)) append(REFUSED_CALLS_FILE, [{ reason }]);
    },
  };
}
