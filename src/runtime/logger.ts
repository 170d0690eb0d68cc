import { Logger } from '@aws-lambda-powertools/logger';
import type { Context } from 'aws-lambda';
import type { Log } from '../core/ports/log.ts';

/** {@link Log} with the means of a handler. Events are never logged: they may name what people call their files. */
export interface HandlerLog extends Log {
  error(message: string, fields?: Record<string, unknown>): void;
  /** A log whose every line carries these fields as well. */
  with(fields: Record<string, unknown>): HandlerLog;
  /** A log whose every line carries the invocation's request id and function. */
  forInvocation(context: Context): HandlerLog;
}

/** A structured log on standard output; `POWERTOOLS_SERVICE_NAME` and `POWERTOOLS_LOG_LEVEL` apply. */
export function createLogger(): HandlerLog {
  return wrap(new Logger());
}

function wrap(logger: Logger): HandlerLog {
  return {
    info: (message, fields = {}) => logger.info(message, fields),
    warn: (message, fields = {}) => logger.warn(message, fields),
    error: (message, fields = {}) => logger.error(message, fields),
    with(fields) {
      const child = logger.createChild();
      child.appendKeys(fields);
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
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { name: typeof error };
  // Of JSON.parse: quotes what it could not read.
  const message = error instanceof SyntaxError ? 'withheld, it may quote content' : error.message;
  const { code } = error as { code?: unknown };
  return {
    name: error.name,
    message,
    ...(typeof code === 'string' ? { code } : {}),
    at: error.stack
      ?.split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 5)
      .map((line) => line.trim()),
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}
