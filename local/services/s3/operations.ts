import { S3Error } from './errors.ts';

/** The bucket subresources that are kept as documents, and what S3 calls them in IAM. */
export const BUCKET_DOCUMENTS = {
  notification: 'BucketNotification',
  versioning: 'BucketVersioning',
} as const;

/** Name of a bucket subresource that is kept as a document. */
export type BucketDocument = keyof typeof BUCKET_DOCUMENTS;

/** What the server can do, by the API's names. The two on bucket documents are one call for each document. */
export type OperationName =
  | 'ListBuckets'
  | 'CreateBucket'
  | 'HeadBucket'
  | 'GetBucketDocument'
  | 'PutBucketDocument'
  | 'ListObjectsV2'
  | 'ListObjectVersions'
  | 'ListMultipartUploads'
  | 'DeleteObjects'
  | 'GetObject'
  | 'HeadObject'
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
  'attributes',
  'cors',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'location',
  'logging',
  'metrics',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'tagging',
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
    return method === 'PUT' ? 'PutBucketDocument' : undefined;
  }
  switch (method) {
    case 'GET':
      if (query.has('uploads')) return 'ListMultipartUploads';
      if (query.has('versions')) return 'ListObjectVersions';
      return query.get('list-type') === '2' ? 'ListObjectsV2' : undefined;
    case 'HEAD':
      return 'HeadBucket';
    case 'PUT':
      return 'CreateBucket';
    case 'POST':
      return query.has('delete') ? 'DeleteObjects' : undefined;
    default:
      return undefined;
  }
}

function objectOperation({ method, query, isCopy }: RequestTarget): OperationName | undefined {
  const isUpload = query.has('uploadId');
  switch (method) {
    case 'GET':
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
