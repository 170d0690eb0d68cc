/**
 * An HTTP server for AWS services that speak "AWS JSON" (one POST path, the operation in `X-Amz-Target`): the
 * frame of the local DynamoDB, EventBridge and Secrets Manager.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RequestContext } from './iam/conditions.ts';
import { keyRefusalOf } from './iam/keys.ts';
import { contextOf } from './iam/request-context.ts';
import { type Intercept, SESSION_TOKEN_HEADER, type ServiceCall } from './interception.ts';
import type { LocalService } from './service.ts';

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

/** What a caller without a right gets. @param service as its actions name it @param reason AWS's words for what is lacking */
export function accessDenied(service: string, reason: string): AwsError {
  const { code, message, status } = keyRefusalOf(service, reason) ?? {
    code: 'AccessDeniedException',
    message: reason,
    status: 400,
  };
  return new AwsError(code, message, {}, status);
}

/** One call as it came in. */
export interface AwsJsonRequest {
  /** What follows the dot in `X-Amz-Target`, such as `PutItem`. */
  operation: string;
  body: Buffer;
  /** Access key id that signed the call, or `''`: says who calls, signatures are not verified. */
  accessKeyId: string;
  /** What is known of the request, for conditions of policies. */
  context: RequestContext;
}

/** An answer: an object is sent as JSON, a buffer as it is. */
export interface AwsJsonResponse {
  status: number;
  body: Buffer | object;
}

/** How the calls of a service are shown to a test that may cut them. */
export interface AwsJsonInterception {
  service: ServiceCall['service'];
  /** What a call is about, found in its input. */
  resourceOf(input: Record<string, unknown>): unknown;
  intercept: Intercept;
}

/**
 * Starts the server on 127.0.0.1.
 *
 * @param options.port default 0: the system chooses
 * @param options.contentType of the answers, such as `application/x-amz-json-1.1`
 * @param options.handle answers a call; an {@link AwsError} becomes the service's exception, anything else a 500
 * @param options.interception sees each call before and after `handle`
 */
export async function startAwsJsonServer(options: {
  port?: number | undefined;
  contentType: string;
  handle: (request: AwsJsonRequest) => Promise<AwsJsonResponse>;
  interception?: AwsJsonInterception | undefined;
}): Promise<LocalService> {
  const server = createServer(async (request, response) => {
    const call = await readCall(request);
    if (call === undefined || isCut(call, request, options.interception, 'before')) return;
    const answer = await answerSafely(call, options.handle);
    if (isCut(call, request, options.interception, 'after')) return;
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

/** Nothing when the client has gone before it had sent everything. */
async function readCall(request: IncomingMessage): Promise<AwsJsonRequest | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return {
    operation: String(request.headers['x-amz-target'] ?? '').split('.')[1] ?? '',
    body: Buffer.concat(chunks),
    accessKeyId: accessKeyIdOf(request.headers),
    context: contextOf(request.headers),
  };
}

function isCut(
  { operation, body }: AwsJsonRequest,
  request: IncomingMessage,
  interception: AwsJsonInterception | undefined,
  moment: ServiceCall['moment'],
): boolean {
  const sessionToken = request.headers[SESSION_TOKEN_HEADER];
  if (interception === undefined || sessionToken === undefined) return false;
  const { service, resourceOf, intercept } = interception;
  const input = parseObject(body);
  const resource = String(resourceOf(input) ?? '');
  const verdict = intercept({
    service,
    operation,
    resource,
    input,
    moment,
    sessionToken: String(sessionToken),
  });
  if (verdict === 'cut') request.socket.destroy();
  return verdict === 'cut';
}

/** What is not JSON is the handler's to refuse. */
function parseObject(body: Buffer): Record<string, unknown> {
  try {
    return JSON.parse(body.toString());
  } catch {
    return {};
  }
}

async function answerSafely(
  request: AwsJsonRequest,
  handle: (request: AwsJsonRequest) => Promise<AwsJsonResponse>,
): Promise<AwsJsonResponse> {
  try {
    return await handle(request);
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
