import type { Context } from 'aws-lambda';
import type { Telemetry } from '../core/ports/telemetry.ts';
import { deadlineOf } from './deadline.ts';
import { beginLife } from './life.ts';
import { createTelemetry, describeError, type HandlerTelemetry } from './logger.ts';

/**
 * What of a request is read, as a function URL and an HTTP API send it. Source: Lambda developer guide, "Invoking
 * Lambda function URLs", payload format 2.0.
 */
export interface UrlEvent {
  /** Names in lower case; values of the same name are joined by commas. */
  headers?: Record<string, string | undefined> | undefined;
  requestContext: { http: { method: string } };
  body?: string | undefined;
  isBase64Encoded?: boolean | undefined;
}

/** A request with its body as it was sent. */
export interface UrlRequest {
  method: string;
  headers: Readonly<Record<string, string | undefined>>;
  body: string;
}

/**
 * A handler for a URL that anybody may call. What `run` throws is logged and answered by 500; the answer never has a
 * body, so that it tells nothing.
 * @param options.run gives the HTTP status.
 */
export function createUrlHandler(options: {
  run(request: UrlRequest, telemetry: Telemetry): Promise<number>;
  telemetry?: HandlerTelemetry;
}): (event: UrlEvent, context: Context) => Promise<{ statusCode: number }> {
  const { run, telemetry = createTelemetry() } = options;
  return async (event, context) => {
    const invocationTelemetry = telemetry.forInvocation(context);
    beginLife(deadlineOf(context));
    try {
      return { statusCode: await run(readRequest(event), invocationTelemetry) };
    } catch (error) {
      invocationTelemetry.record('webhook.failed', { error: describeError(error) });
      return { statusCode: 500 };
    }
  };
}

function readRequest({ headers = {}, requestContext, body = '', isBase64Encoded }: UrlEvent): UrlRequest {
  return {
    method: requestContext.http.method,
    headers,
    body: isBase64Encoded === true ? Buffer.from(body, 'base64').toString('utf8') : body,
  };
}
