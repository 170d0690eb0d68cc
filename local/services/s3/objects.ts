import { pipeline } from 'node:stream/promises';
import { defined } from '../../../src/core/base/defined.ts';
import { type Segment, sliceSegments } from './blobs.ts';
import { MAX_UPLOAD_BYTES, receiveBlob } from './body.ts';
import { type Call, header, integerInQuery, sendEmpty, sendXml, versionIdOf, wantsChecksum } from './call.ts';
import { type ChecksumAlgorithm, createDigest, isChecksumAlgorithm } from './checksums.ts';
import { getCopySource, parseCopySource } from './copy-source.ts';
import { S3Error } from './errors.ts';
import type { ChangeCause, WriteReason } from './notifications.ts';
import { etagMatches } from './object-store.ts';
import { type ByteRange, parseRange } from './ranges.ts';
import type { ObjectContent, ObjectVersion, WriteConditions } from './records.ts';
import { element } from './xml.ts';

/** Longest key, in UTF-8 bytes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
const MAX_KEY_BYTES = 1024;

/** Most parts of an upload, and so of an object. */
export const MAX_PARTS = 10_000;

// ---- reading

export async function getObject(call: Call): Promise<void> {
  const version = call.store.getObject(call.bucket, call.key, versionIdOf(call));
  if (isNotModified(call, version)) {
    sendEmpty(call, 304, { etag: `"${version.etag}"`, ...versionHeader(call, version) });
    return;
  }
  const range = requestedRange(call, version);
  const headers = {
    ...objectHeaders(call, version, range === undefined),
    'content-length': String(range ? range.last - range.first + 1 : version.sizeBytes),
    ...(range ? { 'content-range': `bytes ${range.first}-${range.last}/${version.sizeBytes}` } : {}),
    ...responseOverrides(call),
  };
  call.response.writeHead(range ? 206 : 200, headers);
  if (call.operation === 'HeadObject' || version.sizeBytes === 0) {
    call.response.end();
    return;
  }
  const segments = range ? sliceSegments(version.segments, range.first, range.last) : version.segments;
  await withSegments(call, segments, () => pipeline(call.store.blobs.read(segments), call.response));
}

/** The conditions of a read, in the order of RFC 9110 section 13.2.2. */
function isNotModified(call: Call, version: ObjectVersion): boolean {
  const ifMatch = header(call, 'if-match');
  const ifNoneMatch = header(call, 'if-none-match');
  const unmodifiedSince = Date.parse(header(call, 'if-unmodified-since') ?? '');
  const modifiedSince = Date.parse(header(call, 'if-modified-since') ?? '');
  const isRefused =
    ifMatch !== undefined ? !etagMatches(ifMatch, version.etag) : version.lastModifiedMs > unmodifiedSince;
  if (isRefused) throw new S3Error('PreconditionFailed');
  return ifNoneMatch !== undefined
    ? etagMatches(ifNoneMatch, version.etag)
    : version.lastModifiedMs <= modifiedSince;
}

function requestedRange(call: Call, version: ObjectVersion): ByteRange | undefined {
  if (!call.query.has('partNumber')) return parseRange(header(call, 'range'), version.sizeBytes);
  const partNumber = integerInQuery(call, 'partNumber', { min: 1, max: MAX_PARTS, default: 1 });
  const sizes = version.partSizesBytes ?? [version.sizeBytes];
  const size = sizes[partNumber - 1];
  if (size === undefined) throw new S3Error('InvalidPartNumber');
  const first = sizes.slice(0, partNumber - 1).reduce((sum, each) => sum + each, 0);
  return size === 0 ? undefined : { first, last: first + size - 1 };
}

function objectHeaders(call: Call, version: ObjectVersion, isWhole: boolean): Record<string, string> {
  const { checksum, partSizesBytes } = version;
  return {
    'content-type': 'binary/octet-stream',
    'x-amz-server-side-encryption': 'AES256',
    ...version.headers,
    etag: `"${version.etag}"`,
    'last-modified': new Date(version.lastModifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
    ...versionHeader(call, version),
    ...(call.query.has('partNumber') && partSizesBytes
      ? { 'x-amz-mp-parts-count': String(partSizesBytes.length) }
      : {}),
    ...(checksum && wantsChecksum(call) && isWhole
      ? { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value, 'x-amz-checksum-type': checksum.type }
      : {}),
  };
}

/** `response-content-type=…` and the like in the query replace what is stored. */
function responseOverrides(call: Call): Record<string, string> {
  const names = [
    'content-type',
    'content-language',
    'expires',
    'cache-control',
    'content-disposition',
    'content-encoding',
  ];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = call.query.get(`response-${name}`);
      return value === null ? [] : [[name, value]];
    }),
  );
}

