import { createHash } from 'node:crypto';
import { sliceSegments } from './blobs.ts';
import { MAX_UPLOAD_BYTES, receiveBlob, receiveDocument } from './body.ts';
import { type Call, header, integerInQuery, sendEmpty, sendXml } from './call.ts';
import { type Checksum, type ChecksumAlgorithm, type ChecksumType, checksumOfParts } from './checksums.ts';
import { getCopySource } from './copy-source.ts';
import { S3Error } from './errors.ts';

import {
  assertKey,
  causeOf,
  checksumAlgorithmInHeader,
  digestOfCopy,
  discardingOnFailure,
  MAX_PARTS,
  refuseTags,
  storedHeaders,
  versionHeader,
  withSegments,
  writeConditions,
} from './objects.ts';
import { parseCopyRange } from './ranges.ts';
import type { Upload, UploadPart } from './records.ts';
import { compareUtf8 } from './sorted-keys.ts';
import { childrenOf, childText, element, parseXml, type XmlElement } from './xml.ts';

/** Most parts or uploads on a page of a listing. */
const MAX_PAGE_ENTRIES = 1000;

export function createMultipartUpload(call: Call): void {
  assertKey(call);
  const algorithm = checksumAlgorithmInHeader(call);
  const type = checksumTypeInHeader(call, algorithm);
  refuseTags(call);
  const { uploadId } = call.store.createUpload({
    bucket: call.bucket,
    key: call.key,
    headers: storedHeaders(call),
    checksumAlgorithm: algorithm,
    checksumType: algorithm && type,
  });
  sendXml(
    call,
    element('InitiateMultipartUploadResult', [
      element('Bucket', call.bucket),
      element('Key', call.key),
      element('UploadId', uploadId),
    ]),
    algorithm ? { 'x-amz-checksum-algorithm': algorithm.toUpperCase(), 'x-amz-checksum-type': type } : {},
  );
}

/** CRC-64/NVME sums are of the full object, SHA sums composite; the 32-bit CRCs may be either. */
function checksumTypeInHeader(call: Call, algorithm: ChecksumAlgorithm | undefined): ChecksumType {
  const given = header(call, 'x-amz-checksum-type')?.toUpperCase();
  if (algorithm === 'crc64nvme') return 'FULL_OBJECT';
  if (given === 'FULL_OBJECT' && algorithm?.startsWith('sha')) {
    throw new S3Error(
      'InvalidRequest',
      `The FULL_OBJECT checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    );
  }
  return given === 'FULL_OBJECT' ? 'FULL_OBJECT' : 'COMPOSITE';
}

export async function uploadPart(call: Call): Promise<void> {
  const upload = uploadOf(call);
  const partNumber = partNumberOf(call);
  const body = await receiveBlob(call, upload.checksumAlgorithm);
  const part = discardingOnFailure(call, body.segments, () =>
    call.store.putPart(upload, partNumber, {
      sizeBytes: body.sizeBytes,
      etag: body.md5.toString('hex'),
      segments: body.segments,
      checksum: body.checksum,
    }),
  );
  sendEmpty(call, 200, {
    etag: `"${part.etag}"`,
    'x-amz-server-side-encryption': 'AES256',
    ...(part.checksum ? { [`x-amz-checksum-${part.checksum.algorithm}`]: part.checksum.value } : {}),
  });
}

/** Adds a range of an object as a part, by reference: no bytes are copied. */
export async function uploadPartCopy(call: Call): Promise<void> {
  const upload = uploadOf(call);
  const partNumber = partNumberOf(call);
  const source = getCopySource(call);
  const range = parseCopyRange(header(call, 'x-amz-copy-source-range'), source.sizeBytes);
  const sizeBytes = range ? range.last - range.first + 1 : source.sizeBytes;
  if (sizeBytes > MAX_UPLOAD_BYTES) {
    throw new S3Error(
      'InvalidRequest',
      `The specified copy source is larger than the maximum allowable size for a copy source: ${MAX_UPLOAD_BYTES}`,
    );
  }
  const segments = range ? sliceSegments(source.segments, range.first, range.last) : source.segments;
  const part = await withSegments(call, segments, async () => {
    const digest = await digestOfCopy(call, source, range, upload.checksumAlgorithm);
    return call.store.putPart(upload, partNumber, { sizeBytes, segments, ...digest });
  });
  sendXml(
    call,
    element('CopyPartResult', [
      element('ETag', `"${part.etag}"`),
      element('LastModified', new Date(part.lastModifiedMs).toISOString()),
      part.checksum !== undefined &&
        element(`Checksum${part.checksum.algorithm.toUpperCase()}`, part.checksum.value),
    ]),
    source.versionId === 'null' ? {} : { 'x-amz-copy-source-version-id': source.versionId },
  );
}

export async function completeMultipartUpload(call: Call): Promise<void> {
  uploadOf(call);
  const request = parseXml(await receiveDocument(call));
  // From here to the commit nothing waits, so of two completions one finds the upload gone.
  const upload = uploadOf(call);
  const parts = chosenParts(upload, childrenOf(request, 'Part'), call.minPartBytes);
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  const declaredBytes = header(call, 'x-amz-mp-object-size');
  if (declaredBytes !== undefined && Number(declaredBytes) !== sizeBytes) {
    throw new S3Error(
      'InvalidRequest',
      `The provided 'x-amz-mp-object-size' header value ${declaredBytes} does not match what was computed: ${sizeBytes}`,
    );
  }
  const checksum = checksumOfUpload(upload, parts);
  checkFullObjectChecksum(call, checksum);
  const version = call.store.putObject(
    call.bucket,
    call.key,
    {
      sizeBytes,
      etag: `${createHash('md5')
        .update(Buffer.from(parts.map(({ etag }) => etag).join(''), 'hex'))
        .digest('hex')}-${parts.length}`,
      segments: parts.flatMap((part) => part.segments),
      headers: upload.headers,
      partSizesBytes: parts.map((part) => part.sizeBytes),
      checksum,
    },
    {
      conditions: writeConditions(call),
      cause: causeOf(call, 'CompleteMultipartUpload'),
      endedUploadId: upload.uploadId,
    },
  );
  sendXml(
    call,
    element('CompleteMultipartUploadResult', [
      element(
        'Location',
        `http://${header(call, 'host') ?? ''}/${call.bucket}/${encodeURIComponent(call.key)}`,
      ),
      element('Bucket', call.bucket),
      element('Key', call.key),
      element('ETag', `"${version.etag}"`),
      checksum !== undefined && element(`Checksum${checksum.algorithm.toUpperCase()}`, checksum.value),
      checksum !== undefined && element('ChecksumType', checksum.type),
    ]),
    versionHeader(call, version),
  );
}

