import { randomUUID } from 'node:crypto';
import { defined } from '../../../src/core/base/defined.ts';
import { parseXml } from './xml.ts';

/** The account that owns every local bucket. */
export const LOCAL_ACCOUNT_ID = '000000000000';

/**
 * What S3 sends to EventBridge, field for field.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
 */
export interface S3Event {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': 'Object Created' | 'Object Deleted';
  readonly source: 'aws.s3';
  readonly account: string;
  /** ISO 8601 to the second. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: {
    readonly version: '0';
    readonly bucket: { readonly name: string };
    readonly object: {
      /** As it is, not URL-encoded (unlike in S3's own notifications). */
      readonly key: string;
      /** Of created objects only. */
      readonly size?: number;
      /** Without quotes. */
      readonly etag: string;
      /** Only where the bucket has versioning enabled. */
      readonly 'version-id'?: string;
      /** Hexadecimal; of two events of one key the later has the greater. */
      readonly sequencer: string;
    };
    readonly 'request-id': string;
    readonly requester: string;
    readonly 'source-ip-address': string;
    readonly reason: WriteReason;
    /** Of deletions only. */
    readonly 'deletion-type'?: 'Permanently Deleted' | 'Delete Marker Created';
  };
}

/** The API call that made the event happen. */
export type WriteReason = 'PutObject' | 'CopyObject' | 'CompleteMultipartUpload' | 'DeleteObject';

/** Where a change came from. */
export interface ChangeCause {
  readonly reason: WriteReason;
  readonly requestId: string;
}

/** What changed, in the store's terms. */
export interface ObjectChange extends ChangeCause {
  readonly bucket: string;
  readonly key: string;
  readonly etag: string;
  /** Left out for deletions. */
  readonly sizeBytes?: number;
  /** `null` is the version of a bucket without versioning; the event does not name it. */
  readonly versionId: string;
  readonly sequencer: string;
  readonly atMs: number;
  readonly deletion?: 'Permanently Deleted' | 'Delete Marker Created';
}

/** Spells a change as EventBridge delivers it. */
export function objectChangeToEvent(change: ObjectChange, region: string): S3Event {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': change.deletion ? 'Object Deleted' : 'Object Created',
    source: 'aws.s3',
    account: LOCAL_ACCOUNT_ID,
    time: new Date(change.atMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    region,
    resources: [`arn:aws:s3:::${change.bucket}`],
    detail: defined({
      version: '0',
      bucket: { name: change.bucket },
      object: defined({
        key: change.key,
        size: change.sizeBytes,
        etag: change.etag,
        'version-id': change.versionId === 'null' ? undefined : change.versionId,
        sequencer: change.sequencer,
      }),
      'request-id': change.requestId,
      requester: LOCAL_ACCOUNT_ID,
      'source-ip-address': '127.0.0.1',
      reason: change.reason,
      'deletion-type': change.deletion ? change.deletion : undefined,
    }),
  };
}

/** True if a `NotificationConfiguration` document sends events to EventBridge. */
export function sendsToEventBridge(notificationConfiguration: string): boolean {
  return parseXml(notificationConfiguration).children.some(
    (child) => child.name === 'EventBridgeConfiguration',
  );
}
