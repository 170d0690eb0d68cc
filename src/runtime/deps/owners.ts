import { S3Owners } from '../../adapters/s3/owners.ts';
import { createS3Client } from '../clients.ts';

/** What it takes to know which prefixes of the bucket are the stack's own. */
export function ownersDeps(config: { STACK_NAME: string; BUCKET_NAME: string }) {
  return {
    stackName: config.STACK_NAME,
    owners: new S3Owners(createS3Client(), { bucket: config.BUCKET_NAME }),
  };
}