// ---- writing

export async function putObject(call: Call): Promise<void> {
  assertKey(call);
  const conditions = writeConditions(call);
  call.store.checkWriteConditions(call.bucket, call.key, conditions);
  refuseTags(call);
  const body = await receiveBlob(call);
  const version = discardingOnFailure(call, body.segments, () =>
    call.store.putObject(
      call.bucket,
      call.key,
      {
        sizeBytes: body.sizeBytes,
        etag: body.md5.toString('hex'),
        segments: body.segments,
        headers: storedHeaders(call),
        checksum: body.checksum && { ...body.checksum, type: 'FULL_OBJECT' },
      },
      { conditions, cause: causeOf(call, 'PutObject') },
    ),
  );
  sendEmpty(call, 200, {
    etag: `"${version.etag}"`,
    'x-amz-server-side-encryption': 'AES256',
    ...versionHeader(call, version),
    ...(version.checksum
      ? {
          [`x-amz-checksum-${version.checksum.algorithm}`]: version.checksum.value,
          'x-amz-checksum-type': version.checksum.type,
        }
      : {}),
  });
}

/** Copies by reference: the new version shares the blobs of its source. */
export async function copyObject(call: Call): Promise<void> {
  assertKey(call);
  const source = getCopySource(call);
  const { bucket, key, versionId } = parseCopySource(call);
  const replacesMetadata = header(call, 'x-amz-metadata-directive')?.toUpperCase() === 'REPLACE';
  if (bucket === call.bucket && key === call.key && versionId === undefined && !replacesMetadata) {
    throw new S3Error(
      'InvalidRequest',
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  }
  if (source.sizeBytes > MAX_UPLOAD_BYTES) {
    throw new S3Error(
      'InvalidRequest',
      `The specified copy source is larger than the maximum allowable size for a copy source: ${MAX_UPLOAD_BYTES}`,
    );
  }
  refuseTags(call);
  const version = await withSegments(call, source.segments, async () => {
    const { etag, checksum } = await digestOfCopy(call, source, undefined, checksumAlgorithmInHeader(call));
    const content: ObjectContent = {
      sizeBytes: source.sizeBytes,
      etag,
      segments: source.segments,
      headers: replacesMetadata ? storedHeaders(call) : source.headers,
      checksum: checksum && { ...checksum, type: 'FULL_OBJECT' },
    };
    return call.store.putObject(call.bucket, call.key, content, {
      conditions: writeConditions(call),
      cause: causeOf(call, 'CopyObject'),
    });
  });
  sendXml(
    call,
    element('CopyObjectResult', [
      element('ETag', `"${version.etag}"`),
      element('LastModified', new Date(version.lastModifiedMs).toISOString()),
      version.checksum !== undefined &&
        element(`Checksum${version.checksum.algorithm.toUpperCase()}`, version.checksum.value),
    ]),
    {
      ...versionHeader(call, version),
      ...(source.versionId === 'null' ? {} : { 'x-amz-copy-source-version-id': source.versionId }),
    },
  );
}

export function deleteObject(call: Call): void {
  const versionId = versionIdOf(call);
  const cause = causeOf(call, 'DeleteObject');
  const deleted = call.store.deleteObject(call.bucket, call.key, versionId, header(call, 'if-match'), cause);
  sendEmpty(
    call,
    204,
    defined({
      'x-amz-delete-marker': deleted?.kind === 'delete-marker' ? 'true' : undefined,
      ...(deleted ? versionHeader(call, deleted) : {}),
    }),
  );
}

// ---- shared with multipart uploads

/** @throws S3Error `NotImplemented`: tags would be lost */
export function refuseTags(call: Call): void {
  if (header(call, 'x-amz-tagging') !== undefined)
    throw new S3Error('NotImplemented', 'The local S3 server keeps no tags of objects.');
}

/** @throws S3Error `KeyTooLongError` */
export function assertKey(call: Call): void {
  if (Buffer.byteLength(call.key) > MAX_KEY_BYTES) throw new S3Error('KeyTooLongError');
}

/** The headers that are kept with an object and given back with it. */
export function storedHeaders(call: Call): Record<string, string> {
  const kept =
    /^(x-amz-meta-.+|x-amz-server-side-encryption.*|content-(type|disposition|language)|cache-control|expires)$/;
  const headers = Object.fromEntries(
    Object.keys(call.request.headers)
      .filter((name) => kept.test(name))
      .map((name) => [name, header(call, name) ?? '']),
  );
  const encoding = (header(call, 'content-encoding') ?? '')
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'aws-chunked')
    .join(',');
  return encoding === '' ? headers : { ...headers, 'content-encoding': encoding };
}

