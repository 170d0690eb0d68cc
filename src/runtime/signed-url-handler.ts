import type { Context } from 'aws-lambda';
import type { OperateAnswer } from '../contract/operate.ts';
import type { Deadline } from '../core/ports/ambient.ts';
import type { Telemetry } from '../core/ports/telemetry.ts';
import { deadlineOf } from './deadline.ts';
import { beginLife } from './life.ts';
import { createTelemetry, describeError, type HandlerTelemetry } from './logger.ts';

/**
 * What of a request to a function URL with the auth type AWS_IAM is read. Source: Lambda developer guide, "Invoking
 * Lambda function URLs", payload format 2.0.
 */
export interface SignedUrlEvent {
  requestContext: {
    /** Only with AWS_IAM: Lambda has checked the signature, and says whose it is. */
    authorizer?: { iam?: { userArn?: string | undefined } | undefined } | undefined;
  };
  body?: string | undefined;
  isBase64Encoded?: boolean | undefined;
}

/** A request with its body as it was sent. */
export interface SignedRequest {
  body: string;
  /** ARN of the caller; absent if Lambda named none. */
  by: string | undefined;
}

/** What a function URL is answered. */
export interface UrlAnswer {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * A handler for a URL that only callers with the right to call it reach. What `run` throws is logged and answered by
 * 500 without its text: it may name what people call their files.
 */
export function createSignedUrlHandler(options: {
  run(
    request: SignedRequest,
    invocation: { telemetry: Telemetry; deadline: Deadline },
  ): Promise<{ status: number; answer: OperateAnswer }>;
  telemetry?: HandlerTelemetry;
}): (event: SignedUrlEvent, context: Context) => Promise<UrlAnswer> {
  const { run, telemetry = createTelemetry() } = options;
  return async (event, context) => {
    const invocationTelemetry = telemetry.forInvocation(context);
    const deadline = deadlineOf(context);
    beginLife(deadline);
    try {
      const { status, answer } = await run(readRequest(event), { telemetry: invocationTelemetry, deadline });
      return respond(status, answer);
    } catch (error) {
      invocationTelemetry.record('act.failed', { error: describeError(error) });
      const message =
        'The stack failed on the way. Repeat the command, of a job with the job id: it continues where it stopped. The log says more.';
      return respond(500, { v: 1, ok: false, code: 'failed', message });
    }
  };
}

function readRequest({ requestContext, body = '', isBase64Encoded }: SignedUrlEvent): SignedRequest {
  return {
    body: isBase64Encoded === true ? Buffer.from(body, 'base64').toString('utf8') : body,
    by: requestContext.authorizer?.iam?.userArn,
  };
}

function respond(statusCode: number, answer: OperateAnswer): UrlAnswer {
  return {
    statusCode,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(answer),
  };
}
