import { JobForgottenError } from '../base/errors.ts';
import type { Telemetry } from '../ports/telemetry.ts';

/**
 * Does what may record a job, or batches of it. A worker that stood still meanwhile stops quietly where the job was
 * forgotten: a job is forgotten after its receipt only, so whatever the worker was about to record has run, was paid for and
 * was answered. To record it again would pay for it again.
 * @returns what `act` gives; `undefined` if the job was forgotten, which is logged.
 */
export async function unlessForgotten<Result>(
  { telemetry }: { telemetry: Telemetry },
  act: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof JobForgottenError)) throw error;
    telemetry.record('job.unrecorded', { jobId: error.jobId });
    return undefined;
  }
}
