import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApiCall } from '../iam/policy.ts';
import { contextOf } from '../iam/request-context.ts';
import { type Intercept, SESSION_TOKEN_HEADER } from '../interception.ts';
import { holdContinue, isAwaitingContinue } from './body.ts';
import * as buckets from './buckets.ts';
import type { Call } from './call.ts';
import { parseCopySource } from './copy-source.ts';
import { S3Error } from './errors.ts';
import { bucketArn, iamActionsOf } from './iam-actions.ts';
import * as multipart from './multipart.ts';
import type { S3Event } from './notifications.ts';
import { ObjectStore } from './object-store.ts';
import * as objects from './objects.ts';
import { type OperationName, operationOf } from './operations.ts';
import { decodePercent, type SecretLookup, verifySignature } from './sigv4.ts';
import { element, renderXml } from './xml.ts';

/** S3's least size of a part that is not the last: 5 MiB. */
const DEFAULT_MIN_PART_BYTES = 5 * 1024 ** 2;

/** Longer than the pools of usual clients keep a connection, so that they never meet one that is being closed. */
const KEEP_ALIVE_MS = 120_000;

/** A permission that an authenticated call needed. */
export interface S3Call extends ApiCall {
  readonly accessKeyId: string;
}

export interface S3Options {
  /** Folder of all state; made if it is not there. One running server per folder. */
  readonly dir: string;
  /** Secrets by access key id, or a function that finds one. */
  readonly credentials: Readonly<Record<string, string>> | SecretLookup;
  /** @default chosen by the system */
  readonly port?: number | undefined;
  /** Named in events and by HeadBucket; a signature may be for any region. @default us-east-1 */
  readonly region?: string | undefined;
  /** Least size of a multipart part that is not the last. @default 5 MiB, as in S3 */
  readonly minPartBytes?: number | undefined;
  /** Clock of LastModified, version order and events, in milliseconds; not of signatures. @default Date.now */
  readonly now?: (() => number) | undefined;
  /** Clock that signatures are held against, in milliseconds; clients learn it from `Date`. @default Date.now */
  readonly signatureNow?: (() => number) | undefined;
  /**
   * Takes the events of buckets whose notification configuration has EventBridgeConfiguration, in the order of the
   * writes, after the commit. When it throws or rejects, or the process dies before it has returned or resolved, the
   * event is sent again at the next start.
   */
  readonly onEvent?: ((event: S3Event) => void | Promise<void>) | undefined;
  /**
   * Takes each permission that an authenticated call needs, before the call is carried out. A read of a missing key
   * also reports `s3:ListBucket`: without it AWS answers 403 and not 404.
   */
  readonly onCall?: ((call: S3Call) => void) | undefined;
  /** Sees the calls of functions, see there. The answer of a read is cut before its first byte. */
  readonly intercept?: Intercept | undefined;
}

/** A running server. */
export interface S3Server {
  /** `http://127.0.0.1:<port>`: an address without a name, so SDKs use path-style requests by themselves. */
  readonly endpoint: string;
  readonly port: number;
  /** Cuts all connections, waits for what they were doing to end, closes the files. */
  close(): Promise<void>;
}

const HANDLERS: Readonly<Record<OperationName, (call: Call) => void | Promise<void>>> = {
  ListBuckets: buckets.listBuckets,
  CreateBucket: buckets.createBucket,
  HeadBucket: buckets.headBucket,
  GetBucketDocument: buckets.getBucketDocument,
  PutBucketDocument: buckets.putBucketDocument,
  ListObjectsV2: buckets.listObjectPage,
  ListObjectVersions: buckets.listObjectVersions,
  ListMultipartUploads: multipart.listMultipartUploads,
  DeleteObjects: buckets.deleteObjects,
  GetObject: objects.getObject,
  HeadObject: objects.getObject,
  PutObject: objects.putObject,
  CopyObject: objects.copyObject,
  DeleteObject: objects.deleteObject,
  CreateMultipartUpload: multipart.createMultipartUpload,
  UploadPart: multipart.uploadPart,
  UploadPartCopy: multipart.uploadPartCopy,
  CompleteMultipartUpload: multipart.completeMultipartUpload,
  AbortMultipartUpload: multipart.abortMultipartUpload,
  ListParts: multipart.listParts,
};

/**
 * Starts an S3 server on 127.0.0.1 with its state in a folder. Many may run in one process.
 *
 * @throws Error when the port is taken or the state in the folder is damaged
 */
export async function startS3(options: S3Options): Promise<S3Server> {
  const region = options.region ?? 'us-east-1';
  const store = await ObjectStore.open({
    dir: options.dir,
    region,
    now: options.now ?? Date.now,
    onEvent: options.onEvent,
  });
  const signatureNow = options.signatureNow ?? Date.now;
  const context = { store, region, options, signatureNow, secretOf: secretLookup(options.credentials) };
  const running = new Set<Promise<void>>();
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const answered = handleRequest(context, request, response).finally(() => running.delete(answered));
    running.add(answered);
  };
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS }, answer);
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    holdContinue(request, response);
    answer(request, response);
  });
  try {
    await listen(server, options.port ?? 0);
  } catch (error) {
    await store.close();
    throw error;
  }
  // After the caller has its server: the receiver of events may want to call it.
  const redelivery = setImmediate(() => store.redeliverEvents());

  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    async close() {
      clearImmediate(redelivery);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      await Promise.all(running);
      await store.close();
    },
  };
}

interface ServerContext {
  readonly store: ObjectStore;
  readonly region: string;
  readonly options: S3Options;
  readonly signatureNow: () => number;
  readonly secretOf: SecretLookup;
}

