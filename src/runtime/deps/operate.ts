import type * as z from 'zod';
import { DynamoDBJobGraves } from '../../adapters/dynamodb/job-graves.ts';
import { DynamoDBJobIndex } from '../../adapters/dynamodb/job-index.ts';
import { S3Erasure } from '../../adapters/s3/erasure.ts';
import type { operateEnv } from '../../contract/env.ts';
import { createDynamoDBClient, createS3Client } from '../clients.ts';
import { commonDeps } from './common.ts';

export function createOperateDeps(config: z.output<typeof operateEnv>) {
  const common = commonDeps(config);
  const dynamodb = createDynamoDBClient();
  const table = { table: config.TABLE_NAME };
  return {
    ...common,
    inputs: common.objects,
    erasure: new S3Erasure(createS3Client(), { bucket: config.BUCKET_NAME }),
    graves: new DynamoDBJobGraves(dynamodb, table),
    index: new DynamoDBJobIndex(dynamodb, table),
  };
}
