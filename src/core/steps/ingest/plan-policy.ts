/** Whether a file is run, as a plan says it. */
import type { Plan } from '../../files/plan.ts';
import type { Job, Rejection } from '../../model/job.ts';

/** A plan of nothing: the file could not be read as lines at all. */
export function rejectedPlan(jobId: string, rejection: Rejection): Plan {
  return {
    v: 1,
    jobId,
    requests: 0,
    invalid: 0,
    invalidByCode: {},
    batches: [],
    invalidRuns: [],
    rejection,
  };
}

/** Decides whether a file that was read to its end is run. */
export function applyPolicy(plan: Plan, job: Job): Plan {
  const good = plan.requests - plan.invalid;
  const reject = (code: Rejection['code'], message: string): Plan => ({
    ...plan,
    batches: [],
    invalid: plan.requests,
    invalidByCode: good === 0 ? plan.invalidByCode : { ...plan.invalidByCode, file_rejected: good },
    rejection: { code, message },
  });
  if (plan.requests === 0) return reject('empty_file', 'The file has no line that is not blank.');
  if ((plan.invalidByCode.invalid_json_line ?? 0) === plan.requests) {
    return reject(
      'not_json_lines',
      `None of the ${plan.requests} lines is a JSON object; one request a line is expected.`,
    );
  }
  if (good === 0)
    return reject('no_valid_lines', `None of the ${plan.requests} lines is a request that can be run.`);
  if (plan.invalid > 0 && job.route.onInvalid === 'reject') {
    return reject(
      'invalid_lines',
      `${plan.invalid} of ${plan.requests} lines are invalid and route "${job.route.name}" rejects such files; the errors file lists them.`,
    );
  }
  return plan;
}
