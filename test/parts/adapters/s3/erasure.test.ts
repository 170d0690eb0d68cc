import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
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

test('one version of a key is removed for good, and the others stay', async () => {
  const { client, erasure } = await start(true);
  const first = await put(client, 'input/ä b.jsonl');
  const second = await put(client, 'input/ä b.jsonl');
  await erasure.eraseVersions('input/ä b.jsonl', [first, 'no-such-version']);
  expect(await kept(client)).toEqual(['input/ä b.jsonl']);
  await erasure.eraseVersions('input/ä b.jsonl', [second]);
  await erasure.eraseVersions('input/ä b.jsonl', [second]);
  await erasure.eraseVersions('input/ä b.jsonl', []);
  expect(await kept(client)).toEqual([]);
});

test('in a bucket without versions the object is removed', async () => {
  const { client, erasure } = await start(false);
  await put(client, 'input/a.jsonl');
  await erasure.eraseVersions('input/a.jsonl', [undefined]);
  expect(await kept(client)).toEqual([]);
});

test('an object from before versioning was turned on is removed, without a delete marker', async () => {
  const { client, erasure } = await start(false);
  await put(client, 'input/a.jsonl');
  await client.send(
    new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } }),
  );
  await erasure.eraseVersions('input/a.jsonl', [undefined]);
  expect(await kept(client)).toEqual([]);
});

test('below a prefix every version and every delete marker goes, and nothing beside it', async () => {
  const { client, erasure } = await start(true);
  for (const key of ['work/1/a', 'work/1/a', 'work/1/b c', 'work/10/a']) await put(client, key);
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'work/1/a' }));
  expect(await erasure.eraseBelow('work/1/')).toEqual({ erased: 4, isEmpty: true });
  expect(await erasure.eraseBelow('work/1/')).toEqual({ erased: 0, isEmpty: true });
  expect(await kept(client)).toEqual(['work/10/a']);
});
