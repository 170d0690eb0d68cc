import { type Call, header } from './call.ts';
import { parseCopySource } from './copy-source.ts';
import { BUCKET_DOCUMENTS, bucketDocumentOf } from './operations.ts';

/** A permission that a call needs. */
export interface IamAction {
  /** For example `s3:GetObject`. */
  readonly action: string;
  /** ARN of the bucket or object, `*` for ListBuckets. */
  readonly resource: string;
}

/**
 * The permissions that AWS asks for a call. Those of DeleteObjects depend on its body and are reported by it, as is
 * `s3:ListBucket` for a missing key.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
 */
export function iamActionsOf(call: Call): IamAction[] {
  const bucket = bucketArn(call.bucket);
  const object = objectArn(call.bucket, call.key);
  const version = call.query.has('versionId') ? 'Version' : '';
  switch (call.operation) {
    case 'ListBuckets':
      return [{ action: 's3:ListAllMyBuckets', resource: '*' }];
    case 'CreateBucket':
    case 'DeleteBucket':
    case 'GetBucketLocation':
      return [{ action: `s3:${call.operation}`, resource: bucket }];
    case 'HeadBucket':
    case 'ListObjects':
    case 'ListObjectsV2':
      return [{ action: 's3:ListBucket', resource: bucket }];
    case 'ListObjectVersions':
      return [{ action: 's3:ListBucketVersions', resource: bucket }];
    case 'ListMultipartUploads':
      return [{ action: 's3:ListBucketMultipartUploads', resource: bucket }];
    case 'GetBucketDocument':
    case 'PutBucketDocument':
    case 'DeleteBucketDocument':
      return [{ action: bucketDocumentAction(call), resource: bucket }];
    case 'DeleteObjects':
      return [];
    case 'GetObject':
    case 'HeadObject':
      return [{ action: `s3:GetObject${version}`, resource: object }];
    case 'GetObjectAttributes':
      return [
        { action: `s3:GetObject${version}`, resource: object },
        { action: `s3:GetObject${version}Attributes`, resource: object },
      ];
    case 'GetObjectTagging':
    case 'PutObjectTagging':
    case 'DeleteObjectTagging':
      return [{ action: `s3:${call.operation.replace('Tagging', `${version}Tagging`)}`, resource: object }];
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

/** `arn:aws:s3:::bucket` */
export function bucketArn(bucket: string): string {
  return `arn:aws:s3:::${bucket}`;
}

/** `arn:aws:s3:::bucket/key` */
export function objectArn(bucket: string, key: string): string {
  return `${bucketArn(bucket)}/${key}`;
}

function putActions(call: Call, resource: string): IamAction[] {
  const isTagged = header(call, 'x-amz-tagging') !== undefined;
  return [
    { action: 's3:PutObject', resource },
    ...(isTagged ? [{ action: 's3:PutObjectTagging', resource }] : []),
    ...conditionActions(call, resource),
  ];
}

/** If-Match tells the caller about the object that is there, so AWS asks for the right to read it. */
function conditionActions(call: Call, resource: string): IamAction[] {
  return header(call, 'if-match') === undefined ? [] : [{ action: 's3:GetObject', resource }];
}

function copySourceActions(call: Call): IamAction[] {
  const { bucket, key, versionId } = parseCopySource(call);
  const resource = objectArn(bucket, key);
  const version = versionId === undefined ? '' : 'Version';
  const copiesTags =
    call.operation === 'CopyObject' &&
    header(call, 'x-amz-tagging-directive') !== 'REPLACE' &&
    (call.store.findObject(bucket, key, versionId)?.tags?.length ?? 0) > 0;
  return [
    { action: `s3:GetObject${version}`, resource },
    ...(copiesTags
      ? [
          { action: `s3:GetObject${version}Tagging`, resource },
          { action: 's3:PutObjectTagging', resource: objectArn(call.bucket, call.key) },
        ]
      : []),
  ];
}

function bucketDocumentAction(call: Call): string {
  const document = bucketDocumentOf(call.query)!;
  // IAM has no delete action for most documents: removing one is putting none.
  const verb = call.operation === 'GetBucketDocument' ? 'Get' : 'Put';
  if (call.operation === 'DeleteBucketDocument' && document === 'policy') return 's3:DeleteBucketPolicy';
  return `s3:${verb}${BUCKET_DOCUMENTS[document].iamName}`;
}
