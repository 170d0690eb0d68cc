/** The state of a local stack that is not running, as commands read it: filled by a test, removed at its end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import { onTestFinished, vi } from 'vitest';
import { openStoppedStack } from '../../local/stack/stopped-stack.ts';
import { DynamoDBIgnoredDrops } from '../../src/adapters/dynamodb/ignored-drops.ts';
import { DynamoDBJobIndex } from '../../src/adapters/dynamodb/job-index.ts';
import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { DynamoDBSuspensions } from '../../src/adapters/dynamodb/suspensions.ts';
import { createDynamoDBClient, createS3Client } from '../../src/runtime/clients.ts';
import { startLocalDynamoDB, TABLE } from './local-dynamodb.ts';

/** Name of its bucket. */
export const DROPS = 'drops';

/** What a test fills it through. */
export interface StateToFill {
  jobs: DynamoDBJobs;
  index: DynamoDBJobIndex;
  ignoredDrops: DynamoDBIgnoredDrops;
  suspensions: DynamoDBSuspensions;
  s3: S3Client;
}

/** @returns the folder, for `--state`. */
export async function stoppedState(fill: (state: StateToFill) => Promise<void>): Promise<string> {
  const state = await mkdtemp(join(tmpdir(), 'batchdrop-stopped-'));
  onTestFinished(() => rm(state, { recursive: true, force: true }));
  const made = await startLocalDynamoDB(join(state, 'aws', 'dynamodb'));
  await made.close();
  const stack = await openStoppedStack(state);
  const { region, credentials, endpoints } = stack;
  const s3 = createS3Client({ region, credentials, endpoint: endpoints.s3 });
  const dynamodb = createDynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  try {
    await s3.send(new CreateBucketCommand({ Bucket: DROPS }));
    const names = { table: TABLE };
    await fill({
      jobs: new DynamoDBJobs(dynamodb, names),
      index: new DynamoDBJobIndex(dynamodb, names),
      ignoredDrops: new DynamoDBIgnoredDrops(dynamodb, names),
      suspensions: new DynamoDBSuspensions(dynamodb, names),
      s3,
    });
  } finally {
    s3.destroy();
    dynamodb.destroy();
    await stack.close();
  }
  return state;
}

/** What commands print from here on, to the end of the test. */
export function printed(): string[] {
  const lines: string[] = [];
  const spy = vi.spyOn(console, 'log').mockImplementation((line: string) => lines.push(line));
  onTestFinished(() => spy.mockRestore());
  return lines;
}