function secretLookup(credentials: S3Options['credentials']): SecretLookup {
  if (typeof credentials === 'function') return credentials;
  const secrets = new Map(Object.entries(credentials));
  return (accessKeyId) => secrets.get(accessKeyId);
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Answers one request; never rejects. */
async function handleRequest(
  context: ServerContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const requestId = randomBytes(8).toString('hex').toUpperCase();
  response.setHeader('x-amz-request-id', requestId);
  response.setHeader('x-amz-id-2', requestId);
  response.setHeader('server', 'AmazonS3');
  // A client whose clock differs corrects it by this.
  response.setHeader('date', new Date(context.signatureNow()).toUTCString());
  try {
    const call = await authenticatedCall(context, request, response, requestId);
    for (const needed of iamActionsOf(call)) call.report(needed);
    if (isCutBefore(call, context.options.intercept)) return;
    await carryOut(call);
  } catch (error) {
    sendError(request, response, error, requestId);
  }
}

/**
 * Shows the call before its effect, and sees to it that it is shown again when its answer begins: by then what it does
 * is committed.
 */
function isCutBefore(call: Call, intercept: Intercept | undefined): boolean {
  const { request, response, operation, key } = call;
  const sessionToken = request.headers[SESSION_TOKEN_HEADER]?.toString();
  if (intercept === undefined || sessionToken === undefined) return false;
  const isCut = (moment: 'before' | 'after'): boolean => {
    if (intercept({ service: 's3', operation, resource: key, moment, sessionToken }) !== 'cut') return false;
    request.socket.destroy();
    return true;
  };
  if (isCut('before')) return true;
  const writeHead = response.writeHead.bind(response) as (...given: unknown[]) => ServerResponse;
  response.writeHead = (...given: unknown[]) => {
    // Node asks again for the head of an answer that was cut.
    response.writeHead = writeHead;
    return isCut('after') ? response : writeHead(...given);
  };
  return false;
}

async function carryOut(call: Call): Promise<void> {
  try {
    await HANDLERS[call.operation](call);
  } catch (error) {
    if (error instanceof S3Error && MISSING.has(error.code)) reportMissing(call);
    throw error;
  }
}

async function authenticatedCall(
  { store, region, options, signatureNow, secretOf }: ServerContext,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
): Promise<Call> {
  const [path = '', queryText = ''] = splitOnce(request.url ?? '/', '?');
  const query = queryText === '' ? [] : queryText.split('&').map(decodeParameter);
  const method = request.method ?? 'GET';
  const { accessKeyId, payloadHash } = await verifySignature(
    { method, path, query, headers: request.headers },
    secretOf,
    signatureNow(),
  );
  const [bucket, key = ''] = splitOnce(path.slice(1), '/').map(decodePercent);
  const target = { method, bucket: bucket ?? '', key, query: new URLSearchParams(query) };
  const isCopy = request.headers['x-amz-copy-source'] !== undefined;
  return {
    ...target,
    operation: operationOf({ ...target, isCopy }),
    store,
    region,
    minPartBytes: options.minPartBytes ?? DEFAULT_MIN_PART_BYTES,
    request,
    response,
    requestId,
    payloadHash,
    report: ({ context, ...needed }) =>
      options.onCall?.({ accessKeyId, ...needed, context: { ...contextOf(request.headers), ...context } }),
  };
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decodeParameter(parameter: string): [name: string, value: string] {
  const [name = '', value = ''] = splitOnce(parameter, '=');
  return [decodePercent(name), decodePercent(value)];
}

const MISSING: ReadonlySet<string> = new Set(['NoSuchKey', 'NoSuchVersion']);

/**
 * To a caller without s3:ListBucket AWS does not say that a key is missing: it answers 403. Whether the request then has
 * an `s3:prefix` is not documented, nor whether the same holds for a version: here it has none, and it does, so that what
 * works here works either way.
 */
function reportMissing(call: Call): void {
  const action = 's3:ListBucket';
  if (call.operation === 'GetObject' || call.operation === 'HeadObject') {
    call.report({ action, resource: bucketArn(call.bucket), isOptional: true });
  } else if (call.operation === 'CopyObject' || call.operation === 'UploadPartCopy') {
    call.report({ action, resource: bucketArn(parseCopySource(call).bucket), isOptional: true });
  }
}

function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  requestId: string,
): void {
  if (!(error instanceof S3Error) && !isClientGone(error)) {
    console.error(`local S3: request ${requestId} failed unexpectedly:`, error);
  }
  if (response.destroyed || response.headersSent || request.socket.destroyed) {
    // The client has gone, or the body broke off half-way: a cut connection is all that can be said.
    response.destroy();
    return;
  }
  const refusal = error instanceof S3Error ? error : new S3Error('InternalError');
  const { code, message, status, headers } = refusal;
  const body =
    request.method === 'HEAD'
      ? ''
      : renderXml(
          element('Error', [
            element('Code', code),
            element('Message', message),
            element('Resource', splitOnce(request.url ?? '/', '?')[0] ?? ''),
            element('RequestId', requestId),
            element('HostId', requestId),
          ]),
        );
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/xml',
    ...(request.method === 'HEAD' ? {} : { 'content-length': Buffer.byteLength(body) }),
    // A client that got no "100 Continue" keeps its body: the connection cannot be used for a next request.
    ...(isAwaitingContinue(request) ? { connection: 'close' } : {}),
  });
  response.end(body);
}

/** What Node says when a client, or `close`, cuts the connection while a body is on its way. */
function isClientGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
