import type { Job } from '../../../../src/core/model/job.ts';
import type { InputLine } from '../drops.ts';
import type { Execution } from '../openai-model.ts';
import type { ExpectedJob } from './expectations.ts';
import type { JobFindings } from './findings.ts';

/** No call waits for much longer. */
const TOO_SLOW_MS = 11 * 60_000;

/** Eighteen failures in a row, with their pauses, take no less. */
const LAST_TRY_MS = 10 * 60 * 60_000;

/** What a line must have become. */
export type Outcome = { output: string } | { errors: { codes: readonly string[]; tries?: number } };

export function isInvalid({ kind }: InputLine): boolean {
  return !['good', 'refused', 'poison'].includes(kind);
}

const INVALID_CODES: Readonly<Record<string, string>> = {
  broken: 'invalid_json_line',
  duplicate: 'duplicate_custom_id',
  wrong_method: 'invalid_value',
  wrong_url: 'invalid_url',
};

export function outcomeOf(line: InputLine, findings: JobFindings): Outcome {
  const outcome = strictOutcomeOf(line, findings);
  if (!findings.isInterrupted || 'output' in outcome || isInvalid(line)) return outcome;
  // Its tries may have come in another order than they were counted in.
  const seen = (findings.executions.get(line.marker) ?? []).flatMap(({ code }) => code ?? []);
  const runs = findings.executions.get(line.marker) ?? [];
  const isTooSlow = runs.some((run) => isGivenUpAsTooSlow(run, findings.isHurried));
  const others = ['no_response', 'request_timeout', ...(isTooSlow ? ['answer_too_slow'] : [])];
  return { errors: { codes: [...outcome.errors.codes, ...seen, ...others] } };
}

function strictOutcomeOf(
  line: InputLine,
  { isInterrupted, isHurried, expected, job, batches, executions, say }: JobFindings,
): Outcome {
  const runs = executions.get(line.marker) ?? [];
  if (isInvalid(line)) {
    if (runs.length > 0) say(`line ${line.number} is invalid and was executed`);
    return { errors: { codes: [INVALID_CODES[line.kind]!], tries: 0 } };
  }
  const answered = runs.find(({ result }) => result === 'answered');
  // The endpoints that answer at once never hear of a custom_id.
  if (answered !== undefined)
    return {
      output: answered.line!.replace('"custom_id":""', () => `"custom_id":${JSON.stringify(line.customId)}`),
    };
  const leftByLadder = new Set(
    batches.flatMap(({ stop, remote }) => (stop?.nextTier === undefined ? [] : [remote?.openaiBatchId])),
  );
  const counted = runs.filter(
    (run) => usesUpATry(run) && !(run.result === 'unexecuted' && leftByLadder.has(run.batch.id)),
  );
  const tries = counted.length;
  const last = runs.at(-1);
  // A model that is slower than a worker lives is not asked twice in the last tier.
  const isTooSlow = isGivenUpAsTooSlow(last, isHurried);
  if (last?.result === 'final') return { errors: { codes: [last.code!], tries } };
  const { maxTries, maxTriesByCause } = job.route;
  const isAtMost = (cause: Execution['result'], most: number | undefined): boolean =>
    most !== undefined && counted.filter((run) => causeOf(run) === cause).length >= most;
  const isExhausted =
    tries >= maxTries ||
    isAtMost('unexecuted', maxTriesByCause.unexecuted) ||
    isAtMost('transient', maxTriesByCause.transient) ||
    isAtMost('lost', maxTriesByCause.lost);
  const isUnreadable = last !== undefined && wasReadAsFarAsPossible(last, batches);
  const lastCodes = [
    last?.code ?? 'missing_from_results',
    ...(isTooSlow ? ['answer_too_slow'] : []),
    ...(isUnreadable ? ['result_unreadable'] : []),
  ];
  if (isExhausted) return { errors: { codes: lastCodes, tries } };
  // It could have been tried again: there must be a reason why it was not.
  const codes: string[] = isTooSlow ? ['answer_too_slow'] : [];
  if (isUnreadable) codes.push('result_unreadable');
  if (job.cancelledAt !== undefined) {
    codes.push('cancelled');
    if (last !== undefined) codes.push(last.code ?? 'missing_from_results');
  }
  if (line.kind === 'poison') codes.push('invalid_request');
  if (expected.calledOff) codes.push('object_gone');
  if (mayBeUnreadable(expected)) codes.push('input_unreadable');
  if (mayRefuse(job)) codes.push('budget_exceeded');
  if (isInterrupted) codes.push('no_response');
  if (codes.length === 0) {
    const history = runs.map(({ batch, result, code }) => `${batch.id} ${result} ${code ?? ''}`).join(', ');
    say(
      `line ${line.number} could have been answered, was executed ${tries} times (${history}), and was given up`,
    );
  }
  return { errors: { codes, tries } };
}

/** Whether a call was waited for as long as its worker could. One with little time cannot wait for long. */
function isGivenUpAsTooSlow(run: Execution | undefined, isHurried: boolean): boolean {
  return run?.waitedMs !== undefined && (isHurried || run.waitedMs >= TOO_SLOW_MS);
}

/** Whether the results of its batch were asked for in vain for so long that what could be read was taken as all. */
function wasReadAsFarAsPossible({ batch, code }: Execution, batches: JobFindings['batches']): boolean {
  const record = batches.find(({ remote }) => remote?.openaiBatchId === batch.id);
  return (
    code === undefined &&
    record?.ending !== undefined &&
    record.updatedAt - record.ending.endedAt >= LAST_TRY_MS
  );
}

/** Whether it could not be read for so long that what was not sent by then may end. */
export function mayBeUnreadable({ drop, laterDenial, unreadableMs }: ExpectedJob): boolean {
  return (laterDenial?.refusals ?? 0) > 0 && drop.deniedLater!.forMs >= unreadableMs;
}

/** Whether what is over the budget of the job's route ends. */
export function mayRefuse({ route }: Job): boolean {
  return route.budget !== 'unlimited' && route.overBudget === 'refuse';
}

function causeOf({ result }: Execution): Execution['result'] {
  return result === 'operator' ? 'transient' : result;
}

/** What only an operator can set right is not the request's fault; nor is a model unknown that answers others. */
function usesUpATry({ result, code, batch }: Execution): boolean {
  // As far as anybody knows, it was never begun.
  if (code === 'background_left') return false;
  if (result !== 'operator') return true;
  return code === 'model_not_found' && batch.executions.some((other) => other.result === 'answered');
}
