/** The state of a local stack that is not running, for commands that read it or change its records. */
import { join } from 'node:path';
import { ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { ListBucketsCommand } from '@aws-sdk/client-s3';
import { defined } from '../../src/core/base/defined.ts';
import { createDynamoDBClient, createS3Client } from '../../src/runtime/clients.ts';
import { startDynamoDb } from '../services/dynamodb/server.ts';
import { startS3 } from '../services/s3/server.ts';
import { REGION } from './account.ts';
import { OPERATOR } from './callers.ts';
import { accessTo } from './services.ts';
import { openStateFolder } from './state-folder.ts';

/** Its table and its bucket, served by this process. */
export interface StoppedStack {
  /** The region that both take themselves to be in. */
  region: string;
  /** Where they listen: `http://127.0.0.1:PORT`. */
  endpoints: { s3: string; dynamodb: string };
  /** Of the person at the machine: may do everything. */
  credentials: { accessKeyId: string; secretAccessKey: string };
  /** `TableName` and `BucketName`, where they were made. */
  outputs: Record<string, string>;
  /** Ends both and lets others use the state, which stays. */
  close(): Promise<void>;
}

/**
 * Serves the table and the bucket of the state, and keeps others from running a stack on it meanwhile.
 * @param stateDir as `batchdrop local` takes it.
 * @throws if a stack runs on it.
 */
export async function openStoppedStack(stateDir: string): Promise<StoppedStack> {
  const folder = openStateFolder(join(stateDir, 'aws'));
  /** Ends what has been started, the latest first. */
  const started: (() => unknown)[] = [folder.release];
  const close = async (): Promise<void> => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    const dynamodb = await startDynamoDb({ dir: folder.path('dynamodb') });
    started.push(dynamodb.close);
    const s3 = await startS3({
      dir: folder.path('s3'),
      credentials: { [OPERATOR.accessKeyId]: OPERATOR.secretAccessKey },
      region: REGION,
      // What is not delivered yet stays so: the next run delivers it.
      onEvent: () => {
        throw new Error('no stack is running');
      },
    });
    started.push(s3.close);
    const endpoints = { s3: s3.endpoint, dynamodb: dynamodb.endpoint };
    return { region: REGION, endpoints, credentials: OPERATOR, outputs: await outputsOf(endpoints), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function outputsOf(endpoints: StoppedStack['endpoints']): Promise<Record<string, string>> {
  const dynamodb = createDynamoDBClient(accessTo(endpoints.dynamodb));
  const s3 = createS3Client(accessTo(endpoints.s3));
  try {
    const { TableNames = [] } = await dynamodb.send(new ListTablesCommand({}));
    const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
    const [table, bucket] = [TableNames[0], Buckets[0]?.Name];
    return defined({
      TableName: table,
      BucketName: bucket,
    });
  } finally {
    dynamodb.destroy();
    s3.destroy();
  }
}
