import * as s3 from '@aws-sdk/client-s3';
import { afterEach, describe, expect, it } from 'vitest';
import type { S3Event } from '../../../../../local/services/s3/notifications.ts';
import { startTestS3, type TestS3 } from './support.ts';

const Bucket = 'drop';

let local: TestS3 | undefined;

afterEach(async () => {
  await local?.stop();
  local = undefined;
});

/** A server whose bucket sends its events to EventBridge, and the list that they are put on. */
async function startWithEvents(): Promise<{ client: s3.S3Client; events: S3Event[] }> {
  const events: S3Event[] = [];
  local = await startTestS3({
    region: 'eu-central-1',
    now: () => Date.parse('2026-01-02T03:04:05.678Z'),
    onEvent: (event) => {
      events.push(event);
    },
  });
  const { client } = local;
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  await client.send(
    new s3.PutBucketNotificationConfigurationCommand({
      Bucket,
      NotificationConfiguration: { EventBridgeConfiguration: {} },
    }),
  );
  return { client, events };
}

describe('onEvent', () => {
  it('gets an Object Created event in the shape of EventBridge, with the raw key', async () => {
    const { client, events } = await startWithEvents();
    await client.send(new s3.PutObjectCommand({ Bucket, Key: 'input/ä b.jsonl', Body: 'hello' }));
    expect(events).toEqual([
      {
        version: '0',
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        'detail-type': 'Object Created',
        source: 'aws.s3',
        account: '000000000000',
        time: '2026-01-02T03:04:05Z',
        region: 'eu-central-1',
        resources: ['arn:aws:s3:::drop'],
        detail: {
          version: '0',
          bucket: { name: 'drop' },
          object: {
            key: 'input/ä b.jsonl',
            size: 5,
            etag: '5d41402abc4b2a76b9719d911017c592',
            sequencer: expect.stringMatching(/^[0-9a-f]{16}$/),
          },
          'request-id': expect.stringMatching(/^[0-9A-F]{16}$/),
          requester: '000000000000',
          'source-ip-address': '127.0.0.1',
          reason: 'PutObject',
        },
      },
    ]);
  });

  it('gets nothing from a bucket whose configuration does not name EventBridge', async () => {
    const { client, events } = await startWithEvents();
    await client.send(new s3.CreateBucketCommand({ Bucket: 'quiet' }));
    await client.send(new s3.PutObjectCommand({ Bucket: 'quiet', Key: 'k', Body: 'x' }));
    await client.send(
      new s3.PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration: {} }),
    );
    await client.send(new s3.PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    expect(events).toEqual([]);
  });

  it('names the reason of each kind of write, the version and growing sequencers', async () => {
    const { client, events } = await startWithEvents();
    await client.send(
      new s3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
    const put = await client.send(new s3.PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    const copy = await client.send(
      new s3.CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k` }),
    );
    const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'parts' }));
    const part = { Bucket, Key: 'parts', UploadId, PartNumber: 1 };
    const { ETag } = await client.send(new s3.UploadPartCommand({ ...part, Body: 'part' }));
    const completed = await client.send(
      new s3.CompleteMultipartUploadCommand({
        ...part,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
      }),
    );
    const marker = await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'k' }));
    await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'k', VersionId: put.VersionId }));
    await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'missing' }] } }));

    const told = events.map(({ detail }) => [
      detail.reason,
      detail.object.key,
      detail.object['version-id'],
      detail['deletion-type'],
    ]);
    expect(told.slice(0, 5)).toEqual([
      ['PutObject', 'k', put.VersionId, undefined],
      ['CopyObject', 'copy', copy.VersionId, undefined],
      ['CompleteMultipartUpload', 'parts', completed.VersionId, undefined],
      ['DeleteObject', 'k', marker.VersionId, 'Delete Marker Created'],
      ['DeleteObject', 'k', put.VersionId, 'Permanently Deleted'],
    ]);
    expect(events[3]).toMatchObject({ 'detail-type': 'Object Deleted' });
    expect(events[3]?.detail.object).not.toHaveProperty('size');
    const sequencers = events.map(({ detail }) => detail.object.sequencer);
    expect(sequencers).toEqual([...new Set(sequencers)].sort());
  });

  it('sends an event again after a restart until the receiver has taken it', async () => {
    const { client, events } = await startWithEvents();
    const { promise: neverTaken } = Promise.withResolvers<void>();
    const attempts: S3Event[] = [];
    local = await local!.restart({
      onEvent: (event) => {
        attempts.push(event);
        if (event.detail.object.key === 'throws') throw new Error('the receiver is broken');
        return neverTaken;
      },
    });
    client.destroy();
    for (const Key of ['throws', 'hangs']) {
      await local.client.send(new s3.PutObjectCommand({ Bucket, Key, Body: 'x' }));
    }
    expect(attempts).toHaveLength(2);

    const redelivered = Promise.withResolvers<void>();
    local = await local.restart({
      onEvent: (event) => {
        events.push(event);
        if (events.length === 2) redelivered.resolve();
      },
    });
    await redelivered.promise;
    expect(events).toEqual(attempts);

    const third: S3Event[] = [];
    local = await local.restart({
      onEvent: (event) => {
        third.push(event);
      },
    });
    await local.client.send(new s3.PutObjectCommand({ Bucket, Key: 'later', Body: 'x' }));
    expect(third.map(({ detail }) => detail.object.key)).toEqual(['later']);
  });
});
