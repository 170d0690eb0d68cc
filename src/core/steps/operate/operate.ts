/**
 * Carries out what an operator asks for. AWS has proven who calls; what they may do is that they may call. Each act is
 * safe to repeat, and is kept with the job that it changed.
 */
import {
  type Done,
  OPERATE_ACTIONS,
  OPERATE_VERSION,
  type OperateAction,
  type OperateAnswer,
  type OperateRequest,
  operateRequestSchema,
} from '../../../contract/operate.ts';
import { problemsOf } from '../../../contract/problems.ts';
import { operatorReason } from '../../base/own-text.ts';
import { cancelJob } from '../../lifecycle/cancel.ts';
import { resumeJob } from '../../lifecycle/resume.ts';
import type { Act } from '../../model/act.ts';
import type { Pause } from '../../model/pause.ts';
import type { OperateDeps } from './deps.ts';
import { forgetJob } from './forget.ts';
import { noSuchJob, RefusedAct } from './refusal.ts';
import { retryJob } from './retry.ts';

/** What came of a request. */
export interface Operated {
  /** HTTP status. */
  status: number;
  answer: OperateAnswer;
}

/** Who asks, and when. */
interface Caller {
  /** ARN of the caller, as AWS gives it. */
  by: string;
  /** Epoch milliseconds. */
  at: number;
}

type RequestOf<Action extends OperateAction> = Extract<OperateRequest, { action: Action }>;
type Acts = {
  [Action in OperateAction]: (
    deps: OperateDeps,
    request: RequestOf<Action>,
    caller: Caller,
  ) => Promise<Done<Action>>;
};

/**
 * @param request.body JSON text.
 * @param request.by ARN of the caller; absent or empty if AWS named none.
 * @throws what went wrong on the way: the act may be done in part, and is safe to repeat.
 */
export async function operate(
  deps: OperateDeps,
  { body, by: named }: { body: string; by: string | undefined },
): Promise<Operated> {
  const by = named === '' ? undefined : named;
  let action: OperateAction | undefined;
  try {
    if (by === undefined)
      throw new RefusedAct(
        'no_caller',
        'AWS did not say who calls: the URL of this function must have the auth type AWS_IAM.',
      );
    const request = requestOf(body);
    action = request.action;
    return { status: 200, answer: await carryOut(deps, request, { by, at: deps.ambient.now() }) };
  } catch (error) {
    if (!(error instanceof RefusedAct)) throw error;
    deps.telemetry.record('act.refused', { action, code: error.code, by });
    return { status: error.status, answer: error.answer };
  }
}

function carryOut<Action extends OperateAction>(
  deps: OperateDeps,
  request: RequestOf<Action>,
  caller: Caller,
): Promise<Done<Action>> {
  const act: Acts[Action] = ACTS[request.action as Action];
  return act(deps, request, caller);
}

function requestOf(body: string): OperateRequest {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw notUnderstood('the body is no JSON');
  }
  const parsed = operateRequestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw notUnderstood(problemsOf(parsed.error).join('; '));
}

function notUnderstood(problem: string): RefusedAct {
  return new RefusedAct(
    'not_understood',
    `This stack does not understand the request: ${problem}. Use the command line of the release that is deployed.`,
    { knows: { v: [OPERATE_VERSION], actions: OPERATE_ACTIONS } },
  );
}

const ACTS: Acts = { cancel, resume, lift, pause, unpause, retry, forget };

function actOf(action: Act['action'], { reason }: { reason?: string }, { by, at }: Caller): Act {
  return { action, by, at, ...(reason === undefined ? {} : { reason }) };
}

