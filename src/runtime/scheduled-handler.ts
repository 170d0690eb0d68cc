import type { Context } from 'aws-lambda';
import { deadlineOf } from './deadline.ts';
import { beginLife } from './life.ts';
import { createTelemetry, describeError, type HandlerTelemetry } from './logger.ts';
import type { Invocation } from './queue-handler.ts';

/** A handler for an EventBridge schedule. What `run` throws is logged once and fails the invocation. */
export function createScheduledHandler(options: {
  run(invocation: Invocation): Promise<unknown>;
  telemetry?: HandlerTelemetry;
}): (event: unknown, context: Context) => Promise<void> {
  const { run, telemetry = createTelemetry() } = options;
  return async (_event, context) => {
    const invocationTelemetry = telemetry.forInvocation(context);
    const deadline = deadlineOf(context);
    beginLife(deadline);
    try {
      await run({ deadline, telemetry: invocationTelemetry });
    } catch (error) {
      invocationTelemetry.record('poll.failed', { error: describeError(error) });
      throw error;
    }
  };
}