export function writeConditions(call: Call): WriteConditions {
  return { ifMatch: header(call, 'if-match'), ifNoneMatch: header(call, 'if-none-match') };
}

export function causeOf(call: Call, reason: WriteReason): ChangeCause {
  return { reason, requestId: call.requestId };
}

/** `x-amz-version-id`, where the bucket is or was versioned. */
export function versionHeader(call: Call, { versionId }: { versionId: string }): Record<string, string> {
  const { versioning } = call.store.getBucket(call.bucket);
  return versioning === undefined ? {} : { 'x-amz-version-id': versionId };
}

/** The algorithm of `x-amz-checksum-algorithm`, if any. */
export function checksumAlgorithmInHeader(call: Call): ChecksumAlgorithm | undefined {
  const name = header(call, 'x-amz-checksum-algorithm')?.toLowerCase();
  if (name === undefined) return undefined;
  if (!isChecksumAlgorithm(name)) {
    throw new S3Error('InvalidRequest', 'Checksum algorithm provided is unsupported.');
  }
  return name;
}

/** Removes a received blob again if what was to refer to it could not be committed. */
export function discardingOnFailure<T>(call: Call, segments: readonly Segment[], commit: () => T): T {
  try {
    return commit();
  } catch (error) {
    for (const { blob } of segments) call.store.blobs.discard(blob);
    throw error;
  }
}

/** Keeps blobs on disk while they are read, though the object may be deleted meanwhile. */
export async function withSegments<T>(
  call: Call,
  segments: readonly Segment[],
  read: () => Promise<T>,
): Promise<T> {
  call.store.blobs.retain(segments);
  try {
    return await read();
  } finally {
    call.store.blobs.release(segments);
  }
}

/** What S3 would compute for copied bytes. */
export interface CopyDigest {
  readonly etag: string;
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined;
}

/**
 * The MD5 and checksum of (a range of) a copy source. They are known for the whole of an object that was put in one
 * request; otherwise the bytes are read.
 *
 * @param algorithm checksum that is wanted; for a whole object the source's own by default
 */
export async function digestOfCopy(
  call: Call,
  source: ObjectVersion,
  range: ByteRange | undefined,
  algorithm: ChecksumAlgorithm | undefined,
): Promise<CopyDigest> {
  const known = source.checksum?.type === 'FULL_OBJECT' ? source.checksum : undefined;
  const wanted = algorithm ?? (range ? undefined : known?.algorithm);
  const isWhole = range === undefined || (range.first === 0 && range.last === source.sizeBytes - 1);
  if (
    isWhole &&
    source.partSizesBytes === undefined &&
    (wanted === undefined || wanted === known?.algorithm)
  ) {
    return { etag: source.etag, checksum: wanted && known };
  }
  const segments = range ? sliceSegments(source.segments, range.first, range.last) : source.segments;
  const md5 = createDigest('md5');
  const checksum = wanted && createDigest(wanted);
  for await (const bytes of call.store.blobs.read(segments)) {
    md5.update(bytes);
    checksum?.update(bytes);
  }
  return {
    etag: md5.digest().toString('hex'),
    checksum: wanted && checksum && { algorithm: wanted, value: checksum.digest().toString('base64') },
  };
}
