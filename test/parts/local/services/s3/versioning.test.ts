import * as s3 from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, expectRefusal, startTestS3, type TestS3 } from './support.ts';

let local: TestS3;
let client: s3.S3Client;
let Bucket: string;
let bucketCount = 0;

beforeAll(async () => {
  local = await startTestS3();
  client = local.client;
});

afterAll(() => local.stop());

beforeEach(async () => {
  Bucket = `versioned-${++bucketCount}`;
  await client.send(new s3.CreateBucketCommand({ Bucket }));
});

function setVersioning(Status: s3.BucketVersioningStatus) {
  return client.send(new s3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
}

async function put(
  Key: string,
  Body: string,
  rest: Partial<s3.PutObjectCommandInput> = {},
): Promise<string | undefined> {
  return (await client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...rest }))).VersionId;
}

async function read(Key: string, VersionId?: string): Promise<string> {
  return String(await bytesOf(await client.send(new s3.GetObjectCommand({ Bucket, Key, VersionId }))));
}

function remove(Key: string, VersionId?: string) {
  return client.send(new s3.DeleteObjectCommand({ Bucket, Key, VersionId }));
}

/** All versions and delete markers of a prefix, newest first: `id`, then `*` for the latest, `-` for a marker. */
async function history(Prefix: string): Promise<string[]> {
  const { Versions = [], DeleteMarkers = [] } = await client.send(
    new s3.ListObjectVersionsCommand({ Bucket, Prefix }),
  );
  return [
    ...Versions.map(({ VersionId, IsLatest }) => `${VersionId}${IsLatest ? '*' : ''}`),
    ...DeleteMarkers.map(({ VersionId, IsLatest }) => `${VersionId}${IsLatest ? '*' : ''}-`),
  ];
}

describe('a bucket that was never versioned', () => {
  it('gives no version id and no versioning status', async () => {
    expect(await put('k', '1')).toBeUndefined();
    const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: 'k' }));
    expect(head.VersionId).toBeUndefined();
    expect((await client.send(new s3.GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined();
    expect(await history('k')).toEqual(['null*']);
    expect((await remove('k')).DeleteMarker).toBeUndefined();
    expect(await history('k')).toEqual([]);
  });
});

