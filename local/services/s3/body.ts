import type { IncomingMessage, ServerResponse } from 'node:http';
import { defined } from '../../../src/core/base/defined.ts';
import { AwsChunkedDecoder } from './aws-chunked.ts';
import type { Segment } from './blobs.ts';
import { type Call, header } from './call.ts';
import {
  CHECKSUM_ALGORITHMS,
  type ChecksumAlgorithm,
  createDigest,
  type Digest,
  isChecksumAlgorithm,
} from './checksums.ts';
import { S3Error } from './errors.ts';

/** Largest object or part in one request: S3's 5 GiB. */
export const MAX_UPLOAD_BYTES = 5 * 1024 ** 3;

/** Largest XML or JSON document: 10,000 parts with SHA-256 checksums take about 2 MB, 1,000 long keys up to 6 MB. */
const MAX_DOCUMENT_BYTES = 8 * 1024 ** 2;

/** What was received and found to agree with what the client declared. */
interface ReceivedBody {
  readonly sizeBytes: number;
  readonly md5: Buffer;
  /** The checksum that the client sent, or that was asked for. */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string };
}

/** A body that lies in a new blob, without a reference yet. */
export interface ReceivedBlob extends ReceivedBody {
  readonly segments: readonly Segment[];
}

/** Requests whose client waits for `100 Continue` before it sends the body. */
const awaitingContinue = new WeakMap<IncomingMessage, ServerResponse>();

/** Notes that the client waits; it gets "100 Continue" when the body is read, so a refusal saves the upload. */
export function holdContinue(request: IncomingMessage, response: ServerResponse): void {
  awaitingContinue.set(request, response);
}

/** True if the client has not sent the body yet and now never will. */
export function isAwaitingContinue(request: IncomingMessage): boolean {
  return awaitingContinue.has(request);
}

/**
 * Receives an object or a part into a new blob. If this throws, nothing is left; if what follows fails, the caller
 * must discard the blob.
 *
 * @param algorithm checksum to compute whether or not the client sent it
 * @throws S3Error as `receive`, and `EntityTooLarge`, `MissingContentLength`
 */
export async function receiveBlob(call: Call, algorithm?: ChecksumAlgorithm): Promise<ReceivedBlob> {
  const declaredBytes = Number(
    header(call, 'x-amz-decoded-content-length') ?? header(call, 'content-length'),
  );
  if (Number.isNaN(declaredBytes)) throw new S3Error('MissingContentLength');
  if (declaredBytes > MAX_UPLOAD_BYTES) throw new S3Error('EntityTooLarge');
  if (declaredBytes === 0) return { ...(await receive(call, async () => {}, algorithm)), segments: [] };

  const { blobs } = call.store;
  const writer = await blobs.create();
  try {
    const body = await receive(call, (bytes) => writer.write(bytes), algorithm);
    await writer.close();
    return { ...body, segments: [{ blob: writer.name, start: 0, length: body.sizeBytes }] };
  } catch (error) {
    await writer.close().catch(() => {});
    blobs.discard(writer.name);
    throw error;
  }
}

/**
 * Receives a small document.
 *
 * @throws S3Error as `receive`, and `MaxMessageLengthExceeded`
 */
export async function receiveDocument(call: Call): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  await receive(call, async (bytes) => {
    sizeBytes += bytes.length;
    if (sizeBytes > MAX_DOCUMENT_BYTES) throw new S3Error('MaxMessageLengthExceeded');
    pieces.push(bytes);
  });
  return Buffer.concat(pieces).toString();
}

/**
 * Reads the body once: takes off the framing, passes the bytes on, and checks length, Content-MD5, signed SHA-256 and
 * the flexible checksums in headers or trailers.
 *
 * @throws S3Error `BadDigest`, `InvalidDigest`, `IncompleteBody`, `XAmzContentSHA256Mismatch`, `InvalidRequest` or
 *   `MalformedTrailerError`
 */
