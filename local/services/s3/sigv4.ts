import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { S3Error } from './errors.ts';

/** A request may be signed this far from the server's clock: S3's own 15 minutes. */
const MAX_CLOCK_SKEW_MS = 15 * 60_000;

/** S3's longest life of a presigned URL: seven days. */
const MAX_EXPIRES_SECONDS = 604_800;

/** The secret of an access key id, or undefined when there is no such key. */
export type SecretLookup = (accessKeyId: string) => string | undefined;

/** What of a request is signed. */
export interface SignedRequest {
  readonly method: string;
  /** Path as it came, still percent-encoded, without the query. */
  readonly path: string;
  /** Decoded query parameters in any order. */
  readonly query: readonly (readonly [name: string, value: string])[];
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Who signed, and what the signature says of the body. */
export interface VerifiedSignature {
  readonly accessKeyId: string;
  /** Hex SHA-256 of the body, `UNSIGNED-PAYLOAD` or one of `STREAMING-…`. */
  readonly payloadHash: string;
}

interface Claim {
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly timestamp: string;
  readonly payloadHash: string;
}

/**
 * Checks AWS Signature Version 4 in the `Authorization` header or in the query (presigned URL).
 *
 * @param nowMs current time, for expiry and clock skew
 * @throws S3Error `AccessDenied`, `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`,
 *   `InvalidAccessKeyId`, `RequestTimeTooSkewed`, `SignatureDoesNotMatch` or `InvalidRequest`
 */
export function verifySignature(
  request: SignedRequest,
  secretOf: SecretLookup,
  nowMs: number,
): VerifiedSignature {
  const query = new Map(request.query);
  const isPresigned = query.has('X-Amz-Signature') || query.has('X-Amz-Algorithm');
  const claim = isPresigned
    ? claimFromQuery(query, headerValue(request, 'x-amz-content-sha256'), nowMs)
    : claimFromHeaders(request, nowMs);
  const [accessKeyId = '', date = '', region = '', service, terminator] = claim.credential.split('/');
  if (service !== 's3' || terminator !== 'aws4_request' || !claim.timestamp.startsWith(date)) {
    throw new S3Error(isPresigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed');
  }
  const secret = secretOf(accessKeyId);
  if (secret === undefined) throw new S3Error('InvalidAccessKeyId');

  const scope = `${date}/${region}/s3/aws4_request`;
  const stringToSign = [
    'AWS4-HMAC-SHA256',
    claim.timestamp,
    scope,
    createHash('sha256').update(canonicalRequest(request, claim)).digest('hex'),
  ].join('\n');
  const signingKey = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${secret}`, date), region));
  const expected = hmac(signingKey, stringToSign);
  const given = Buffer.from(claim.signature, 'hex');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new S3Error('SignatureDoesNotMatch');
  }
  return { accessKeyId, payloadHash: claim.payloadHash };
}

function claimFromHeaders(request: SignedRequest, nowMs: number): Claim {
  const authorization = headerValue(request, 'authorization');
  if (authorization === undefined) throw new S3Error('AccessDenied');
  const match =
    /^AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      authorization.trim(),
    );
  if (!match) throw new S3Error('AuthorizationHeaderMalformed');
  const [, credential = '', signedHeaders = '', signature = ''] = match;
  const timestamp = headerValue(request, 'x-amz-date') ?? '';
  const signedAtMs = parseTimestamp(timestamp);
  if (signedAtMs === undefined) {
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid x-amz-date header');
  }
  if (Math.abs(nowMs - signedAtMs) > MAX_CLOCK_SKEW_MS) throw new S3Error('RequestTimeTooSkewed');
  const payloadHash = headerValue(request, 'x-amz-content-sha256');
  if (payloadHash === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  }
  return { credential, signedHeaders, signature, timestamp, payloadHash };
}

function claimFromQuery(
  query: ReadonlyMap<string, string>,
  payloadHash: string | undefined,
  nowMs: number,
): Claim {
  const timestamp = query.get('X-Amz-Date') ?? '';
  const signedAtMs = parseTimestamp(timestamp);
  const expiresSeconds = Number(query.get('X-Amz-Expires') ?? Number.NaN);
  const isComplete =
    query.get('X-Amz-Algorithm') === 'AWS4-HMAC-SHA256' &&
    query.has('X-Amz-Credential') &&
    query.has('X-Amz-SignedHeaders') &&
    query.has('X-Amz-Signature') &&
    expiresSeconds >= 0 &&
    expiresSeconds <= MAX_EXPIRES_SECONDS;
  if (signedAtMs === undefined || !isComplete) throw new S3Error('AuthorizationQueryParametersError');
  if (nowMs > signedAtMs + expiresSeconds * 1000) throw new S3Error('AccessDenied', 'Request has expired');
  if (signedAtMs > nowMs + MAX_CLOCK_SKEW_MS) throw new S3Error('AccessDenied', 'Request is not valid yet');
  return {
    credential: query.get('X-Amz-Credential') ?? '',
    signedHeaders: query.get('X-Amz-SignedHeaders') ?? '',
    signature: query.get('X-Amz-Signature') ?? '',
    timestamp,
    payloadHash: payloadHash ?? 'UNSIGNED-PAYLOAD',
  };
}

function canonicalRequest(request: SignedRequest, claim: Claim): string {
  const path = request.path.split('/').map(reencode).join('/');
  const query = request.query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const headers = claim.signedHeaders
    .split(';')
    .map((name) => `${name}:${(headerValue(request, name) ?? '').trim().replace(/ +/g, ' ')}\n`)
    .join('');
  return [request.method, path, query, headers, claim.signedHeaders, claim.payloadHash].join('\n');
}

/** Percent-encodes all but the unreserved characters of RFC 3986, which is also how S3 encodes keys in listings. */
export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Brings a path segment to the one encoding that is signed, however the client spelled it. */
function reencode(segment: string): string {
  return encodeRfc3986(decodePercent(segment));
}

/**
 * Decodes percent-encoded UTF-8.
 *
 * @throws S3Error `InvalidURI`
 */
export function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidURI');
  }
}

function parseTimestamp(timestamp: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function headerValue(request: SignedRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : (value as string | undefined);
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