describe('a bucket with versioning enabled', () => {
  beforeEach(() => setVersioning('Enabled'));

  it('keeps every version and reads each by its id', async () => {
    expect((await client.send(new s3.GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled');
    const first = await put('k', '1');
    const second = await put('k', '2');
    expect(first).not.toBe(second);
    expect(await read('k')).toBe('2');
    expect(await read('k', first)).toBe('1');
    expect(await history('k')).toEqual([`${second}*`, first]);
    const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: 'k', VersionId: first }));
    expect(head.VersionId).toBe(first);
  });

  it('hides a deleted key behind a delete marker until the marker is deleted', async () => {
    const version = await put('k', '1');
    const { DeleteMarker, VersionId: marker } = await remove('k');
    expect(DeleteMarker).toBe(true);
    const error = await expectRefusal(
      client.send(new s3.GetObjectCommand({ Bucket, Key: 'k' })),
      404,
      'NoSuchKey',
    );
    expect(error.$response?.headers).toMatchObject({
      'x-amz-delete-marker': 'true',
      'x-amz-version-id': marker,
    });
    await expectRefusal(client.send(new s3.HeadObjectCommand({ Bucket, Key: 'k' })), 404, 'NotFound');
    expect((await client.send(new s3.ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    expect(await history('k')).toEqual([version, `${marker}*-`]);

    const undone = await remove('k', marker);
    expect(undone).toMatchObject({ DeleteMarker: true, VersionId: marker });
    expect(await read('k')).toBe('1');
  });

  it('fails with MethodNotAllowed on a delete marker by its version and with NoSuchVersion on an unknown one', async () => {
    await put('k', '1');
    const { VersionId } = await remove('k');
    const error = await expectRefusal(
      client.send(new s3.GetObjectCommand({ Bucket, Key: 'k', VersionId })),
      405,
      'MethodNotAllowed',
    );
    expect(error.$response?.headers['x-amz-delete-marker']).toBe('true');
    await expectRefusal(client.send(new s3.HeadObjectCommand({ Bucket, Key: 'k', VersionId })), 405);
    const unknown = { Bucket, Key: 'k', VersionId: 'f'.repeat(32) };
    await expectRefusal(client.send(new s3.GetObjectCommand(unknown)), 404, 'NoSuchVersion');
    await expectRefusal(client.send(new s3.HeadObjectCommand(unknown)), 404);
  });

  it('removes one version for good and leaves the others', async () => {
    const first = await put('k', '1');
    const second = await put('k', '2');
    expect((await remove('k', second)).VersionId).toBe(second);
    expect(await read('k')).toBe('1');
    expect(await history('k')).toEqual([`${first}*`]);
    expect((await remove('k', second)).$metadata.httpStatusCode).toBe(204);
  });

  it('gives version ids for copies and multipart uploads and copies from a version', async () => {
    const first = await put('k', '1');
    await put('k', '2');
    const copy = await client.send(
      new s3.CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k?versionId=${first}` }),
    );
    expect(copy.CopySourceVersionId).toBe(first);
    expect(copy.VersionId).toBeDefined();
    expect(await read('copy', copy.VersionId)).toBe('1');

    const upload = { Bucket, Key: 'parts' };
    const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(upload));
    const part = await client.send(
      new s3.UploadPartCopyCommand({
        ...upload,
        UploadId,
        PartNumber: 1,
        CopySource: `${Bucket}/k?versionId=${first}`,
      }),
    );
    expect(part.CopySourceVersionId).toBe(first);
    const completed = await client.send(
      new s3.CompleteMultipartUploadCommand({
        ...upload,
        UploadId,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag: part.CopyPartResult?.ETag }] },
      }),
    );
    expect(await read('parts', completed.VersionId)).toBe('1');
  });

  it('restores an old version by copying it over the newest', async () => {
    const first = await put('k', '1');
    await put('k', '2');
    const CopySource = `${Bucket}/k?versionId=${first}`;
    await client.send(new s3.CopyObjectCommand({ Bucket, Key: 'k', CopySource }));
    expect(await read('k')).toBe('1');
    expect(await history('k')).toHaveLength(3);
  });

  it('fails with InvalidRequest on a copy of a delete marker by its version and with NoSuchKey on one without', async () => {
    await put('k', '1');
    const { VersionId } = await remove('k');
    const copy = (CopySource: string) =>
      client.send(new s3.CopyObjectCommand({ Bucket, Key: 'copy', CopySource }));
    await expectRefusal(copy(`${Bucket}/k?versionId=${VersionId}`), 400, 'InvalidRequest');
    await expectRefusal(copy(`${Bucket}/k`), 404, 'NoSuchKey');
  });

  it('counts a deleted key as absent for conditions', async () => {
    await put('k', '1');
    await remove('k');
    await expectRefusal(put('k', '2', { IfMatch: '*' }), 404, 'NoSuchKey');
    await put('k', '3', { IfNoneMatch: '*' });
    expect(await read('k')).toBe('3');
  });

  it('lists versions in pages that continue within a key', async () => {
    const ids: (string | undefined)[] = [];
    for (const body of ['1', '2', '3', '4', '5']) ids.unshift(await put('a', body));
    ids.push(await put('b', '1'));
    await put('c/1', '1');
    await put('c/2', '1');
    const listed: (string | undefined)[] = [];
    let KeyMarker: string | undefined;
    let VersionIdMarker: string | undefined;
    let isTruncated = true;
    while (isTruncated) {
      const page = await client.send(
        new s3.ListObjectVersionsCommand({ Bucket, KeyMarker, VersionIdMarker, MaxKeys: 2, Delimiter: '/' }),
      );
      listed.push(...(page.Versions ?? []).map(({ VersionId }) => VersionId));
      listed.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix));
      ({
        NextKeyMarker: KeyMarker,
        NextVersionIdMarker: VersionIdMarker,
        IsTruncated: isTruncated = false,
      } = page);
    }
    expect(listed).toEqual([...ids, 'c/']);
  });

  it('deletes versions and makes markers with DeleteObjects', async () => {
    const first = await put('k', '1');
    const made = await client.send(
      new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'k' }] } }),
    );
    const marker = made.Deleted?.[0]?.DeleteMarkerVersionId;
    expect(made.Deleted?.[0]).toMatchObject({ Key: 'k', DeleteMarker: true });
    const Objects = [
      { Key: 'k', VersionId: first },
      { Key: 'k', VersionId: marker },
    ];
    const { Deleted } = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(Deleted).toEqual([
      { Key: 'k', VersionId: first },
      { Key: 'k', VersionId: marker, DeleteMarker: true, DeleteMarkerVersionId: marker },
    ]);
    expect(await history('k')).toEqual([]);
  });

  it('fails with MalformedXML on a versioning status that is neither', () =>
    expectRefusal(setVersioning('Disabled' as 'Enabled'), 400, 'MalformedXML'));
});

describe('a bucket with versioning suspended', () => {
  it('replaces only the null version, and its delete leaves a null marker', async () => {
    await put('k', 'before');
    await setVersioning('Enabled');
    const kept = await put('k', 'kept');
    await setVersioning('Suspended');
    expect(await put('k', 'null 1')).toBe('null');
    expect(await put('k', 'null 2')).toBe('null');
    expect(await history('k')).toEqual(['null*', kept]);
    expect(await read('k', 'null')).toBe('null 2');

    expect(await remove('k')).toMatchObject({ DeleteMarker: true, VersionId: 'null' });
    expect(await history('k')).toEqual([kept, 'null*-']);
    await remove('k', 'null');
    expect(await read('k')).toBe('kept');
  });
});
