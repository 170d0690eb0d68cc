import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { S3Erasure } from '../../../../src/adapters/s3/erasure.ts';
import { BUCKET, startLocalS3 } from '../../../support/local-s3.ts';

async function start(isVersioned: boolean) {
  const { client, close } = await startLocalS3({});
  onTestFinished(close);
  if (isVersioned)
    await client.send(
      new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } }),
    );
  return { client, erasure: new S3Erasure(client, { bucket: BUCKET }) };
}

async function put(client: S3Client, key: string): Promise<string | undefined> {
  const { VersionId } = await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: key }));
  return VersionId;
}

async function kept(client: S3Client): Promise<string[]> {
  const { Versions = [], DeleteMarkers = [] } = await client.send(
    new ListObjectVersionsCommand({ Bucket: BUCKET }),
  );
  return [...Versions, ...DeleteMarkers].map(({ Key }) => Key!).sort();
}

/** What a listing says of the latest version, as without versioning. */
async function latest(client: S3Client, key: string) {
  const { ETag } = await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
  return { etag: ETag!, isLatest: true };
}

const named = (versionId: string | undefined) => ({ versionId: versionId!, etag: '"any"', isLatest: true });

test('one version of a key is removed for good, and the others stay', async () => {
  const { client, erasure } = await start(true);
  const key = 'input/ä b.jsonl';
  const first = await put(client, key);
  const second = await put(client, key);
  await erasure.eraseVersions(key, [named(first), named('no-such-version')]);
  expect(await kept(client)).toEqual([key]);
  await erasure.eraseVersions(key, [named(second)]);
  await erasure.eraseVersions(key, [named(second)]);
  await erasure.eraseVersions(key, []);
  expect(await kept(client)).toEqual([]);
});

describe('in a bucket without versions', () => {
  test('the object is removed, and a second time is fine', async () => {
    const { client, erasure } = await start(false);
    await put(client, 'input/a.jsonl');
    const own = await latest(client, 'input/a.jsonl');
    expect(await erasure.eraseVersions('input/a.jsonl', [own])).toBe(1);
    expect(await erasure.eraseVersions('input/a.jsonl', [own])).toBe(0);
    expect(await kept(client)).toEqual([]);
  });

  test('another object that was put in its place stays', async () => {
    const { client, erasure } = await start(false);
    await put(client, 'input/a.jsonl');
    const own = await latest(client, 'input/a.jsonl');
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'input/a.jsonl', Body: 'another' }));
    expect(await erasure.eraseVersions('input/a.jsonl', [own])).toBe(0);
    expect(await kept(client)).toEqual(['input/a.jsonl']);
  });
});

describe('an object from before versioning was turned on', () => {
  const turn = (client: S3Client, Status: 'Enabled' | 'Suspended') =>
    client.send(new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status } }));

  test('is removed, and no delete marker stays', async () => {
    const { client, erasure } = await start(false);
    await put(client, 'input/a.jsonl');
    await turn(client, 'Enabled');
    await erasure.eraseVersions('input/a.jsonl', [await latest(client, 'input/a.jsonl')]);
    expect(await kept(client)).toEqual([]);
  });

  test('is removed from below a newer version, which stays', async () => {
    const { client, erasure } = await start(false);
    await put(client, 'input/a.jsonl');
    const own = await latest(client, 'input/a.jsonl');
    await turn(client, 'Enabled');
    const VersionId = await put(client, 'input/a.jsonl');
    await erasure.eraseVersions('input/a.jsonl', [{ ...own, isLatest: false }]);
    expect(await kept(client)).toEqual(['input/a.jsonl']);
    await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'input/a.jsonl', VersionId }));
  });

  test('is removed while versioning is suspended; a delete marker without content stays', async () => {
    const { client, erasure } = await start(true);
    await turn(client, 'Suspended');
    await put(client, 'input/a.jsonl');
    await erasure.eraseVersions('input/a.jsonl', [await latest(client, 'input/a.jsonl')]);
    const { Versions = [], DeleteMarkers = [] } = await client.send(
      new ListObjectVersionsCommand({ Bucket: BUCKET }),
    );
    expect({ versions: Versions.length, markers: DeleteMarkers.length }).toEqual({ versions: 0, markers: 1 });
  });
});

test('below a prefix every version and every delete marker goes, and nothing beside it', async () => {
  const { client, erasure } = await start(true);
  for (const key of ['work/1/a', 'work/1/a', 'work/1/b c', 'work/10/a']) await put(client, key);
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'work/1/a' }));
  expect(await erasure.eraseBelow('work/1/')).toEqual({ erased: 4, isEmpty: true });
  expect(await erasure.eraseBelow('work/1/')).toEqual({ erased: 0, isEmpty: true });
  expect(await kept(client)).toEqual(['work/10/a']);
});
