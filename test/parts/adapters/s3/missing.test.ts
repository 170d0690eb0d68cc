/** Reads of objects that may be missing, by somebody who may list prefixes and not the bucket, as the functions may. */
import { DeleteObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3Error } from '../../../../local/services/s3/errors.ts';
import { S3Objects } from '../../../../src/adapters/s3/objects.ts';
import { S3Owners } from '../../../../src/adapters/s3/owners.ts';
import { ObjectGoneError, ObjectUnreadableError } from '../../../../src/core/base/errors.ts';
import { BUCKET, startLocalS3 } from '../../../support/local-s3.ts';

const BYTES = new TextEncoder().encode('x');
/** Prefixes of listings. */
let listings: string[] = [];
let mayList = true;
let s3: Awaited<ReturnType<typeof startLocalS3>>;
let objects: S3Objects;

beforeAll(async () => {
  s3 = await startLocalS3({
    versioning: 'Enabled',
    onCall({ action, resource, context, isOptional }) {
      const refuse = () => {
        throw new S3Error('AccessDenied', `not authorized to perform: ${action}`);
      };
      if (action.startsWith('s3:List') && context?.['s3:prefix'] !== undefined) {
        listings.push(String(context['s3:prefix']));
        if (!mayList) refuse();
      }
      if (isOptional) refuse();
      if (action.startsWith('s3:GetObject') && resource.endsWith('/secret')) refuse();
    },
  });
  objects = new S3Objects(s3.client, { bucket: BUCKET });
  for (const key of ['there', 'there-too', 'secret']) await objects.put(key, BYTES);
});
afterAll(() => s3.close());

test('what is there is read without a listing', async () => {
  listings = [];
  expect(await objects.get('there')).toHaveLength(1);
  expect(await objects.head(BUCKET, 'there')).toMatchObject({ size: 1 });
  expect(listings).toEqual([]);
});

test('a missing object is missing, and only its key is listed', async () => {
  listings = [];
  expect(await objects.get('the')).toBeUndefined();
  expect(await objects.head(BUCKET, 'the')).toBeUndefined();
  await expect(objects.read({ bucket: BUCKET, key: 'the' })).rejects.toThrow(ObjectGoneError);
  expect(listings).toEqual(['the', 'the', 'the']);
});

test('a missing version is missing, also of a key that has others', async () => {
  const { versionId } = (await objects.head(BUCKET, 'there'))!;
  expect(await objects.head(BUCKET, 'there', versionId)).toMatchObject({ size: 1 });
  const gone = (await objects.head(BUCKET, 'there-too'))!.versionId!;
  await s3.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'there-too', VersionId: gone }));
  expect(await objects.head(BUCKET, 'there-too', gone)).toBeUndefined();
  expect(await objects.head(BUCKET, 'there', gone)).toBeUndefined();
});

test('what is there and may not be read is a matter for a person', async () => {
  await expect(objects.get('secret')).rejects.toThrow(ObjectUnreadableError);
  await expect(objects.head(BUCKET, 'secret')).rejects.toThrow(ObjectUnreadableError);
});

test('nothing is taken for missing where not even its key may be listed', async () => {
  mayList = false;
  try {
    await expect(objects.get('missing')).rejects.toThrow(ObjectUnreadableError);
  } finally {
    mayList = true;
  }
});

test('what is written between the read and the listing is read', async () => {
  const send = s3.client.send.bind(s3.client);
  const client = {
    send: async (command: never) => {
      if ((command as object) instanceof ListObjectsV2Command) await objects.put('late', BYTES);
      return send(command);
    },
  } as unknown as S3Client;
  expect(await new S3Objects(client, { bucket: BUCKET }).get('late')).toEqual(BYTES);
});

test('a bucket without owners of prefixes has none', async () => {
  expect(await new S3Owners(s3.client, { bucket: BUCKET }).readOwners()).toBeUndefined();
});
