import { receiveDocument } from './body.ts';
import { type Call, integerInQuery, sendDocument, sendEmpty, sendXml } from './call.ts';
import { S3Error } from './errors.ts';
import { objectArn } from './iam-actions.ts';
import { listObjects, listVersions, type PageRequest, type VersionEntry } from './listing.ts';
import { LOCAL_ACCOUNT_ID } from './notifications.ts';

import { type BucketDocument, bucketDocumentOf } from './operations.ts';
import type { Version } from './records.ts';
import { encodeRfc3986 } from './sigv4.ts';
import { childrenOf, childText, element, parseXml, renderXml, type XmlNode } from './xml.ts';

/** Most entries on a page, and most keys in one DeleteObjects. */
const MAX_PAGE_KEYS = 1000;

export function listBuckets(call: Call): void {
  const buckets = call.store.listBuckets();
  sendXml(
    call,
    element('ListAllMyBucketsResult', [
      ownerElement(),
      element(
        'Buckets',
        buckets.map(({ name, createdMs }) =>
          element('Bucket', [element('Name', name), element('CreationDate', isoTime(createdMs))]),
        ),
      ),
    ]),
  );
}

export async function createBucket(call: Call): Promise<void> {
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
  const isValid =
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(call.bucket) &&
    !call.bucket.includes('..') &&
    !/^\d+\.\d+\.\d+\.\d+$/.test(call.bucket);
  if (!isValid) throw new S3Error('InvalidBucketName');
  await receiveDocument(call);
  call.store.createBucket(call.bucket);
  sendEmpty(call, 200, { location: `/${call.bucket}` });
}

export function headBucket(call: Call): void {
  call.store.getBucket(call.bucket);
  sendEmpty(call, 200, { 'x-amz-bucket-region': call.region });
}

export function getBucketDocument(call: Call): void {
  const name = bucketDocumentOf(call.query)!;
  const document = call.store.getBucket(call.bucket).configuration.get(name) ?? defaultDocument(name);
  sendDocument(call, document, { 'content-type': 'application/xml' });
}

export async function putBucketDocument(call: Call): Promise<void> {
  const name = bucketDocumentOf(call.query)!;
  call.store.getBucket(call.bucket);
  const document = await receiveDocument(call);
  const status = childText(parseXml(document), 'Status');
  if (name === 'versioning' && status !== 'Enabled' && status !== 'Suspended') {
    throw new S3Error('MalformedXML');
  }
  call.store.setConfiguration(call.bucket, name, document);
  sendEmpty(call, 200);
}

/** What S3 answers for a document that was never put. */
function defaultDocument(name: BucketDocument): string {
  const root = { versioning: 'VersioningConfiguration', notification: 'NotificationConfiguration' }[name];
  return renderXml(element(root, ''));
}

// ---- listings

export function listObjectPage(call: Call): void {
  const { query } = call;
  const token = query.get('continuation-token');
  const after = token !== null ? decodeToken(token) : (query.get('start-after') ?? '');
  const request = pageRequest(call, after);
  const page = listObjects(call.store.getBucket(call.bucket), request);
  const encode = keyEncoder(call);
  const hasOwner = query.get('fetch-owner') === 'true';
  sendXml(
    call,
    element('ListBucketResult', [
      ...pageHead(call, request, page.isTruncated),
      element('KeyCount', page.entries.length + page.commonPrefixes.length),
      token !== null && element('ContinuationToken', token),
      query.has('start-after') && element('StartAfter', encode(query.get('start-after') ?? '')),
      page.isTruncated && element('NextContinuationToken', encodeToken(page.last)),
      ...page.entries.map(({ key, version }) =>
        element('Contents', [...entryElements(encode(key), version), hasOwner && ownerElement()]),
      ),
      ...commonPrefixElements(page.commonPrefixes, encode),
    ]),
  );
}

export function listObjectVersions(call: Call): void {
  const request = pageRequest(call, call.query.get('key-marker') ?? '');
  const versionIdMarker = call.query.get('version-id-marker') ?? undefined;
  if (versionIdMarker !== undefined && request.after === '') {
    throw new S3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.');
  }
  const page = listVersions(call.store.getBucket(call.bucket), request, versionIdMarker);
  const encode = keyEncoder(call);
  const lastEntry = page.entries.at(-1);
  sendXml(
    call,
    element('ListVersionsResult', [
      ...pageHead(call, request, page.isTruncated),
      element('KeyMarker', encode(request.after)),
      element('VersionIdMarker', versionIdMarker ?? ''),
      page.isTruncated && element('NextKeyMarker', encode(page.last)),
      page.isTruncated &&
        lastEntry?.key === page.last &&
        element('NextVersionIdMarker', lastEntry.version.versionId),
      ...page.entries.map((entry) => versionElement(entry, encode)),
      ...commonPrefixElements(page.commonPrefixes, encode),
    ]),
  );
}

