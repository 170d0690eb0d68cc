/** Under which terms a job ran: what its route and its file said, as the receipt states it. */

import { readDuration } from '../../../contract/durations.ts';
import type { Receipt } from '../../../contract/receipt.ts';
import { defined } from '../../base/defined.ts';
import { ObjectUnreadableError } from '../../base/errors.ts';
import type { Job } from '../../model/job.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import { findLateSidecar } from '../../requests/sidecar.ts';
import { droppedAt } from '../../scheduling/ladder.ts';

/** The receipt's `terms`. Options that were put beside the file too late are looked for now. */
export async function termsOf(objects: Pick<ObjectStore, 'head'>, job: Job): Promise<Receipt['terms']> {
  const { tiers, deadline, budget, overBudget, maxTries, onInvalid } = job.route;
  const late = await findLateSidecar(objects, job.input).catch((error: unknown) => {
    // Whether there is one cannot be known; the receipt does not wait for it.
    if (error instanceof ObjectUnreadableError) return undefined;
    throw error;
  });
  return defined({
    tiers,
    deadline,
    deadlineAt:
      deadline === undefined ? undefined : new Date(droppedAt(job) + readDuration(deadline)!).toISOString(),
    budget,
    overBudget,
    maxTries,
    onInvalid,
    options: job.options ?? [],
    optionsNotApplied:
      late === undefined
        ? []
        : [
            {
              key: late.key,
              reason:
                `It was put at ${new Date(late.lastModified).toISOString()}, after the file. The options of a file are ` +
                'those that lie beside it when it is put.',
            },
          ],
  });
}
