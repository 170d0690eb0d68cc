/**
 * The URLs of functions on this machine: what Lambda does between an HTTP request that anybody may send and a
 * function; a URL with the auth type AWS_IAM takes requests only that are signed by a caller who may call it. An HTTP
 * API with one route is served in the same way. Source: Lambda developer guide, "Invoking Lambda
 * function URLs", payload format 2.0.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { defined } from '../../../src/core/base/defined.ts';
import type { ApiCall, Authorize } from '../iam/policy.ts';
import { contextOf } from '../iam/request-context.ts';
import { S3Error } from '../s3/errors.ts';
import { type SecretLookup, verifySignature } from '../s3/sigv4.ts';
import type { LocalService } from '../service.ts';
import type { LocalFunction } from './runtime-api.ts';

/** Who may call the URLs that take signed requests only (auth type AWS_IAM). */
export interface UrlAccess {
  /** The secret of an access key id. */
  secretOf: SecretLookup;
  /** ARN of the caller. */
  arnOf(accessKeyId: string): string;
  authorize: Authorize;
  /** Epoch milliseconds. */
  now(): number;
}

/** What is behind a URL. */
export interface UrlTarget {
  function: Pick<LocalFunction, 'invoke'>;
  /** Such as `POST /`; others are answered 404. @default every request reaches the function */
  routeKey?: string | undefined;
  /** ARN of the function, if its URL takes signed requests only. @default anybody may call it */
  signedFor?: string | undefined;
  /** Why the function's own policy does not let such a request reach it, if so. @default it does */
  refusal?: (() => string | undefined) | undefined;
}

/** The running server. */
export interface FunctionUrls extends LocalService {
  /** The URL of a name, without a slash at its end. */
  urlOf(name: string): string;
}

/** Account of callers. */
const ACCOUNT = '000000000000';

/** The event of an invocation, at most. Source: Lambda developer guide, "Lambda quotas" (synchronous requests). */
const MAX_EVENT_BYTES = 6_291_456;

/** Bodies of these types are given as text, others as base64. */
const TEXT_TYPES = /^(text\/|application\/(json|javascript|xml|[\w.-]+\+(json|xml)))/i;

/**
 * Starts the server.
 * @param options.targets by name; they may be there later than the server.
 */