async function cancel(
  deps: OperateDeps,
  request: RequestOf<'cancel'>,
  caller: Caller,
): Promise<Done<'cancel'>> {
  const { jobId, duplicates } = request;
  const act = actOf('cancel', request, caller);
  // Without an API key: the poll cancels at the provider what is marked here.
  const { jobs, outbox, ambient, telemetry } = deps;
  const cancelled = await cancelJob({ jobs, outbox, ambient, telemetry }, jobId, { duplicates, act });
  if (cancelled === undefined) throw noSuchJob(jobId);
  return { v: 1, ok: true, action: 'cancel', ...cancelled };
}

async function resume(
  deps: OperateDeps,
  request: RequestOf<'resume'>,
  caller: Caller,
): Promise<Done<'resume'>> {
  const { jobId, acknowledge } = request;
  const resumed = await resumeJob(deps, jobId, {
    givesUpLost: acknowledge === 'may_pay_twice',
    act: actOf('resume', request, caller),
  });
  if (resumed === undefined) throw noSuchJob(jobId);
  const idsOf = (batches: readonly { batchId: string }[]) => batches.map(({ batchId }) => batchId);
  const { released, givenUp, lost, waiting } = resumed;
  return {
    v: 1,
    ok: true,
    action: 'resume',
    released: idsOf(released),
    givenUp: idsOf(givenUp),
    lost: idsOf(lost),
    waiting: waiting.map(({ batchId, hold }) => ({ batchId, reason: hold!.reason })),
  };
}

async function lift(
  { suspensions, ambient, telemetry }: OperateDeps,
  { scope, reason }: RequestOf<'lift'>,
  { by }: Caller,
): Promise<Done<'lift'>> {
  // A person says that it is over, which refutes whatever suspended it; an error says otherwise soon enough.
  const isLifted = await suspensions.lift(scope, 'collected', ambient.now());
  if (isLifted) telemetry.record('suspension.lifted', { scope, by, reason: operatorReason(reason) });
  return { v: 1, ok: true, action: 'lift', state: isLifted ? 'lifted' : 'not_suspended' };
}

async function pause(deps: OperateDeps, request: RequestOf<'pause'>, caller: Caller): Promise<Done<'pause'>> {
  const { pause: inForce, isNew } = await deps.pauses.pause(pauseFor(deps, request, caller));
  const { route, by, at, reason } = inForce;
  if (isNew) deps.telemetry.record('pause.started', { route, by });
  const view = { route, by, at: new Date(at).toISOString(), reason };
  return { v: 1, ok: true, action: 'pause', state: isNew ? 'paused' : 'paused_before', pause: view };
}

async function unpause(
  deps: OperateDeps,
  request: RequestOf<'unpause'>,
  caller: Caller,
): Promise<Done<'unpause'>> {
  const { route, reason } = request;
  const hasEnded = await deps.pauses.unpause({
    v: 1,
    ...caller,
    ...(route === undefined ? {} : { route }),
    ...(reason === undefined ? {} : { reason }),
  });
  if (hasEnded) deps.telemetry.record('pause.ended', { route, by: caller.by });
  return { v: 1, ok: true, action: 'unpause', state: hasEnded ? 'unpaused' : 'not_paused' };
}

/** @throws {RefusedAct} if the settings have no such route. */
function pauseFor(
  { settings }: OperateDeps,
  { route, reason }: RequestOf<'pause'>,
  caller: Caller,
): Omit<Pause, 'isPaused'> {
  const names = settings.routes.map(({ name }) => name);
  if (route !== undefined && !names.includes(route))
    throw new RefusedAct(
      'no_such_route',
      `There is no route "${route}" in this stack; there are: ${names.join(', ')}.`,
    );
  return {
    v: 1,
    ...caller,
    ...(route === undefined ? {} : { route }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function retry(deps: OperateDeps, request: RequestOf<'retry'>, caller: Caller): Promise<Done<'retry'>> {
  return retryJob(deps, request, actOf('retry', request, caller));
}

function forget(deps: OperateDeps, request: RequestOf<'forget'>, caller: Caller): Promise<Done<'forget'>> {
  return forgetJob(deps, request, actOf('forget', request, caller));
}
