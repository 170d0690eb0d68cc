import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import { ChangeMessageVisibilityCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import type { z } from 'zod';
import { problemsOf } from '../contract/problems.ts';
import { MINUTE_MS, SECOND_MS } from '../contract/time.ts';
import { type Backoff, waitAfter } from '../core/base/backoff.ts';
import { defined } from '../core/base/defined.ts';
import { BatchdropError } from '../core/base/errors.ts';
import type { Deadline } from '../core/ports/ambient.ts';
import type { Telemetry } from '../core/ports/telemetry.ts';
import { createSqsClient } from './clients.ts';
import { deadlineOf } from './deadline.ts';
import { beginLife } from './life.ts';
import { createTelemetry, describeError, type HandlerTelemetry } from './logger.ts';

/** What a step knows of the invocation that it runs in: part of its dependencies. */
export interface Invocation {
  /** When Lambda ends it. */
  deadline: Deadline;
  /** Carries the ids of the message and of what it names. */
  telemetry: Telemetry;
}

const REDELIVERY_BACKOFF: Backoff = { firstMs: 30 * SECOND_MS, maxMs: 15 * MINUTE_MS };

/** 30 s after the first failure, twice as long after each further one, at most 15 minutes. */
export function backoffSeconds(receiveCount: number): number {
  return waitAfter(REDELIVERY_BACKOFF, receiveCount) / SECOND_MS;
}

/** The message is not one of ours; trying it again changes nothing, so it goes to the dead-letter queue. */
class UnreadableMessageError extends BatchdropError {}

/**
 * A handler for an SQS event source with `ReportBatchItemFailures`. It runs the messages one after the other; those
 * that fail come back alone, and soon: after a backoff, rather than after the visibility timeout of the queue, which
 * is as long as the longest run. A step that has to wait does not fail: see core/lifecycle/step-failure.ts.
 *
 * Each `lambdas/<step>/handler.ts` calls this with its own step; they are separate files because a bundle contains what
 * its entry imports, and a factory that knew all steps would put all of them into each function.
 *
 * @param options.schema of the message body, which is JSON.
 * @param options.queueUrl the event source, for the visibility of what failed.
 * @param options.run one message; whatever it throws makes the message come back.
 */
export function createQueueHandler<Schema extends z.ZodType>(options: {
  schema: Schema;
  queueUrl: string;
  run(message: z.output<Schema>, invocation: Invocation): Promise<unknown>;
  sqs?: SQSClient;
  telemetry?: HandlerTelemetry;
}): (event: SQSEvent, context: Context) => Promise<SQSBatchResponse> {
  const { schema, queueUrl, run, sqs = createSqsClient(), telemetry = createTelemetry() } = options;
  const processor = new BatchProcessor(EventType.SQS);

  async function runRecord(
    record: SQSRecord,
    context: Context,
    invocationTelemetry: HandlerTelemetry,
  ): Promise<void> {
    const receiveCount = Number(record.attributes.ApproximateReceiveCount);
    let messageTelemetry = invocationTelemetry.with({ messageId: record.messageId, receiveCount });
    try {
      const message = parseBody(schema, record.body);
      messageTelemetry = messageTelemetry.with(idsOf(message));
      await run(message, { deadline: deadlineOf(context), telemetry: messageTelemetry });
    } catch (error) {
      const delaySeconds = delayOf(error, receiveCount);
      messageTelemetry.record('step.failed', {
        error: describeError(error),
        waitMs: delaySeconds * SECOND_MS,
      });
      try {
        await sqs.send(
          new ChangeMessageVisibilityCommand({
            QueueUrl: queueUrl,
            ReceiptHandle: record.receiptHandle,
            VisibilityTimeout: delaySeconds,
          }),
        );
      } catch (visibilityError) {
        messageTelemetry.record('visibility.unchanged', { error: describeError(visibilityError) });
      }
      throw error;
    }
  }

  return (event, context) => {
    const invocationTelemetry = telemetry.forInvocation(context);
    beginLife(deadlineOf(context));
    return processPartialResponse(
      event,
      (record: SQSRecord) => runRecord(record, context, invocationTelemetry),
      processor,
      // In parallel they would share the memory that one is sized for.
      { context, processInParallel: false, throwOnFullBatchFailure: false },
    );
  };
}

function parseBody<Schema extends z.ZodType>(schema: Schema, body: string): z.output<Schema> {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new UnreadableMessageError(`the message body (${body.length} characters) is not JSON`);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;

  throw new UnreadableMessageError(
    `the message is not one that this release understands: ${problemsOf(result.error).join('; ')}`,
  );
}

function delayOf(error: unknown, receiveCount: number): number {
  return error instanceof UnreadableMessageError ? 0 : backoffSeconds(receiveCount);
}

function idsOf(message: unknown): { jobId?: string; batchId?: string } {
  const { jobId, batchId } = (message ?? {}) as { jobId?: unknown; batchId?: unknown };
  return defined({
    jobId: typeof jobId === 'string' ? jobId : undefined,
    batchId: typeof batchId === 'string' ? batchId : undefined,
  });
}
