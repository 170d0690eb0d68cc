import type { RequestContext } from '../iam/conditions.ts';
import type { ApiCall } from '../iam/policy.ts';
import { type Call, header, wantsChecksum } from './call.ts';
import { parseCopySource } from './copy-source.ts';
import { BUCKET_DOCUMENTS, bucketDocumentOf } from './operations.ts';

/**
 * The permissions that AWS asks for a call. Those of DeleteObjects depend on its body and are reported by it, as is
 * `s3:ListBucket` for a missing key.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
 */
export function iamActionsOf(call: Call): ApiCall[] {
  const bucket = bucketArn(call.bucket);
  const object = objectArn(call.bucket, call.key);
  const version = call.query.has('versionId') ? 'Version' : '';
  switch (call.operation) {
    case 'ListBuckets':
      return [{ action: 's3:ListAllMyBuckets', resource: '*' }];
    case 'CreateBucket':
      return [{ action: `s3:${call.operation}`, resource: bucket }];
    case 'HeadBucket':
    case 'ListObjectsV2':
      return [{ action: 's3:ListBucket', resource: bucket, context: listingContext(call) }];
    case 'ListObjectVersions':
      return [{ action: 's3:ListBucketVersions', resource: bucket, context: listingContext(call) }];
    case 'ListMultipartUploads':
      return [{ action: 's3:ListBucketMultipartUploads', resource: bucket, context: listingContext(call) }];
    case 'GetBucketDocument':
    case 'PutBucketDocument':
      return [{ action: bucketDocumentAction(call), resource: bucket }];
    case 'DeleteObjects':
      return [];
    case 'GetObject':
    case 'HeadObject':
      return [{ action: `s3:GetObject${version}`, resource: object, operation: readOperation(call) }];
    case 'DeleteObject':
      return [{ action: `s3:DeleteObject${version}`, resource: object }, ...conditionActions(call, object)];
    case 'AbortMultipartUpload':
      return [{ action: 's3:AbortMultipartUpload', resource: object }];
    case 'ListParts':
      return [{ action: 's3:ListMultipartUploadParts', resource: object }];
    case 'CopyObject':
    case 'UploadPartCopy':
      return [...copySourceActions(call), ...putActions(call, object)];
    case 'PutObject':
    case 'CreateMultipartUpload':
    case 'UploadPart':
    case 'CompleteMultipartUpload':
      return putActions(call, object);
  }
}

/** Parameters of listings that policies may hold against a condition. Source: Service Authorization Reference, S3. */
const LISTING_KEYS = ['prefix', 'delimiter', 'max-keys'];

/** Only what the request has: a listing of a whole bucket brings no prefix. */
function listingContext({ query }: Call): RequestContext {
  return Object.fromEntries(
    LISTING_KEYS.flatMap((name) => (query.has(name) ? [[`s3:${name}`, query.get(name)!]] : [])),
  );
}

/** `arn:aws:s3:::bucket` */
export function bucketArn(bucket: string): string {
  return `arn:aws:s3:::${bucket}`;
}

/** `arn:aws:s3:::bucket/key` */
export function objectArn(bucket: string, key: string): string {
  return `${bucketArn(bucket)}/${key}`;
}

function putActions(call: Call, resource: string): ApiCall[] {
  const { operation } = call;
  return [{ action: 's3:PutObject', resource, operation }, ...conditionActions(call, resource)];
}

/** A checksum is encrypted as the object is: who asks for it reads. */
function readOperation(call: Call): string {
  return wantsChecksum(call) ? 'GetObject' : call.operation;
}

/** If-Match reveals the object that is there, so AWS asks for the right to read it. Its content is not looked at. */
function conditionActions(call: Call, resource: string): ApiCall[] {
  if (header(call, 'if-match') === undefined) return [];
  return [{ action: 's3:GetObject', resource, operation: 'HeadObject' }];
}

function copySourceActions(call: Call): ApiCall[] {
  const { bucket, key, versionId } = parseCopySource(call);
  const version = versionId === undefined ? '' : 'Version';
  return [{ action: `s3:GetObject${version}`, resource: objectArn(bucket, key) }];
}

function bucketDocumentAction(call: Call): string {
  const verb = call.operation === 'GetBucketDocument' ? 'Get' : 'Put';
  return `s3:${verb}${BUCKET_DOCUMENTS[bucketDocumentOf(call.query)!]}`;
}
