import { PutObjectCommand } from '@aws-sdk/client-s3';
import { S3Objects } from '../../../src/adapters/s3/objects.ts';
import { S3_SIZES } from '../../../src/adapters/s3/sizes.ts';
import { describeObjectStore, SMALL_PART_BYTES } from '../../support/contracts/object-store.suite.ts';
import { BUCKET, startLocalS3 } from '../../support/local-s3.ts';
import { MemoryObjects } from '../../support/memory/objects.ts';

const ambient = { now: () => 1_790_000_000_123 };

for (const isVersioned of [true, false]) {
  const which = isVersioned ? 'with versions' : 'without versions';

  describeObjectStore(`memory ${which}`, async () => {
    const objects = new MemoryObjects({ bucket: BUCKET, isVersioned }, ambient);
    return {
      objects,
      inSmallParts: new MemoryObjects(
        { bucket: BUCKET, isVersioned, minPartBytes: SMALL_PART_BYTES },
        ambient,
      ),
      bucket: BUCKET,
      isVersioned,
      putWithMetadata: (key, body, metadata) => objects.put(key, body, { metadata }),
      countOpenUploads: async () => objects.countOpenUploads(),
      close: async () => {},
    };
  });

  describeObjectStore(`S3 ${which}`, async () => {
    const versioning = isVersioned ? ({ versioning: 'Enabled' } as const) : {};
    const s3 = await startLocalS3(versioning);
    const small = await startLocalS3({ ...versioning, minPartBytes: SMALL_PART_BYTES });
    const sizes = {
      ...S3_SIZES,
      minPartBytes: SMALL_PART_BYTES,
      firstPartBytes: 1.5 * SMALL_PART_BYTES,
      copyPartBytes: 3 * SMALL_PART_BYTES,
    };
    return {
      objects: new S3Objects(s3.client, { bucket: BUCKET }),
      inSmallParts: new S3Objects(small.client, { bucket: BUCKET }, sizes),
      bucket: BUCKET,
      isVersioned,
      putWithMetadata: (Key, Body, Metadata) =>
        s3.client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body, Metadata })),
      countOpenUploads: s3.countOpenUploads,
      close: async () => {
        await Promise.all([s3.close(), small.close()]);
      },
    };
  });
}
