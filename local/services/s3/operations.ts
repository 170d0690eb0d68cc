import { S3Error } from './errors.ts';

/** The bucket subresources that are kept as documents, and what S3 calls them in IAM. */
export const BUCKET_DOCUMENTS = {
  cors: { iamName: 'BucketCORS', missing: 'NoSuchCORSConfiguration' },
  encryption: { iamName: 'EncryptionConfiguration', missing: undefined },
  lifecycle: { iamName: 'LifecycleConfiguration', missing: 'NoSuchLifecycleConfiguration' },
  notification: { iamName: 'BucketNotification', missing: undefined },
  ownershipControls: { iamName: 'BucketOwnershipControls', missing: 'OwnershipControlsNotFoundError' },
  policy: { iamName: 'BucketPolicy', missing: 'NoSuchBucketPolicy' },
  publicAccessBlock: {
    iamName: 'BucketPublicAccessBlock',
    missing: 'NoSuchPublicAccessBlockConfiguration',
  },
  tagging: { iamName: 'BucketTagging', missing: 'NoSuchTagSet' },
  versioning: { iamName: 'BucketVersioning', missing: undefined },
} as const;

/** Name of a bucket subresource that is kept as a document. */
export type BucketDocument = keyof typeof BUCKET_DOCUMENTS;

/** What the server can do, by the API's names. The three on bucket documents stand for one call per document. */
export type OperationName =
  | 'ListBuckets'
  | 'CreateBucket'
  | 'HeadBucket'
  | 'DeleteBucket'
  | 'GetBucketLocation'
  | 'GetBucketDocument'
  | 'PutBucketDocument'
  | 'DeleteBucketDocument'
  | 'ListObjects'
  | 'ListObjectsV2'
  | 'ListObjectVersions'
  | 'ListMultipartUploads'
  | 'DeleteObjects'
  | 'GetObject'
  | 'HeadObject'
  | 'GetObjectAttributes'
  | 'GetObjectTagging'
  | 'PutObjectTagging'
  | 'DeleteObjectTagging'
  | 'PutObject'
  | 'CopyObject'
  | 'DeleteObject'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'UploadPartCopy'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'ListParts';

/** The parts of a request that decide which operation it is. */
export interface RequestTarget {
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  /** True with an `x-amz-copy-source` header. */
  readonly isCopy: boolean;
}

/** Subresources of S3 that this server does not have; a call on one must not be taken for another operation. */
const UNSUPPORTED_SUBRESOURCES = [
  'accelerate',
  'acl',
  'analytics',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'logging',
  'metrics',
  'object-lock',
  'policyStatus',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'torrent',
  'website',
];

/**
 * Finds the operation of a request.
 *
 * @throws S3Error `NotImplemented` for what S3 has and this server has not, `MethodNotAllowed` for the rest
 */
export function operationOf(target: RequestTarget): OperationName {
  const unsupported = UNSUPPORTED_SUBRESOURCES.find((name) => target.query.has(name));
  if (unsupported) {
    throw new S3Error(
      'NotImplemented',
      `The local S3 server does not have the subresource "${unsupported}".`,
    );
  }
  const operation =
    target.bucket === ''
      ? serviceOperation(target)
      : target.key === ''
        ? bucketOperation(target)
        : objectOperation(target);
  if (!operation) throw new S3Error('MethodNotAllowed');
  return operation;
}

function serviceOperation({ method }: RequestTarget): OperationName | undefined {
  return method === 'GET' ? 'ListBuckets' : undefined;
}

function bucketOperation({ method, query }: RequestTarget): OperationName | undefined {
  if (bucketDocumentOf(query)) {
    if (method === 'GET') return 'GetBucketDocument';
    if (method === 'PUT') return 'PutBucketDocument';
    return method === 'DELETE' ? 'DeleteBucketDocument' : undefined;
  }
  switch (method) {
    case 'GET':
      if (query.has('location')) return 'GetBucketLocation';
      if (query.has('uploads')) return 'ListMultipartUploads';
      if (query.has('versions')) return 'ListObjectVersions';
      return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
    case 'HEAD':
      return 'HeadBucket';
    case 'PUT':
      return 'CreateBucket';
    case 'DELETE':
      return 'DeleteBucket';
    case 'POST':
      return query.has('delete') ? 'DeleteObjects' : undefined;
    default:
      return undefined;
  }
}

function objectOperation({ method, query, isCopy }: RequestTarget): OperationName | undefined {
  if (query.has('tagging')) {
    if (method === 'GET') return 'GetObjectTagging';
    if (method === 'PUT') return 'PutObjectTagging';
    return method === 'DELETE' ? 'DeleteObjectTagging' : undefined;
  }
  const isUpload = query.has('uploadId');
  switch (method) {
    case 'GET':
      if (query.has('attributes')) return 'GetObjectAttributes';
      return isUpload ? 'ListParts' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    case 'PUT':
      if (isUpload) return isCopy ? 'UploadPartCopy' : 'UploadPart';
      return isCopy ? 'CopyObject' : 'PutObject';
    case 'DELETE':
      return isUpload ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'POST':
      if (query.has('uploads')) return 'CreateMultipartUpload';
      return isUpload ? 'CompleteMultipartUpload' : undefined;
    default:
      return undefined;
  }
}

/** The bucket document that a query names, if any. */
export function bucketDocumentOf(query: URLSearchParams): BucketDocument | undefined {
  return (Object.keys(BUCKET_DOCUMENTS) as BucketDocument[]).find((name) => query.has(name));
}