export async function startFunctionUrls(options: {
  port?: number | undefined;
  targets: Promise<ReadonlyMap<string, UrlTarget>>;
  /** @default nobody may call a URL that takes signed requests only */
  access?: UrlAccess | undefined;
}): Promise<FunctionUrls> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    endpoint,
    port,
    urlOf: (name) => `${endpoint}/${name}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  { targets, access }: Parameters<typeof startFunctionUrls>[0],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const [, name = '', path = ''] = /^\/([^/]*)(.*)$/.exec(url.pathname) ?? [];
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const target = (await targets).get(name);
  const rawPath = path === '' ? '/' : path;
  const isRouted = target?.routeKey === undefined || target.routeKey === `${request.method} ${rawPath}`;
  if (target === undefined || !isRouted) return refuse(response, 404, 'Not Found');
  // AWS: a URL says 403, an API that may not invoke its function 500.
  if (target.refusal?.() !== undefined)
    return target.routeKey === undefined
      ? refuse(response, 403, FORBIDDEN)
      : refuse(response, 500, 'Internal Server Error');
  const body = Buffer.concat(chunks);
  const caller = target.signedFor === undefined ? ANYBODY : await callerOf(request, body, target, access);
  if ('refused' in caller) return refuse(response, 403, caller.refused);
  const event = eventOf(request, body, { rawPath, query: url.search.slice(1), caller });
  if (Buffer.byteLength(JSON.stringify(event)) > MAX_EVENT_BYTES)
    return refuse(
      response,
      413,
      `Request must be smaller than ${MAX_EVENT_BYTES} bytes for the InvokeFunction operation`,
    );
  const invocation = await target.function.invoke(event);
  if (invocation.ok) return respond(response, invocation.payload);
  refuse(response, invocation.isThrottled ? 429 : 502, 'Internal Server Error');
}

/** Of a URL that anybody may call. */
const ANYBODY = { accountId: 'anonymous' };
/** What a caller needs, the second one since October 2025. Source: Lambda developer guide, "Control access to function URLs". */
const CALLER_ACTIONS: readonly Omit<ApiCall, 'resource'>[] = [
  { action: 'lambda:InvokeFunctionUrl', context: { 'lambda:FunctionUrlAuthType': 'AWS_IAM' } },
  { action: 'lambda:InvokeFunction', context: { 'lambda:InvokedViaFunctionUrl': 'true' } },
];
/** What Lambda answers unsigned requests. */
const FORBIDDEN = 'Forbidden';

/** Who has signed a request, as the event says it; or why the URL answers 403. */
async function callerOf(
  request: IncomingMessage,
  body: Buffer,
  { signedFor = '' }: UrlTarget,
  access: UrlAccess | undefined,
): Promise<{ accountId: string; authorizer?: object } | { refused: string }> {
  if (access === undefined) return { refused: FORBIDDEN };
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1');
  const signed = {
    method: request.method ?? '',
    path: pathname,
    query: [...searchParams],
    headers: request.headers,
  };
  try {
    const { accessKeyId, payloadHash } = await verifySignature(
      signed,
      access.secretOf,
      access.now(),
      'lambda',
    );
    if (payloadHash !== createHash('sha256').update(body).digest('hex')) return { refused: FORBIDDEN };
    for (const { action, context } of CALLER_ACTIONS) {
      const reason = access.authorize(accessKeyId, {
        action,
        resource: signedFor,
        context: { ...contextOf(request.headers), ...context },
      });
      if (reason !== undefined) return { refused: reason };
    }
    const userArn = access.arnOf(accessKeyId);
    const iam = {
      accessKey: accessKeyId,
      accountId: ACCOUNT,
      callerId: accessKeyId,
      userArn,
      userId: accessKeyId,
    };
    return {
      accountId: ACCOUNT,
      authorizer: { iam: { ...iam, cognitoIdentity: null, principalOrgId: null } },
    };
  } catch (error) {
    if (error instanceof S3Error)
      return { refused: error.code === 'AccessDenied' ? FORBIDDEN : error.message };
    throw error;
  }
}

function eventOf(
  request: IncomingMessage,
  body: Buffer,
  { rawPath, query, caller }: { rawPath: string; query: string; caller: object },
) {
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(',')]),
  );
  const isBase64Encoded = !TEXT_TYPES.test(headers['content-type'] ?? '');
  const time = new Date();
  return defined({
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString: query,
    headers,
    requestContext: {
      ...caller,
      apiId: 'local',
      domainName: request.headers.host,
      domainPrefix: 'local',
      http: {
        method: request.method,
        path: rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: '127.0.0.1',
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: randomUUID(),
      routeKey: '$default',
      stage: '$default',
      time: time.toUTCString(),
      timeEpoch: time.getTime(),
    },
    body: body.length === 0 ? undefined : body.toString(isBase64Encoded ? 'base64' : 'utf8'),
    isBase64Encoded: body.length > 0 && isBase64Encoded,
  });
}

/** What a function gives is an answer if it names a status, and its body otherwise. */
function respond(response: ServerResponse, payload: unknown): void {
  const given = payload as { statusCode?: number; headers?: Record<string, string>; body?: string } | null;
  if (typeof given?.statusCode !== 'number') {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(payload));
    return;
  }
  const isBase64 = (payload as { isBase64Encoded?: boolean }).isBase64Encoded === true;
  response.writeHead(given.statusCode, { 'content-type': 'application/json', ...given.headers });
  response.end(Buffer.from(given.body ?? '', isBase64 ? 'base64' : 'utf8'));
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ Message: message }));
}
