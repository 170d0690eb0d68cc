/** Whether a file is run, as a plan says it. */
import type { Route } from '../../../contract/route.ts';
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
  const rejection = rejectionOf(plan, job.route);
  if (rejection === undefined) return plan;
  const good = plan.requests - plan.invalid;
  return {
    ...plan,
    batches: [],
    invalid: plan.requests,
    invalidByCode: good === 0 ? plan.invalidByCode : { ...plan.invalidByCode, file_rejected: good },
    rejection,
  };
}

/**
 * Why a file is not run, by what was found in its lines; `undefined`: it is.
 * @param route absent: no route's settings are known.
 */
export function rejectionOf(
  { requests, invalid, invalidByCode, firstInvalid }: FoundLines,
  route: Pick<Route, 'name' | 'onInvalid'> | undefined,
): Rejection | undefined {
  if (requests === 0) return { code: 'empty_file', message: 'The file has no line that is not blank.' };
  if ((invalidByCode[NO_JSON] ?? 0) === requests) {
    const first = firstInvalid?.[NO_JSON]?.[0];
    // What is said of such a line quotes nothing of it.
    const example = first === undefined ? '' : ` Line ${first.line}: ${first.message}`;
    const message = `No line is a JSON object (${requests} read); one request a line is expected.${example}`;
    return { code: 'not_json_lines', message };
  }
  if (invalid === requests) {
    const message = `No line is a request that can be run (${requests} read).`;
    return { code: 'no_valid_lines', message };
  }
  if (invalid === 0 || route?.onInvalid !== 'reject') return undefined;
  const message = `${invalid} of ${requests} lines are invalid and route "${route.name}" rejects such files; the errors file lists them.`;
  return { code: 'invalid_lines', message };
}

type FoundLines = Pick<Plan, 'requests' | 'invalid' | 'invalidByCode' | 'firstInvalid'>;

const NO_JSON = 'invalid_json_line';