async function receive(
  call: Call,
  write: (bytes: Buffer) => Promise<void>,
  algorithm?: ChecksumAlgorithm,
): Promise<ReceivedBody> {
  const claimed = claimedChecksum(call);
  const isHashSigned = /^[0-9a-f]{64}$/.test(call.payloadHash);
  const digests = new Map<ChecksumAlgorithm, Digest>();
  for (const wanted of [claimed, algorithm, isHashSigned ? 'sha256' : undefined] as const) {
    if (wanted && !digests.has(wanted)) digests.set(wanted, createDigest(wanted));
  }
  const md5 = createDigest('md5');
  let sizeBytes = 0;
  const takePayload = async (bytes: Buffer) => {
    sizeBytes += bytes.length;
    md5.update(bytes);
    for (const digest of digests.values()) digest.update(bytes);
    await write(bytes);
  };
  const trailers = await readFramed(call, takePayload);

  const values = new Map([...digests].map(([name, digest]) => [name, digest.digest()]));
  const md5Value = md5.digest();
  const expectedBytes = header(call, 'x-amz-decoded-content-length');
  if (expectedBytes !== undefined && Number(expectedBytes) !== sizeBytes) throw new S3Error('IncompleteBody');
  checkContentMd5(header(call, 'content-md5'), md5Value);
  if (isHashSigned && values.get('sha256')?.toString('hex') !== call.payloadHash) {
    throw new S3Error('XAmzContentSHA256Mismatch');
  }
  if (claimed) checkClaim(call, claimed, values.get(claimed)!, trailers);
  const kept = claimed ?? algorithm;
  return defined({
    sizeBytes,
    md5: md5Value,
    checksum: kept ? { algorithm: kept, value: values.get(kept)!.toString('base64') } : undefined,
  });
}

/** Reads the body, through the aws-chunked framing if there is one, and gives the trailers. */
async function readFramed(
  call: Call,
  write: (bytes: Buffer) => Promise<void>,
): Promise<Readonly<Record<string, string>>> {
  awaitingContinue.get(call.request)?.writeContinue();
  awaitingContinue.delete(call.request);
  const isFramed =
    call.payloadHash.startsWith('STREAMING-') ||
    /\baws-chunked\b/.test(header(call, 'content-encoding') ?? '');
  const decoder = isFramed ? new AwsChunkedDecoder() : undefined;
  // Kept open when reading stops early: the refusal must still reach the client over this connection.
  for await (const bytes of call.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (!decoder) await write(bytes);
    else for (const payload of decoder.decode(bytes)) await write(payload);
  }
  return decoder?.end() ?? {};
}

/** The flexible checksum of the body that the client sends in a header or announces as a trailer. */
function claimedChecksum(call: Call): ChecksumAlgorithm | undefined {
  // Here the header is about the object that the parts make, not about the list of parts.
  if (call.operation === 'CompleteMultipartUpload') return undefined;
  const inHeader = CHECKSUM_ALGORITHMS.find((name) => header(call, `x-amz-checksum-${name}`) !== undefined);
  if (inHeader) return inHeader;
  const announced = /x-amz-checksum-(\w+)/.exec(header(call, 'x-amz-trailer') ?? '')?.[1];
  if (announced === undefined) return undefined;
  if (!isChecksumAlgorithm(announced)) throw new S3Error('InvalidRequest', `Unknown checksum: ${announced}`);
  return announced;
}

function checkClaim(
  call: Call,
  algorithm: ChecksumAlgorithm,
  computed: Buffer,
  trailers: Readonly<Record<string, string>>,
): void {
  const name = `x-amz-checksum-${algorithm}`;
  const claim = header(call, name) ?? trailers[name];
  if (claim === undefined) throw new S3Error('MalformedTrailerError');
  if (claim !== computed.toString('base64')) {
    throw new S3Error(
      'BadDigest',
      `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`,
    );
  }
}

function checkContentMd5(claim: string | undefined, computed: Buffer): void {
  if (claim === undefined) return;
  const bytes = Buffer.from(claim, 'base64');
  if (bytes.length !== 16) throw new S3Error('InvalidDigest');
  if (!bytes.equals(computed)) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
}
