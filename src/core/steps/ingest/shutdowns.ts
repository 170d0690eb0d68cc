/** Models of a job that end soon: the plan notes them, so that its receipt warns of what ingest has warned of. */
import type { Plan } from '../../files/plan.ts';
import { apiKeyOf } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import { endsSoon } from '../../model/shutdown.ts';
import { shutdownOf } from '../../scheduling/retirement.ts';
import type { IngestDeps } from './ingest-run.ts';

/** The plan with its models that end within 30 days, or have ended. */
export async function withShutdowns(
  { rules, shutdowns, ambient }: Pick<IngestDeps, 'rules' | 'shutdowns' | 'ambient'>,
  { route }: Pick<Job, 'route'>,
  plan: Plan,
): Promise<Plan> {
  if (plan.batches.length === 0) return plan;
  const kept = await shutdowns.getShutdowns(apiKeyOf(route));
  const now = ambient.now();
  const ending = [...new Set(plan.batches.map(({ model }) => model))].sort().flatMap((model) => {
    const shutdown = shutdownOf(rules.shutdowns, kept, model);
    return shutdown !== undefined && endsSoon(shutdown, now) ? [{ model, ...shutdown }] : [];
  });
  return ending.length === 0 ? plan : { ...plan, shutdowns: ending };
}

/** Reports what the plan notes. */
export function warnOfShutdowns({ telemetry }: Pick<IngestDeps, 'telemetry'>, plan: Plan): void {
  for (const { model, date, replacements } of plan.shutdowns ?? []) {
    const requests = plan.batches.reduce(
      (sum, batch) => sum + (batch.model === model ? batch.requests : 0),
      0,
    );
    telemetry.record('model.deprecated', {
      jobId: plan.jobId,
      model,
      date,
      requests,
      replacements: replacements.join(' ') || undefined,
    });
  }
}
