import { MemoryObjects } from '../../src/adapters/memory/objects.ts';
import { S3Objects } from '../../src/adapters/s3-objects.ts';
import { BUCKET, startLocalS3 } from './local-s3.ts';
import { describeObjectStore } from './object-store.suite.ts';

for (const isVersioned of [true, false]) {
  const which = isVersioned ? 'with versions' : 'without versions';

  describeObjectStore(`memory ${which}`, async () => ({
    objects: new MemoryObjects({ bucket: BUCKET, isVersioned }, { now: () => 1_790_000_000_123 }),
    bucket: BUCKET,
    isVersioned,
    countOpenUploads: async () => 0,
    close: async () => {},
  }));

  describeObjectStore(`S3 ${which}`, async () => {
    const s3 = await startLocalS3(isVersioned ? { versioning: 'Enabled' } : {});
    return {
      objects: new S3Objects(s3.client, { bucket: BUCKET }),
      bucket: BUCKET,
      isVersioned,
      countOpenUploads: s3.countOpenUploads,
      close: s3.close,
    };
  });
}
