/**
 * What OpenAI's error codes mean. Sources: guide "Error codes",
 * platform.openai.com/docs/guides/batch; names of Azure OpenAI beside
 * them.
 */
import type { BatchLevelError } from '../../core/model/batch.ts';
import type { OperatorScope } from '../../core/model/verdict.ts';
import type { BatchErrorKind } from '../../core/ports/provider-rules.ts';

/** Codes that say that the key or its account cannot be used as it is. Source: OpenAI guide "Error codes". */
const KEY_ERRORS: ReadonlySet<string> = new Set([
  'insufficient_quota',
  'billing_hard_limit_reached',
  'billing_not_active',
  'account_deactivated',
  'invalid_api_key',
]);
/** Of those, codes of an account without credit or beyond its limits, and of one whose bill is not paid. */
const ACCOUNT_PROBLEMS: ReadonlyMap<string, 'quota' | 'billing'> = new Map([
  ['insufficient_quota', 'quota'],
  ['billing_hard_limit_reached', 'billing'],
  ['billing_not_active', 'billing'],
]);
/** Code of a key that is refused. */
export const KEY_REFUSED = 'invalid_api_key';
/** Code of a model that is not there, or not for the key. */
export const MODEL_NOT_FOUND = 'model_not_found';

/** Code of a call that timed out. */
export const NO_ANSWER = 'request_timeout';
/** Codes of error lines of requests whose batch ended before they were executed. */
export const UNEXECUTED = { expired: 'batch_expired', cancelled: 'batch_cancelled' } as const;

/**
 * What an error of this code stops, if it is not the request that is at fault. By code alone: see verdict.ts for
 * lines.
 */
export function operatorScopeOf(code: string): OperatorScope | undefined {
  if (KEY_ERRORS.has(code)) return 'key';
  return code === MODEL_NOT_FOUND ? 'model' : undefined;
}

/** What is wrong with the account of a key, if it is not the key itself. */
export function accountProblemOf(code: string): 'quota' | 'billing' | undefined {
  return ACCOUNT_PROBLEMS.get(code);
}

/** Code of a batch that would exceed the enqueued-token limit (openai-python#2084). */
const TOKEN_LIMIT_EXCEEDED = 'token_limit_exceeded';
/** Azure OpenAI's code of a batch of too many lines. */
const TOO_MANY_TASKS = 'too_many_tasks';

/** Codes that are about one line. */
const LINE_ERRORS: ReadonlySet<string> = new Set([
  'invalid_json_line',
  'duplicate_custom_id',
  'missing_required_parameter',
  'mismatched_model',
  'model_mismatch',
  'invalid_url',
  'url_mismatch',
  'invalid_request',
  'invalid_value',
  'invalid_type',
  'streaming_unsupported',
]);

/** "Cannot find file …" is an `invalid_request` about the file. `undefined`: a code that is not known here. */
export function batchErrorKindOf({
  code,
  param,
}: Pick<BatchLevelError, 'code' | 'param'>): BatchErrorKind | undefined {
  if (code === 'invalid_request' && (param === 'file_id' || param === 'input_file_id')) return 'file';
  if (code === TOKEN_LIMIT_EXCEEDED) return 'no_room';
  if (code === TOO_MANY_TASKS) return 'too_large';
  return LINE_ERRORS.has(code) ? 'line' : undefined;
}

/** Codes that `verdict.ts` gives to answers of which nothing can be had, beside those of responses without an end. */
const LOST_ANSWERS: ReadonlySet<string> = new Set([
  NO_ANSWER,
  'status_0',
  'no_response',
  'no_body',
  'no_answer',
]);

/** Whether a request that failed with this code may have been charged: see `verdict.ts`. */
export function mayHaveBeenCharged(code: string): boolean {
  return LOST_ANSWERS.has(code) || code.startsWith('response_');
}
