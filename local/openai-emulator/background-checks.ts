import { ApiError, invalidType, invalidValue, refusal } from './api-error.ts';
import type { Body } from './exchange.ts';
import { isObject } from './json-lines.ts';
import { modelFacts } from './models.ts';
import { type IsStrict, requestError } from './request-checks.ts';
import { WINDOWS, type Window } from './windows.ts';

/** Whether a request asks for the background; `background_options` belong there, so they are checked with it. */
export const asksForBackground = (body: Body): boolean =>
  body.background === true || (body.background_options !== undefined && body.background_options !== null);

/**
 * The window that a request asks for. What is refused is stated by openai 7.59.0 (`background_options`: "require
 * `background: true`, Standard processing, and `stream: false` or omitted"); no wording of a refusal is known.
 * @throws ApiError 400 or 404
 */
export function checkBackground(body: Body, nowMs: number, isStrict: IsStrict): Window {
  const options = body.background_options ?? {};
  if (!isObject(options)) throw invalidType('background_options', 'an object', options);
  const unknown = Object.keys(options).find(
    (name) => !['completion_window', 'continuation_id'].includes(name),
  );
  if (unknown !== undefined) {
    const param = `background_options.${unknown}`;
    throw refusal(400, `Unknown parameter: '${param}'.`, { param, code: 'unknown_parameter' });
  }
  const window = WINDOWS.find((known) => known === (options.completion_window ?? 'soonest'));
  if (window === undefined) {
    throw invalidValue('background_options.completion_window', String(options.completion_window), WINDOWS);
  }
  checkContinuation(options.continuation_id);
  // A real one streams `soonest`; the emulator does not.
  if (body.stream === true)
    throw unsupported(`'stream' is not supported with the window '${window}'.`, 'stream');
  const tier = body.service_tier ?? 'auto';
  if (window !== 'soonest' && tier !== 'auto' && tier !== 'default') {
    throw unsupported(`The window '${window}' requires Standard processing.`, 'service_tier');
  }
  const refused = requestError('/v1/responses', body, nowMs, isStrict);
  if (refused !== undefined) throw new ApiError(refused.status, refused.body as ApiError['body']);
  const facts = modelFacts(String(body.model));
  if (window !== 'soonest' && isStrict('windows') && facts?.hasWindows === false) {
    throw unsupported(
      `The completion window '${window}' is not available for this model.`,
      'background_options.completion_window',
    );
  }
  return window;
}

function checkContinuation(id: unknown): void {
  if (id === undefined || typeof id === 'string') return;
  throw invalidType('background_options.continuation_id', 'a string', id);
}

const unsupported = (message: string, param: string) =>
  refusal(400, message, { param, code: 'unsupported_value' });
