import * as s3 from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { S3Call } from '../../../../../local/services/s3/server.ts';
import { ACCESS_KEY_ID, clientOf, expectRefusal, startTestS3, type TestS3 } from './support.ts';

const Bucket = 'b';
const bucketArn = 'arn:aws:s3:::actions';
const target = { Bucket: 'actions' };

let local: TestS3;
let calls: S3Call[] = [];

beforeAll(async () => {
  local = await startTestS3({ onCall: (call) => calls.push(call) });
  await local.client.send(new s3.CreateBucketCommand(target));
  await local.client.send(new s3.PutObjectCommand({ ...target, Key: 'k', Body: 'x' }));
});

afterAll(() => local.stop());

/** The permissions that one SDK call needs, as `action on resource`; whether it succeeds does not matter. */
async function actionsOf(call: (client: s3.S3Client) => Promise<unknown>): Promise<string[]> {
  calls = [];
  await call(local.client).catch(() => {});
  return calls.map(({ action, resource }) => `${action} on ${resource.replace(bucketArn, '')}`);
}

describe('onCall', () => {
  it('names who called', async () => {
    await actionsOf((client) => client.send(new s3.HeadObjectCommand({ ...target, Key: 'k' })));
    expect(calls).toEqual([
      {
        accessKeyId: ACCESS_KEY_ID,
        action: 's3:GetObject',
        resource: 'arn:aws:s3:::actions/k',
        operation: 'HeadObject',
        context: { 'aws:SecureTransport': 'true' },
      },
    ]);
  });

  it('says which operation it is, where several need the same right, for the key of the bucket', async () => {
    const operationsOf = async (call: (client: s3.S3Client) => Promise<unknown>) => {
      await actionsOf(call);
      return calls.map(({ action, operation }) => `${action} ${operation}`);
    };
    const at = { ...target, Key: 'k' };
    const IfMatch = '"e"';
    const upload = { ...at, UploadId: 'u', PartNumber: 1 };
    const CopySource = 'actions/k';
    const ChecksumMode = 'ENABLED' as const;
    expect(
      await operationsOf((client) => client.send(new s3.HeadObjectCommand({ ...at, ChecksumMode }))),
    ).toEqual(['s3:GetObject GetObject']);
    expect(
      await operationsOf((client) => client.send(new s3.PutObjectCommand({ ...at, IfMatch, Body: 'y' }))),
    ).toEqual(['s3:PutObject PutObject', 's3:GetObject HeadObject']);
    expect(
      await operationsOf((client) => client.send(new s3.CopyObjectCommand({ ...at, CopySource }))),
    ).toEqual(['s3:GetObject undefined', 's3:PutObject CopyObject']);
    expect(
      await operationsOf((client) => client.send(new s3.UploadPartCommand({ ...upload, Body: 'y' }))),
    ).toEqual(['s3:PutObject UploadPart']);
  });

  it('says what a listing is limited to, and nothing of what the request does not say', async () => {
    const contextOf = async (limits: object) => {
      await actionsOf((client) => client.send(new s3.ListObjectVersionsCommand({ ...target, ...limits })));
      return calls[0]!.context;
    };
    const secure = { 'aws:SecureTransport': 'true' };
    expect(await contextOf({})).toEqual(secure);
    expect(await contextOf({ Prefix: 'in/', Delimiter: '/', MaxKeys: 2 })).toEqual({
      ...secure,
      's3:prefix': 'in/',
      's3:delimiter': '/',
      's3:max-keys': '2',
    });
  });

  it('says nothing of a call whose signature is wrong', async () => {
    calls = [];
    const client = clientOf(local.server.endpoint, 'wrong');
    await expectRefusal(client.send(new s3.ListObjectsV2Command({ Bucket })), 403);
    expect(calls).toEqual([]);
  });

  const object = { ...target, Key: 'k' };
  const version = { ...object, VersionId: 'v' };
  const upload = { ...object, UploadId: 'u', PartNumber: 1 };
  const source = { CopySource: 'actions/k' };

  it.each<[string, (client: s3.S3Client) => Promise<unknown>, string[]]>([
    ['ListBuckets', (c) => c.send(new s3.ListBucketsCommand({})), ['s3:ListAllMyBuckets on *']],
    ['HeadBucket', (c) => c.send(new s3.HeadBucketCommand(target)), ['s3:ListBucket on ']],
    ['ListObjectsV2', (c) => c.send(new s3.ListObjectsV2Command(target)), ['s3:ListBucket on ']],
    [
      'ListObjectVersions',
      (c) => c.send(new s3.ListObjectVersionsCommand(target)),
      ['s3:ListBucketVersions on '],
    ],
    [
      'GetBucketVersioning',
      (c) => c.send(new s3.GetBucketVersioningCommand(target)),
      ['s3:GetBucketVersioning on '],
    ],
    [
      'ListMultipartUploads',
      (c) => c.send(new s3.ListMultipartUploadsCommand(target)),
      ['s3:ListBucketMultipartUploads on '],
    ],
    ['GetObject', (c) => c.send(new s3.GetObjectCommand(object)), ['s3:GetObject on /k']],
    [
      'GetObject of a missing version',
      (c) => c.send(new s3.GetObjectCommand(version)),
      ['s3:GetObjectVersion on /k', 's3:ListBucket on '],
    ],
    [
      'GetObject of a missing key',
      (c) => c.send(new s3.GetObjectCommand({ ...target, Key: 'missing' })),
      ['s3:GetObject on /missing', 's3:ListBucket on '],
    ],
    [
      'PutObject',
      (c) => c.send(new s3.PutObjectCommand({ ...object, Key: 'p', Body: 'x' })),
      ['s3:PutObject on /p'],
    ],
    [
      'PutObject with If-Match',
      (c) => c.send(new s3.PutObjectCommand({ ...object, Key: 'p', Body: 'x', IfMatch: '*' })),
      ['s3:PutObject on /p', 's3:GetObject on /p'],
    ],
    [
      'CopyObject',
      (c) => c.send(new s3.CopyObjectCommand({ ...target, ...source, Key: 'copy' })),
      ['s3:GetObject on /k', 's3:PutObject on /copy'],
    ],
    [
      'UploadPartCopy from a version',
      (c) => c.send(new s3.UploadPartCopyCommand({ ...upload, CopySource: 'actions/k?versionId=v' })),
      ['s3:GetObjectVersion on /k', 's3:PutObject on /k'],
    ],
    [
      'CreateMultipartUpload',
      (c) => c.send(new s3.CreateMultipartUploadCommand(object)),
      ['s3:PutObject on /k'],
    ],
    ['UploadPart', (c) => c.send(new s3.UploadPartCommand({ ...upload, Body: 'x' })), ['s3:PutObject on /k']],
    [
      'CompleteMultipartUpload',
      (c) => c.send(new s3.CompleteMultipartUploadCommand(upload)),
      ['s3:PutObject on /k'],
    ],
    [
      'AbortMultipartUpload',
      (c) => c.send(new s3.AbortMultipartUploadCommand(upload)),
      ['s3:AbortMultipartUpload on /k'],
    ],
    ['ListParts', (c) => c.send(new s3.ListPartsCommand(upload)), ['s3:ListMultipartUploadParts on /k']],
    [
      'DeleteObject of a version',
      (c) => c.send(new s3.DeleteObjectCommand(version)),
      ['s3:DeleteObjectVersion on /k'],
    ],
    [
      'DeleteObjects',
      (c) =>
        c.send(
          new s3.DeleteObjectsCommand({
            ...target,
            Delete: { Objects: [{ Key: 'x' }, { Key: 'y', VersionId: 'v' }] },
          }),
        ),
      ['s3:DeleteObject on /x', 's3:DeleteObjectVersion on /y'],
    ],
  ])('reports what %s needs', async (_, call, expected) => {
    expect(await actionsOf(call)).toEqual(expected);
  });
});
