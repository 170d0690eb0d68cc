import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ApiCall } from '../iam/policy.ts';
import { S3Error } from './errors.ts';
import type { ObjectStore } from './object-store.ts';
import type { OperationName } from './operations.ts';
import { renderXml, type XmlNode } from './xml.ts';

/** One authenticated request on its way through the server. */
export interface Call {
  readonly store: ObjectStore;
  readonly region: string;
  /** Least size of a multipart part that is not the last. */
  readonly minPartBytes: number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly operation: OperationName;
  /** Empty for ListBuckets. */
  readonly bucket: string;
  /** Empty for calls on a bucket. */
  readonly key: string;
  readonly query: URLSearchParams;
  readonly requestId: string;
  /** Hex SHA-256 of the body, `UNSIGNED-PAYLOAD` or `STREAMING-…`. */
  readonly payloadHash: string;
  /** Reports a permission that the caller needs. @throws S3Error `AccessDenied` */
  readonly report: (needed: ApiCall) => void;
}

/** A request header, joined if it came several times. */
export function header(call: Call, name: string): string | undefined {
  const value = call.request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Whether the answer is to have the checksum of the object. */
export function wantsChecksum(call: Call): boolean {
  return header(call, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED';
}

/** The version that the request names; an empty `versionId` is refused, as by S3. */
export function versionIdOf(call: Call): string | undefined {
  const versionId = call.query.get('versionId') ?? undefined;
  if (versionId === '') throw new S3Error('InvalidArgument', 'Version id cannot be the empty string');
  return versionId;
}

/** A whole number in the query, or the default; out of range is refused. */
export function integerInQuery(
  call: Call,
  name: string,
  range: { min: number; max: number; default: number },
): number {
  const text = call.query.get(name);
  if (text === null || text === '') return range.default;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < range.min || value > range.max) {
    throw new S3Error('InvalidArgument', `${name} must be an integer between ${range.min} and ${range.max}`);
  }
  return value;
}

/** Answers 200 with an XML document. */
export function sendXml(call: Call, root: XmlNode, headers: Readonly<Record<string, string>> = {}): void {
  sendDocument(call, renderXml(root), { 'content-type': 'application/xml', ...headers });
}

/** Answers 200 with text that is stored or rendered already. */
export function sendDocument(call: Call, text: string, headers: Readonly<Record<string, string>>): void {
  call.response.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(text) });
  call.response.end(text);
}

/** Answers without a body. */
export function sendEmpty(call: Call, status: number, headers: Readonly<Record<string, string>> = {}): void {
  call.response.writeHead(status, status === 200 ? { ...headers, 'content-length': '0' } : headers);
  call.response.end();
}
