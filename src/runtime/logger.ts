import { Logger } from '@aws-lambda-powertools/logger';
import type { Context } from 'aws-lambda';
import { type ErrorDescription, writeFields } from '../contract/event-fields.ts';
import { EVENTS, INVOCATION_FIELDS, type InvocationFields } from '../contract/events.ts';
import type { Telemetry } from '../core/ports/telemetry.ts';

/** {@link Telemetry} with the means of a handler. */
export interface HandlerTelemetry extends Telemetry {
  /** Telemetry whose every event carries these fields as well. */
  with(fields: InvocationFields): HandlerTelemetry;
  /** Telemetry whose every event carries the invocation's request id and function. */
  forInvocation(context: Context): HandlerTelemetry;
}

/**
 * Writes each event as one line of JSON on standard output: `{ level, event, message, …fields }` (ADR 38).
 * `POWERTOOLS_SERVICE_NAME` and `POWERTOOLS_LOG_LEVEL` apply. What Lambda passes to a handler is never written: it
 * may name what people call their files.
 */
export function createTelemetry(): HandlerTelemetry {
  return wrap(new Logger());
}

function wrap(logger: Logger): HandlerTelemetry {
  return {
    record(event, values) {
      const { level, message, fields: kinds } = EVENTS[event];
      logger[level](message, { event, ...writeFields(kinds, values).fields });
    },
    with(values) {
      const child = logger.createChild();
      child.appendKeys(writeFields(INVOCATION_FIELDS, values).fields);
      return wrap(child);
    },
    forInvocation(context) {
      const child = logger.createChild();
      child.addContext(context);
      return wrap(child);
    },
  };
}

/** What may be logged of an error: names, messages and codes along its causes, and where it was thrown. */
export function describeError(error: unknown): ErrorDescription {
  if (!(error instanceof Error)) return { name: typeof error };
  // Of JSON.parse: quotes what it could not read.
  const message = error instanceof SyntaxError ? 'withheld, it may quote content' : error.message;
  const { code } = error as { code?: unknown };
  const at = error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 5)
    .map((line) => line.trim());
  return {
    name: error.name,
    message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(at === undefined ? {} : { at }),
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}
