/**
 * An HTTP server for AWS services that speak "AWS JSON" (one POST path, the operation in `X-Amz-Target`): the
 * frame of the local DynamoDB, EventBridge and Secrets Manager.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An error that a client gets as the service's own exception. */
export class AwsError extends Error {
  /** Exception name, such as `ValidationException`; the SDK makes it the error's `name`. */
  readonly code: string;
  readonly status: number;
  /** More members of the exception, such as `CancellationReasons`. */
  readonly members: Record<string, unknown>;

  constructor(code: string, message: string, members: Record<string, unknown> = {}, status = 400) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
    this.members = members;
  }
}

/** One call as it came in. */
export interface AwsJsonRequest {
  /** What follows the dot in `X-Amz-Target`, such as `PutItem`. */
  operation: string;
  body: Buffer;
  /** Access key id that signed the call, or `''`: says who calls, signatures are not verified. */
  accessKeyId: string;
}

/** An answer: an object is sent as JSON, a buffer as it is. */
export interface AwsJsonResponse {
  status: number;
  body: Buffer | object;
}

export interface AwsJsonServer {
  /** `http://127.0.0.1:PORT` */
  endpoint: string;
  port: number;
  close(): Promise<void>;
}

/**
 * Starts the server on 127.0.0.1.
 *
 * @param options.port default 0: the system chooses
 * @param options.contentType of the answers, such as `application/x-amz-json-1.1`
 * @param options.handle answers a call; an {@link AwsError} becomes the service's exception, anything else a 500
 */
export async function startAwsJsonServer(options: {
  port?: number | undefined;
  contentType: string;
  handle: (request: AwsJsonRequest) => Promise<AwsJsonResponse>;
}): Promise<AwsJsonServer> {
  const server = createServer(async (request, response) => {
    const answer = await answerSafely(request, options.handle);
    const body = Buffer.isBuffer(answer.body) ? answer.body : Buffer.from(JSON.stringify(answer.body));
    response.writeHead(answer.status, {
      'content-type': options.contentType,
      'content-length': body.length,
      'x-amzn-requestid': randomUUID(),
    });
    response.end(body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The access key id in a SigV4 `Authorization` header, or `''`. */
export function accessKeyIdOf(headers: IncomingHttpHeaders): string {
  return /Credential=([^/]+)\//.exec(headers.authorization ?? '')?.[1] ?? '';
}

async function answerSafely(
  request: IncomingMessage,
  handle: (request: AwsJsonRequest) => Promise<AwsJsonResponse>,
): Promise<AwsJsonResponse> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return await handle({
      operation: String(request.headers['x-amz-target'] ?? '').split('.')[1] ?? '',
      body: Buffer.concat(chunks),
      accessKeyId: accessKeyIdOf(request.headers),
    });
  } catch (error) {
    if (error instanceof AwsError) {
      return {
        status: error.status,
        body: { __type: error.code, message: error.message, Message: error.message, ...error.members },
      };
    }
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { status: 500, body: { __type: 'InternalServerError', message } };
  }
}