function chosenParts(upload: Upload, chosen: readonly XmlElement[], minPartBytes: number): UploadPart[] {
  if (chosen.length === 0 || chosen.length > MAX_PARTS) throw new S3Error('MalformedXML');
  const numbers = chosen.map((choice) => Number(childText(choice, 'PartNumber')));
  if (numbers.some((number, index) => index > 0 && !(number > numbers[index - 1]!))) {
    throw new S3Error('InvalidPartOrder');
  }
  const parts = chosen.map((choice, index) => chosenPart(upload.parts.get(numbers[index]!), choice));
  if (parts.slice(0, -1).some(({ sizeBytes }) => sizeBytes < minPartBytes))
    throw new S3Error('EntityTooSmall');
  return parts;
}

function chosenPart(part: UploadPart | undefined, choice: XmlElement): UploadPart {
  if (!part || childText(choice, 'ETag')?.replaceAll('"', '') !== part.etag) throw new S3Error('InvalidPart');
  const { checksum } = part;
  const claim = checksum && childText(choice, `Checksum${checksum.algorithm.toUpperCase()}`);
  if (claim !== undefined && claim !== checksum?.value) throw new S3Error('InvalidPart');
  return part;
}

function checksumOfUpload(upload: Upload, parts: readonly UploadPart[]): Checksum | undefined {
  const algorithm = upload.checksumAlgorithm ?? parts[0]?.checksum?.algorithm;
  if (!algorithm) return undefined;
  const sums: { sizeBytes: number; value: string }[] = [];
  for (const { checksum, sizeBytes } of parts) {
    if (checksum?.algorithm !== algorithm) return undefined;
    sums.push({ sizeBytes, value: checksum.value });
  }
  const defaultType = algorithm === 'crc64nvme' ? 'FULL_OBJECT' : 'COMPOSITE';
  return checksumOfParts(algorithm, upload.checksumType ?? defaultType, sums);
}

function checkFullObjectChecksum(call: Call, checksum: Checksum | undefined): void {
  if (checksum?.type !== 'FULL_OBJECT') return;
  const claim = header(call, `x-amz-checksum-${checksum.algorithm}`);
  if (claim !== undefined && claim !== checksum.value) throw new S3Error('BadDigest');
}

