import type { Context } from 'aws-lambda';
import { beginLife } from './life.ts';
import { createLogger, describeError, type HandlerLog } from './logger.ts';
import { deadlineOf, type Invocation } from './queue-handler.ts';

/** A handler for an EventBridge schedule. What `run` throws is logged once and fails the invocation. */
export function createScheduledHandler(options: {
  run(invocation: Invocation): Promise<unknown>;
  log?: HandlerLog;
}): (event: unknown, context: Context) => Promise<void> {
  const { run, log = createLogger() } = options;
  return async (_event, context) => {
    const invocationLog = log.forInvocation(context);
    const deadline = deadlineOf(context);
    beginLife(deadline);
    try {
      await run({ deadline, log: invocationLog });
    } catch (error) {
      invocationLog.error('step failed', { error: describeError(error) });
      throw error;
    }
  };
}
