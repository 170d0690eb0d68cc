/** Scans that are not broken off. */

import type { Plan } from '../../src/core/files/plan.ts';
import type { Job } from '../../src/core/model/job.ts';
import { Prices } from '../../src/core/pricing/prices.ts';
import { scan } from '../../src/core/steps/ingest/scan.ts';
import type { ScanDeps } from '../../src/core/steps/ingest/scan-state.ts';
import { OPENAI_PRICES } from '../../src/providers/openai/prices/table.ts';

/** A scan by one worker that has all the time that it needs. */
export async function scanWhole(
  deps: Omit<ScanDeps, 'prices' | 'deadline' | 'worker' | 'save'>,
  job: Job,
  attempt: string,
): Promise<Plan> {
  const plan = await scan(
    {
      ...deps,
      prices: new Prices(OPENAI_PRICES),
      deadline: { remainingMs: () => 1_000_000 },
      worker: 'worker',
      save: () => Promise.reject(new Error('there is time enough')),
    },
    job,
    attempt,
  );
  if (plan === undefined) throw new Error('the scan was broken off');
  return plan;
}