export function abortMultipartUpload(call: Call): void {
  call.store.abortUpload(uploadOf(call));
  sendEmpty(call, 204);
}

export function listParts(call: Call): void {
  const upload = uploadOf(call);
  const maxParts = Math.min(
    MAX_PAGE_ENTRIES,
    integerInQuery(call, 'max-parts', { min: 0, max: 2 ** 31 - 1, default: MAX_PAGE_ENTRIES }),
  );
  const marker = integerInQuery(call, 'part-number-marker', { min: 0, max: 2 ** 31 - 1, default: 0 });
  const rest = [...upload.parts].filter(([number]) => number > marker).sort(([a], [b]) => a - b);
  const page = rest.slice(0, maxParts);
  const isTruncated = maxParts > 0 && rest.length > maxParts;
  sendXml(
    call,
    element('ListPartsResult', [
      element('Bucket', call.bucket),
      element('Key', call.key),
      element('UploadId', upload.uploadId),
      element('PartNumberMarker', marker),
      isTruncated && element('NextPartNumberMarker', page.at(-1)?.[0] ?? marker),
      element('MaxParts', maxParts),
      element('IsTruncated', isTruncated),
      upload.checksumAlgorithm !== undefined &&
        element('ChecksumAlgorithm', upload.checksumAlgorithm.toUpperCase()),
      upload.checksumType !== undefined && element('ChecksumType', upload.checksumType),
      element('StorageClass', 'STANDARD'),
      ...page.map(([number, part]) =>
        element('Part', [
          element('PartNumber', number),
          element('LastModified', new Date(part.lastModifiedMs).toISOString()),
          element('ETag', `"${part.etag}"`),
          part.checksum !== undefined &&
            element(`Checksum${part.checksum.algorithm.toUpperCase()}`, part.checksum.value),
          element('Size', part.sizeBytes),
        ]),
      ),
    ]),
  );
}

/** Lists uploads in progress, by key and then by age. Delimiters are not supported. */
export function listMultipartUploads(call: Call): void {
  const { query } = call;
  call.store.getBucket(call.bucket);
  if (query.get('delimiter')) {
    throw new S3Error(
      'NotImplemented',
      'ListMultipartUploads with a delimiter is not there in the local S3 server.',
    );
  }
  const prefix = query.get('prefix') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  const uploadIdMarker = query.get('upload-id-marker') ?? '';
  const maxUploads = Math.min(
    MAX_PAGE_ENTRIES,
    integerInQuery(call, 'max-uploads', { min: 0, max: 2 ** 31 - 1, default: MAX_PAGE_ENTRIES }),
  );
  const matching = call.store.listUploads(call.bucket).filter(({ key }) => key.startsWith(prefix));
  const markerIndex = matching.findIndex(
    ({ key, uploadId }) => key === keyMarker && uploadId === uploadIdMarker,
  );
  const rest =
    markerIndex >= 0
      ? matching.slice(markerIndex + 1)
      : matching.filter(({ key }) => compareUtf8(key, keyMarker) > 0);
  const page = rest.slice(0, maxUploads);
  const last = page.at(-1);
  const isTruncated = maxUploads > 0 && rest.length > maxUploads;
  sendXml(
    call,
    element('ListMultipartUploadsResult', [
      element('Bucket', call.bucket),
      element('KeyMarker', keyMarker),
      element('UploadIdMarker', uploadIdMarker),
      isTruncated && last && element('NextKeyMarker', last.key),
      isTruncated && last && element('NextUploadIdMarker', last.uploadId),
      element('Prefix', prefix),
      element('MaxUploads', maxUploads),
      element('IsTruncated', isTruncated),
      ...page.map((upload) =>
        element('Upload', [
          element('Key', upload.key),
          element('UploadId', upload.uploadId),
          element('StorageClass', 'STANDARD'),
          element('Initiated', new Date(upload.initiatedMs).toISOString()),
        ]),
      ),
    ]),
  );
}

function uploadOf(call: Call): Upload {
  return call.store.getUpload(call.bucket, call.key, call.query.get('uploadId') ?? '');
}

function partNumberOf(call: Call): number {
  return integerInQuery(call, 'partNumber', { min: 1, max: MAX_PARTS, default: 0 }) || refusePartNumber();
}

function refusePartNumber(): never {
  throw new S3Error(
    'InvalidArgument',
    `Part number must be an integer between 1 and ${MAX_PARTS}, inclusive`,
  );
}
