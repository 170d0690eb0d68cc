/** Which models answered a job, and what its receipt warns of: models that end, and aliases that changed meanwhile. */
import { readDuration } from '../../../contract/durations.ts';
import type { Receipt } from '../../../contract/receipt.ts';
import type { Plan } from '../../files/plan.ts';
import { completionWindowMs } from '../../lifecycle/time-limits.ts';
import type { BatchRecord } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import { endOfDay, replacementText } from '../../model/shutdown.ts';
import { droppedAt } from '../../scheduling/ladder.ts';

/** The receipt's `answeredBy`. */
export function answeredByOf(
  batches: readonly Pick<BatchRecord, 'model' | 'results'>[],
): Receipt['answeredBy'] {
  const byModel = new Map<string, Map<string, number>>();
  for (const { model, results } of batches)
    for (const [answered, count] of Object.entries(results?.outcome.answeredBy ?? {})) {
      const counts = byModel.get(model) ?? new Map<string, number>();
      counts.set(answered, (counts.get(answered) ?? 0) + count);
      byModel.set(model, counts);
    }
  return Object.fromEntries([...byModel].map(([model, counts]) => [model, Object.fromEntries(counts)]));
}

/** Models of the job that end soon, as ingest found them. */
export function shutdownWarnings(
  job: Pick<Job, 'input' | 'route'>,
  { shutdowns = [] }: Pick<Plan, 'shutdowns'>,
): Receipt['warnings'] {
  const dropped = droppedAt(job);
  const { deadline } = job.route;
  const runsUntil =
    dropped + (deadline === undefined ? completionWindowMs(job.route) : readDuration(deadline)!);
  return shutdowns.map(({ model, ...shutdown }) => {
    const { date } = shutdown;
    const when =
      endOfDay(date) <= dropped
        ? 'before this file was dropped'
        : Date.parse(date) <= runsUntil
          ? 'within the time that this job may take'
          : 'soon';
    const message = `The provider shuts ${model} down on ${date}, ${when}. Requests that it refuses after that day fail as model_retired.${replacementText(shutdown)}`;
    return { code: 'model_shutdown', message };
  });
}

/** Models that were answered by more than one: an alias that was moved to another snapshot while the job ran. */
export function changeWarnings(answeredBy: Receipt['answeredBy']): Receipt['warnings'] {
  return Object.entries(answeredBy).flatMap(([model, counts]) => {
    const answered = Object.entries(counts);
    if (answered.length < 2) return [];
    const named = answered.map(([name, count]) => `${name} (${count})`).join(', ');
    const message = `Requests for ${model} were answered by more than one model: ${named}. Name a snapshot in place of the alias if that matters.`;
    return [{ code: 'model_changed', message }];
  });
}
