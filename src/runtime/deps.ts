/**
 * What each capability works with: the only place where adapters are built. Call once per process, at cold start;
 * nothing connects before it is used.
 */
import type { z } from 'zod';
import { ApiKey } from '../adapters/api-key.ts';
import { DynamoDBJobs } from '../adapters/dynamodb-jobs.ts';
import { EventBridgeEvents } from '../adapters/eventbridge-events.ts';
import { OpenAIBatches } from '../adapters/openai-batches.ts';
import { S3Objects } from '../adapters/s3-objects.ts';
import { type QueueUrls, SqsOutbox } from '../adapters/sqs-outbox.ts';
import { TmpScratch } from '../adapters/tmp-scratch.ts';
import type { collectEnv, finalizeEnv, ingestEnv, pollEnv, submitEnv } from '../contract/env.ts';
import { OPENAI_LIMITS } from '../core/limits.ts';
import type { BatchApi } from '../core/ports.ts';
import { systemAmbient } from './ambient.ts';
import {
  createDynamoDBClient,
  createEventBridgeClient,
  createOpenAIClient,
  createS3Client,
  createSecretsManagerClient,
  createSqsClient,
} from './clients.ts';

type CommonConfig = Pick<z.output<typeof ingestEnv>, 'STACK_ID' | 'TABLE_NAME' | 'BUCKET_NAME' | 'SETTINGS'>;

export function createIngestDeps(config: z.output<typeof ingestEnv>) {
  return commonDeps(config, {
    ingest: config.INGEST_QUEUE_URL,
    submit: config.SUBMIT_QUEUE_URL,
    finalize: config.FINALIZE_QUEUE_URL,
  });
}

export function createSubmitDeps(config: z.output<typeof submitEnv>) {
  return { ...commonDeps(config, { submit: config.SUBMIT_QUEUE_URL }), batches: createBatchApi(config) };
}

export function createPollDeps(config: z.output<typeof pollEnv>) {
  return {
    ...commonDeps(config, {
      ingest: config.INGEST_QUEUE_URL,
      submit: config.SUBMIT_QUEUE_URL,
      collect: config.COLLECT_QUEUE_URL,
      finalize: config.FINALIZE_QUEUE_URL,
    }),
    batches: createBatchApi(config),
  };
}

export function createCollectDeps(config: z.output<typeof collectEnv>) {
  return {
    ...commonDeps(config, {
      collect: config.COLLECT_QUEUE_URL,
      submit: config.SUBMIT_QUEUE_URL,
      finalize: config.FINALIZE_QUEUE_URL,
    }),
    batches: createBatchApi(config),
    scratch: new TmpScratch(),
  };
}

export function createFinalizeDeps(config: z.output<typeof finalizeEnv>) {
  return {
    ...commonDeps(config, { submit: config.SUBMIT_QUEUE_URL, finalize: config.FINALIZE_QUEUE_URL }),
    batches: createBatchApi(config),
    events: new EventBridgeEvents(createEventBridgeClient(), { eventBus: config.EVENT_BUS_NAME }),
  };
}

function commonDeps(config: CommonConfig, queueUrls: QueueUrls) {
  return {
    stackId: config.STACK_ID,
    bucket: config.BUCKET_NAME,
    settings: config.SETTINGS,
    limits: OPENAI_LIMITS,
    objects: new S3Objects(createS3Client(), { bucket: config.BUCKET_NAME }),
    jobs: new DynamoDBJobs(createDynamoDBClient(), { table: config.TABLE_NAME }),
    outbox: new SqsOutbox(createSqsClient(), queueUrls),
    ambient: systemAmbient,
  };
}

/** The key is read when the first request is sent, and again when it is five minutes old. */
function createBatchApi(config: {
  API_KEY_SECRET_ARN: string;
  OPENAI_BASE_URL?: string | undefined;
}): BatchApi {
  const apiKey = new ApiKey(
    createSecretsManagerClient(),
    { secretArn: config.API_KEY_SECRET_ARN },
    systemAmbient.now,
  );
  return new OpenAIBatches(createOpenAIClient(async () => (await apiKey.read()).key, config.OPENAI_BASE_URL));
}
