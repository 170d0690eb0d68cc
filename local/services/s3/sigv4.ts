import { timingSafeEqual } from 'node:crypto';
import { Sha256 } from '@smithy/core/checksum';
import { ALGORITHM_IDENTIFIER, createScope, getCanonicalHeaders, SignatureV4 } from '@smithy/signature-v4';
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
  readonly signedAtMs: number;
  readonly payloadHash: string;
}

/**
 * Checks AWS Signature Version 4, of requests to S3 and to function URLs, in the `Authorization` header or in the query (presigned URL).
 *
 * @param nowMs current time, for expiry and clock skew
 * @param service that the signature must be for
 * @throws S3Error `AccessDenied`, `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`,
 *   `InvalidAccessKeyId`, `RequestTimeTooSkewed`, `SignatureDoesNotMatch` or `InvalidRequest`
 */
export async function verifySignature(
  request: SignedRequest,
  secretOf: SecretLookup,
  nowMs: number,
  service = 's3',
): Promise<VerifiedSignature> {
  const query = new Map(request.query);
  const isPresigned = query.has('X-Amz-Signature') || query.has('X-Amz-Algorithm');
  const claim = isPresigned
    ? claimFromQuery(query, headerValue(request, 'x-amz-content-sha256'), nowMs)
    : claimFromHeaders(request, nowMs);
  const [accessKeyId = '', date = '', region = '', claimed, terminator] = claim.credential.split('/');
  if (claimed !== service || terminator !== 'aws4_request' || !claim.timestamp.startsWith(date)) {
    throw new S3Error(isPresigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed');
  }
  const secretAccessKey = secretOf(accessKeyId);
  if (secretAccessKey === undefined) throw new S3Error('InvalidAccessKeyId');

  const credentials = { accessKeyId, secretAccessKey };
  const signer = new ClaimSigner({ service, region, credentials, sha256: Sha256, uriEscapePath: false });
  const expected = Buffer.from(await signer.signatureOf(request, claim, { region, service }), 'hex');
  const given = Buffer.from(claim.signature, 'hex');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new S3Error('SignatureDoesNotMatch');
  }
  return { accessKeyId, payloadHash: claim.payloadHash };
}

/**
 * Signs what a client says it has signed. `sign` and `presign` choose the headers themselves and never take `date`, so
 * these are the steps that they are made of.
 */
class ClaimSigner extends SignatureV4 {
  async signatureOf(
    request: SignedRequest,
    claim: Claim,
    { region, service }: { region: string; service: string },
  ): Promise<string> {
    const names = claim.signedHeaders.split(';');
    const values = Map.groupBy(request.query, ([name]) => name);
    const signed = {
      method: request.method,
      protocol: 'http:',
      hostname: '127.0.0.1',
      path: request.path.split('/').map(reencode).join('/'),
      query: Object.fromEntries([...values].map(([name, all]) => [name, all.map(([, value]) => value)])),
      headers: Object.fromEntries(names.map((name) => [name, headerValue(request, name) ?? ''])),
    };
    const headers = getCanonicalHeaders(signed, undefined, new Set(names));
    const canonical = this.createCanonicalRequest(signed, headers, claim.payloadHash);
    const scope = createScope(claim.timestamp.slice(0, 8), region, service);
    return this.sign(await this.createStringToSign(claim.timestamp, scope, canonical, ALGORITHM_IDENTIFIER), {
      signingDate: new Date(claim.signedAtMs),
    });
  }
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
  return { credential, signedHeaders, signature, timestamp, signedAtMs, payloadHash };
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
    signedAtMs,
    payloadHash: payloadHash ?? 'UNSIGNED-PAYLOAD',
  };
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
