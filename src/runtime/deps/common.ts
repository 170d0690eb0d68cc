/**
 * What every capability works with. Each capability has a file here, the only place where its adapters are built; one
 * file each, so that a function's bundle holds only what it uses. Nothing connects before it is used.
 */
import type * as z from 'zod';
import { DynamoDBDropTurns } from '../../adapters/dynamodb/drop-turns.ts';
import { DynamoDBJobs } from '../../adapters/dynamodb/jobs.ts';
import { DynamoDBPauses } from '../../adapters/dynamodb/pauses.ts';
import { DynamoDBQuota } from '../../adapters/dynamodb/quota.ts';
import { DynamoDBShutdowns } from '../../adapters/dynamodb/shutdowns.ts';
import { DynamoDBSuspensions } from '../../adapters/dynamodb/suspensions.ts';
import { S3Objects } from '../../adapters/s3/objects.ts';
import { SqsOutbox } from '../../adapters/sqs-outbox.ts';
import type { ingestEnv } from '../../contract/env.ts';
import { requireOwnershipProof } from '../../core/lifecycle/ownership.ts';
import { COMMON_RULES } from '../../providers/openai/common-rules.ts';
import { sleep, systemAmbient } from '../ambient.ts';
import { createDynamoDBClient, createS3Client, createSqsClient } from '../clients.ts';
import { readSettingsFile } from '../settings-file.ts';

type CommonConfig = Pick<
  z.output<typeof ingestEnv>,
  | 'STACK_ID'
  | 'TABLE_NAME'
  | 'BUCKET_NAME'
  | 'SETTINGS_FILE'
  | 'INGEST_QUEUE_URL'
  | 'SUBMIT_QUEUE_URL'
  | 'CALL_QUEUE_URL'
  | 'COLLECT_QUEUE_URL'
  | 'FINALIZE_QUEUE_URL'
> & { OBSERVE_QUEUE_URL?: string | undefined };

export function commonDeps(config: CommonConfig) {
  const table = { table: config.TABLE_NAME };
  const dynamodb = createDynamoDBClient();
  const settings = readSettingsFile(config.SETTINGS_FILE);
  const rules = requireOwnershipProof(COMMON_RULES);
  return {
    stackId: config.STACK_ID,
    bucket: config.BUCKET_NAME,
    settings,
    rules,
    limits: rules.limits,
    objects: new S3Objects(createS3Client(), { bucket: config.BUCKET_NAME }),
    jobs: new DynamoDBJobs(dynamodb, table),
    quota: new DynamoDBQuota(dynamodb, table),
    drops: new DynamoDBDropTurns(dynamodb, table),
    pauses: new DynamoDBPauses(dynamodb, table),
    shutdowns: new DynamoDBShutdowns(dynamodb, table),
    suspensions: new DynamoDBSuspensions(dynamodb, table),
    outbox: new SqsOutbox(createSqsClient(), {
      ingest: config.INGEST_QUEUE_URL,
      submit: config.SUBMIT_QUEUE_URL,
      call: config.CALL_QUEUE_URL,
      collect: config.COLLECT_QUEUE_URL,
      finalize: config.FINALIZE_QUEUE_URL,
      observe: config.OBSERVE_QUEUE_URL,
    }),
    ambient: systemAmbient,
    heartbeat: sleep,
  };
}
