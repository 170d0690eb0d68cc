/**
 * The one judge of answers: what a line of OpenAI's result files, or of the answers to our own calls, says of its
 * request. Rule and sources:
 * platform.openai.com/docs/guides/batch and API reference ("request output object", "error codes"); status 0
 * lines: tidyverse/ellmer#830.
 */

import { asObject, type JsonObject, objectsIn } from '../../core/base/json-value.ts';
import {
  ANSWER_TOO_SLOW,
  BACKGROUND_CANCELLED,
  BACKGROUND_LEFT,
  NOT_SENT,
  RESPONSE_GONE,
} from '../../core/model/outcome-codes.ts';
import type { Cause } from '../../core/model/tries.ts';
import type { Asked, OperatorScope, Verdict } from '../../core/model/verdict.ts';
import { cutOf, holdsAnswer } from './answer.ts';
import { ENDPOINTS } from './endpoints/all.ts';
import { NO_ANSWER, operatorScopeOf, UNEXECUTED } from './errors.ts';
import { type StatedError, statedIn } from './stated-error.ts';

/**
 * `error.code`s of requests that were not executed to the end; what timed out, was cancelled while it was made, or is
 * gone may have been charged. Two of them are ours.
 */
const CAUSES: ReadonlyMap<string, Cause> = new Map([
  [UNEXECUTED.expired, 'unexecuted'],
  [UNEXECUTED.cancelled, 'unexecuted'],
  [NO_ANSWER, 'lost'],
  [BACKGROUND_CANCELLED, 'lost'],
  [RESPONSE_GONE, 'lost'],
]);
/** Per-request statuses that a later try may not meet. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 409, 429]);
/**
 * Statuses that a response has before it has an answer, and that of one that never will. Source: API reference,
 * "Responses".
 */
const UNFINISHED: ReadonlySet<unknown> = new Set(['queued', 'in_progress', 'cancelled']);

/**
 * By error code first, by status second; a 200 succeeds only if it holds an answer.
 * @param line a parsed line of an output or error file.
 * @param asked what is known of its request.
 */
export function classify(line: JsonObject, asked: Asked): Verdict {
  const response = asObject(line.response);
  const error = statedIn(line.error);
  if (error !== undefined) return ofError(error);
  if (response === undefined) return { kind: 'retry', code: 'no_response', cause: 'lost' };
  // A status that is not a number counts as lost, unless it only is written as text.
  const status = statusOf(response.status_code);
  const body = asObject(response.body);
  if (status >= 200 && status < 300) return ofAnswer(body, asked);
  const stated = statedIn(body?.error) ?? {};
  const code = stated.code ?? (status === 0 ? 'status_0' : `http_${status}`);
  return ofStatus(status, code, stated) ?? { kind: 'failed', code };
}

/** An error in the place of an answer, or beside one. */
function ofError(error: StatedError): Verdict {
  const code = error.code ?? error.type ?? 'unknown_error';
  if (code === NOT_SENT) return { kind: 'unsent', code };
  if (code === BACKGROUND_LEFT) return { kind: 'unsent', code, isLost: true };
  if (code === ANSWER_TOO_SLOW) return { kind: 'lost', code };
  const cause = CAUSES.get(code);
  if (cause !== undefined) return { kind: 'retry', code, cause };
  return ofStatus(error.status, code, error) ?? { kind: 'failed', code };
}

/** A body that came with status 200. */
function ofAnswer(body: JsonObject | undefined, asked: Asked): Verdict {
  // What came of it cannot be had: no JSON object, as a proxy on the way may send.
  if (body === undefined) return { kind: 'retry', code: 'no_body', cause: 'lost' };
  const error = errorIn(body);
  if (error !== undefined) {
    const code = error.code ?? error.type ?? 'response_failed';
    const verdict = ofStatus(error.status, code, error) ?? ({ kind: 'failed', code } as const);
    // A response that failed while it was made may have been charged, but for one that met a limit before it began.
    const isCharged = verdict.kind === 'retry' && error.status !== 429;
    return isCharged ? { ...verdict, cause: 'lost' } : verdict;
  }
  if (isUnfinished(body, asked)) {
    const name = UNFINISHED.has(body.status) ? body.status : 'unfinished';
    return { kind: 'retry', code: `response_${name}`, cause: 'lost' };
  }
  if (!holdsAnswer(body, asked)) return { kind: 'retry', code: 'no_answer', cause: 'lost' };
  return { kind: 'succeeded', cut: cutOf(body) };
}

/** The error that a 200 says, in any of the places where services put one. */
function errorIn(body: JsonObject): StatedError | undefined {
  const stated = statedIn(body.error) ?? statedIn(body.errors);
  if (stated !== undefined) return stated;
  // As vLLM and Mistral answer, and as Anthropic does.
  if (body.object === 'error' || body.type === 'error') return statedIn({ ...body, type: undefined }) ?? {};
  if (body.status === 'failed') return {};
  for (const choice of objectsIn(body.choices)) {
    const inChoice = statedIn(choice.error) ?? (choice.finish_reason === 'error' ? {} : undefined);
    if (inChoice !== undefined) return inChoice;
  }
  return undefined;
}

/** A response that is neither whole nor cut short. */
function isUnfinished({ object, status }: JsonObject, { endpoint }: Asked): boolean {
  if (!ENDPOINTS.get(endpoint ?? '')?.hasStatus && object !== 'response') return false;
  return status !== undefined && status !== null && status !== 'completed' && status !== 'incomplete';
}

/** What a status means; `undefined`: the same again would fail the same way. */
function ofStatus(status: number | undefined, code: string, stated: StatedError): Verdict | undefined {
  const scope =
    operatorScopeOf(stated.code ?? '') ?? operatorScopeOf(stated.type ?? '') ?? scopeOfStatus(status, stated);
  if (scope !== undefined) return { kind: 'operator', code, scope };
  // OpenAI has counted such lines as completed: what was executed is lost.
  if (status === 0) return { kind: 'retry', code, cause: 'lost' };
  return [status, stated.status].some(isTransient) ? { kind: 'retry', code, cause: 'transient' } : undefined;
}

function isTransient(status: number | undefined): boolean {
  return status !== undefined && (TRANSIENT.has(status) || status >= 500);
}

/** A key that is refused without a known code, a model that is not found without one. */
function scopeOfStatus(
  status: number | undefined,
  { code, param, message }: StatedError,
): OperatorScope | undefined {
  if (status === 401) return 'key';
  if (status !== 404 || (code !== undefined && code !== '404')) return undefined;
  return param === 'model' || (message !== undefined && /\bmodel\b/i.test(message)) ? 'model' : undefined;
}

/** Written as text by some services; anything else, an object with a `toString` of its own included, is no status. */
function statusOf(value: unknown): number {
  return typeof value === 'number' || typeof value === 'string' ? Number(value) || 0 : 0;
}