function pageRequest(call: Call, after: string): PageRequest {
  return {
    prefix: call.query.get('prefix') ?? '',
    delimiter: call.query.get('delimiter') ?? '',
    after,
    maxKeys: Math.min(
      MAX_PAGE_KEYS,
      integerInQuery(call, 'max-keys', { min: 0, max: 2 ** 31 - 1, default: MAX_PAGE_KEYS }),
    ),
  };
}

function pageHead(call: Call, request: PageRequest, isTruncated: boolean): (XmlNode | false)[] {
  const encode = keyEncoder(call);
  return [
    element('Name', call.bucket),
    element('Prefix', encode(request.prefix)),
    request.delimiter !== '' && element('Delimiter', encode(request.delimiter)),
    element('MaxKeys', request.maxKeys),
    call.query.get('encoding-type') === 'url' && element('EncodingType', 'url'),
    element('IsTruncated', isTruncated),
  ];
}

function versionElement({ key, version, isLatest }: VersionEntry, encode: (key: string) => string): XmlNode {
  return element(version.kind === 'object' ? 'Version' : 'DeleteMarker', [
    ...entryElements(encode(key), version),
    element('VersionId', version.versionId),
    element('IsLatest', isLatest),
    ownerElement(),
  ]);
}

function entryElements(encodedKey: string, version: Version): (XmlNode | false)[] {
  return [
    element('Key', encodedKey),
    element('LastModified', isoTime(version.lastModifiedMs)),
    ...(version.kind === 'object'
      ? [
          element('ETag', `"${version.etag}"`),
          version.checksum !== undefined &&
            element('ChecksumAlgorithm', version.checksum.algorithm.toUpperCase()),
          version.checksum !== undefined && element('ChecksumType', version.checksum.type),
          element('Size', version.sizeBytes),
          element('StorageClass', 'STANDARD'),
        ]
      : []),
  ];
}

function commonPrefixElements(prefixes: readonly string[], encode: (key: string) => string): XmlNode[] {
  return prefixes.map((prefix) => element('CommonPrefixes', [element('Prefix', encode(prefix))]));
}

/** With `encoding-type=url` keys are percent-encoded, all but the slash, so that XML can carry any of them. */
function keyEncoder(call: Call): (key: string) => string {
  if (call.query.get('encoding-type') !== 'url') return (key) => key;
  return (key) => encodeRfc3986(key).replaceAll('%2F', '/');
}

function encodeToken(last: string): string {
  return Buffer.from(last).toString('base64url');
}

function decodeToken(token: string): string {
  const last = Buffer.from(token, 'base64url').toString();
  if (last === '' || encodeToken(last) !== token) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  }
  return last;
}

function ownerElement(): XmlNode {
  return element('Owner', [element('ID', LOCAL_ACCOUNT_ID), element('DisplayName', 'local')]);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

// ---- DeleteObjects

/** Deletes up to 1,000 keys or versions; each succeeds or fails by itself. */
export async function deleteObjects(call: Call): Promise<void> {
  call.store.getBucket(call.bucket);
  const request = parseXml(await receiveDocument(call));
  const objects = childrenOf(request, 'Object');
  if (objects.length === 0 || objects.length > MAX_PAGE_KEYS) throw new S3Error('MalformedXML');
  const isQuiet = childText(request, 'Quiet') === 'true';
  const results: (XmlNode | false)[] = [];
  for (const object of objects) {
    const key = childText(object, 'Key');
    if (!key) throw new S3Error('MalformedXML');
    const versionId = childText(object, 'VersionId') || undefined;
    const ifMatch = childText(object, 'ETag') || undefined;
    const resource = objectArn(call.bucket, key);
    try {
      call.report({ action: `s3:DeleteObject${versionId ? 'Version' : ''}`, resource });
      // S3 user guide, "How to perform conditional deletes": an ETag asks for the right to read.
      if (ifMatch !== undefined) call.report({ action: 's3:GetObject', resource });
      const result = deleteOne(call, key, versionId, ifMatch);
      results.push(!isQuiet && result);
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      results.push(
        element('Error', [
          element('Key', key),
          versionId !== undefined && element('VersionId', versionId),
          element('Code', error.code),
          element('Message', error.message),
        ]),
      );
    }
  }
  sendXml(call, element('DeleteResult', results));
}

function deleteOne(
  call: Call,
  key: string,
  versionId: string | undefined,
  ifMatch: string | undefined,
): XmlNode {
  const cause = { reason: 'DeleteObject', requestId: call.requestId } as const;
  const deleted = call.store.deleteObject(call.bucket, key, versionId, ifMatch, cause);
  const isMarker = deleted?.kind === 'delete-marker';
  return element('Deleted', [
    element('Key', key),
    versionId !== undefined && element('VersionId', versionId),
    isMarker && element('DeleteMarker', true),
    isMarker && element('DeleteMarkerVersionId', deleted.versionId),
  ]);
}
