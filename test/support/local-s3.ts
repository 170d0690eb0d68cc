import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type S3Options, startS3 } from '../../local/services/s3/server.ts';
import { createS3Client } from '../../src/runtime/clients.ts';

export const BUCKET = 'batchdrop-test';
export const CREDENTIALS = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' };
export const REGION = 'us-east-1';

/** A local S3 with one bucket, in a folder of its own. */
export async function startLocalS3(options: {
  versioning?: 'Enabled' | 'Suspended';
  minPartBytes?: number;
  onCall?: S3Options['onCall'];
}): Promise<{
  endpoint: string;
  port: number;
  client: S3Client;
  countOpenUploads(): Promise<number>;
  close(): Promise<void>;
}> {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-s3-'));
  const server = await startS3({
    dir,
    credentials: { [CREDENTIALS.accessKeyId]: CREDENTIALS.secretAccessKey },
    ...(options.minPartBytes === undefined ? {} : { minPartBytes: options.minPartBytes }),
    onCall: options.onCall,
  });
  const client = createS3Client({ endpoint: server.endpoint, region: REGION, credentials: CREDENTIALS });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  if (options.versioning !== undefined) {
    await client.send(
      new PutBucketVersioningCommand({
        Bucket: BUCKET,
        VersioningConfiguration: { Status: options.versioning },
      }),
    );
  }
  return {
    endpoint: server.endpoint,
    port: server.port,
    client,
    countOpenUploads: async () => {
      const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
      return Uploads?.length ?? 0;
    },
    close: async () => {
      client.destroy();
      await server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
