import { Logger } from '@aws-lambda-powertools/logger';
import type { Context } from 'aws-lambda';
import { telemetryEnv } from '../contract/env.ts';
import { type ErrorDescription, writeFields } from '../contract/event-fields.ts';
import { writeMetrics } from '../contract/event-metrics.ts';
import { EVENTS, type EventRow, INVOCATION_FIELDS, type InvocationFields } from '../contract/events.ts';
import { defined } from '../core/base/defined.ts';
import type { Telemetry } from '../core/ports/telemetry.ts';
import { parseEnv } from './env.ts';

/** {@link Telemetry} with the means of a handler. */
export interface HandlerTelemetry extends Telemetry {
  /** Telemetry whose every event carries these fields as well. */
  with(fields: InvocationFields): HandlerTelemetry;
  /** Telemetry whose every event carries the invocation's request id and function. */
  forInvocation(context: Context): HandlerTelemetry;
}

/**
 * Writes each event as one line of JSON on standard output: `{ level, event, message, …fields }` (ADR 38), with the
 * metrics of its row in the same line (ADR 45), whose names are members, too; none is the name of a field.
 * `POWERTOOLS_SERVICE_NAME` and `POWERTOOLS_LOG_LEVEL` apply. What Lambda passes to a handler is never written: it
 * may name what people call their files.
 */
export function createTelemetry(): HandlerTelemetry {
  return wrap(new Logger(), parseEnv(telemetryEnv, process.env).STACK_NAME);
}

/** @param stack without a name, as outside a stack, there are no metrics. */
function wrap(logger: Logger, stack: string | undefined): HandlerTelemetry {
  return {
    record(event, values) {
      const { level, message, fields: kinds, metrics = [] }: EventRow = EVENTS[event];
      const { fields } = writeFields(kinds, values);
      const members = stack === undefined ? {} : writeMetrics(metrics, fields, stack, Date.now());
      logger[level](message, { event, ...fields, ...members });
    },
    with(values) {
      const child = logger.createChild();
      child.appendKeys(writeFields(INVOCATION_FIELDS, values).fields);
      return wrap(child, stack);
    },
    forInvocation(context) {
      const child = logger.createChild();
      child.addContext(context);
      return wrap(child, stack);
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
  return defined({
    name: error.name,
    message,
    code: typeof code === 'string' ? code : undefined,
    at,
    cause: error.cause instanceof Error ? describeError(error.cause) : undefined,
  });
}
