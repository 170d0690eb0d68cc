import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { S3Owners } from '../../../../src/adapters/s3/owners.ts';
import { describeOwnersStore } from '../../../support/contracts/owners-store.suite.ts';
import { BUCKET, startLocalS3 } from '../../../support/local-s3.ts';
import { MemoryOwners } from '../../../support/memory/owners.ts';

describeOwnersStore('memory', async () => {
  const owners = new MemoryOwners();
  return { owners, remove: async () => owners.remove(), close: async () => {} };
});

for (const versioning of ['Enabled', undefined] as const) {
  describeOwnersStore(`S3 ${versioning === undefined ? 'without' : 'with'} versions`, async () => {
    const s3 = await startLocalS3(versioning === undefined ? {} : { versioning });
    return {
      owners: new S3Owners(s3.client, { bucket: BUCKET }),
      remove: async () => {
        await s3.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: '.batchdrop/owners.json' }));
      },
      close: s3.close,
    };
  });
}
