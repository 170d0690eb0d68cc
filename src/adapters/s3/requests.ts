/** What requests to S3 and answers from it are made of, for the store and its writer. */
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { ObjectGoneError, ObjectUnreadableError } from '../../core/base/errors.ts';
import type { SourceObject } from '../../core/model/objects.ts';

/** The entry of a part in CompleteMultipartUpload: what S3 said of it, with the checksum if there is one. */
export function completedPart(
  number: number,
  said: { ETag?: string | undefined; ChecksumCRC32?: string | undefined },
): CompletedPart {
  return { PartNumber: number, ETag: said.ETag, ChecksumCRC32: said.ChecksumCRC32 };
}

/** Gives up an upload. If even this fails, the bucket's lifecycle rule for incomplete uploads cleans up. */
export async function abortUpload(
  client: S3Client,
  upload: { Bucket: string; Key: string; UploadId: string | undefined },
): Promise<void> {
  try {
    await client.send(new AbortMultipartUploadCommand(upload));
  } catch {
    // The error that led here is the one to report.
  }
}

/** `x-amz-copy-source`: the path percent-encoded by segment. Source: S3 API reference, CopyObject. */
export function copySourceOf(source: SourceObject): string {
  const path = `${source.bucket}/${source.key}`.split('/').map(encodeURIComponent).join('/');
  return source.versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(source.versionId)}`;
}

/** S3's code of an error, such as `NoSuchUpload`. */
export function errorNameOf(error: unknown): string | undefined {
  return error instanceof S3ServiceException ? error.name : undefined;
}

/** HTTP status of an answer that is an error. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/**
 * Whether S3 says that there is no such object or version. A HEAD has no body, so its 404 carries no code. 405 is the
 * answer for a version that is a delete marker (S3 User Guide, "Working with delete markers").
 */
export function isMissing(error: unknown): boolean {
  if (error instanceof MissingObjectError) return true;
  if (!(error instanceof S3ServiceException)) return false;
  if (error.name === 'NoSuchKey' || error.name === 'NoSuchVersion' || error.name === 'NotFound') return true;
  return statusOf(error) === 405;
}

/** A listing shows that S3 has no such object, of which it only said that it may not be read. */
export class MissingObjectError extends Error {
  constructor({ bucket, key }: SourceObject, cause: unknown) {
    super(`s3://${bucket}/${key} is not there: S3 answers 403, and does not list it`, { cause });
    this.name = 'MissingObjectError';
  }
}

/** What the SDK calls the 403 of a HEAD, which has no body that could name it. */
const UNNAMED = new Set(['403', 'Forbidden', 'Unknown', 'UnknownError', '']);

/** Whether S3 may have answered 403 in place of 404. */
export function mayHideMissing(error: unknown): boolean {
  if (!(error instanceof S3ServiceException) || statusOf(error) !== 403) return false;
  return UNNAMED.has(error.name) || (error.name === 'AccessDenied' && !/kms:/i.test(error.message));
}

/** The error of a reader that finds the object missing or replaced. */
export function goneError(source: SourceObject, cause: unknown): ObjectGoneError {
  const version = source.versionId === undefined ? '' : ` (version ${source.versionId})`;
  return new ObjectGoneError(
    `s3://${source.bucket}/${source.key}${version} is gone or was replaced while it was being processed; drop it again`,
    { cause },
  );
}

/**
 * S3's codes for an object that it has and does not give, beside those of KMS. Source: S3 API reference, "Error
 * responses".
 */
const NOT_GIVEN: Readonly<Record<string, string>> = {
  InvalidObjectState:
    'It is in an archive (S3 Glacier Flexible Retrieval, Deep Archive, or an archive tier of Intelligent-Tiering): restore it with "aws s3api restore-object", which takes up to 48 hours, or drop a copy in another storage class.',
  AccessDenied:
    'The role of the function may not read it: a policy of the bucket or of the object denies it, or another account owns it.',
  AllAccessDisabled: 'All access to it is disabled.',
};

/** Codes of KMS that go away by themselves. */
const KMS_PASSING = /Throttl|Timeout|Internal|LimitExceeded|DependencyTimeout/i;

/**
 * The error of a read that a person has to make possible; `undefined` for every other one, such as credentials that
 * ran out.
 * @param isHead a HEAD has no body, so its 403 has no code.
 */
export function unreadableError(
  source: SourceObject,
  cause: unknown,
  isHead = false,
): ObjectUnreadableError | undefined {
  if (!(cause instanceof S3ServiceException)) return undefined;
  const said = `S3 answers ${statusOf(cause)} ${cause.name}`;
  const make = (code: string, advice: string) =>
    new ObjectUnreadableError(`s3://${source.bucket}/${source.key}: ${said}. ${advice}`, source.key, code, {
      cause,
    });
  if (/^KMS[.A-Z]/.test(cause.name) && !KMS_PASSING.test(cause.name))
    return make(
      cause.name,
      'It is encrypted with a KMS key that cannot be used: the key is disabled, deleted, or not found.',
    );
  if (cause.name === 'AccessDenied' && /kms:/i.test(cause.message))
    return make(
      cause.name,
      'It is encrypted with a KMS key that the role of the function may not use: grant it kms:Decrypt on that key.',
    );
  const advice = NOT_GIVEN[cause.name];
  if (advice !== undefined) return make(cause.name, advice);
  if (isHead && statusOf(cause) === 403) return make('403', NOT_GIVEN.AccessDenied!);
  return undefined;
}
