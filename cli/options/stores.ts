/** What a stack has stored, for commands that read it with the operator's own credentials. */

import type { S3Client } from '@aws-sdk/client-s3';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DynamoDBDropTurns } from '../../src/adapters/dynamodb/drop-turns.ts';
import { DynamoDBIgnoredDrops } from '../../src/adapters/dynamodb/ignored-drops.ts';
import { DynamoDBJobIndex } from '../../src/adapters/dynamodb/job-index.ts';
import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { S3Objects } from '../../src/adapters/s3/objects.ts';
import { createDynamoDBClient, createS3Client, createSqsClient } from '../../src/runtime/clients.ts';
import { type OpenStack, openStack, outputOf, type StackOptions, stackError } from './stack.ts';

/** The stores of a stack. */
export interface Stores {
  stack: OpenStack;
  jobs: DynamoDBJobs;
  index: DynamoDBJobIndex;
  ignoredDrops: DynamoDBIgnoredDrops;
  drops: DynamoDBDropTurns;
  /** For other stores of the same table. */
  dynamodb: { client: DynamoDBDocumentClient; table: string };
  /** @throws {UsageError} if a stopped local stack does not serve it. */
  openSqs(): SQSClient;
  /** The bucket. @throws {UsageError} if the stack does not name one. */
  openBucket(): { name: string; objects: S3Objects; client: S3Client };
}

/**
 * Opens the stack that the options name, does the work, and closes it.
 * @throws what the work throws, with the stack that it is about.
 */
export async function withStores<Result>(
  options: StackOptions,
  work: (stores: Stores) => Promise<Result>,
): Promise<Result> {
  const stack = await openStack(options, process.env);
  /** Ends what has been opened. */
  const opened: (() => void)[] = [];
  try {
    const client = createDynamoDBClient(stack.connectionTo('dynamodb'));
    opened.push(() => client.destroy());
    const table = outputOf(stack, 'TableName');
    return await work({
      stack,
      jobs: new DynamoDBJobs(client, { table }),
      index: new DynamoDBJobIndex(client, { table }),
      ignoredDrops: new DynamoDBIgnoredDrops(client, { table }),
      drops: new DynamoDBDropTurns(client, { table }),
      dynamodb: { client, table },
      openSqs() {
        const sqs = createSqsClient(stack.connectionTo('sqs'));
        opened.push(() => sqs.destroy());
        return sqs;
      },
      openBucket() {
        const name = outputOf(stack, 'BucketName');
        const s3 = createS3Client(stack.connectionTo('s3'));
        opened.push(() => s3.destroy());
        return { name, objects: new S3Objects(s3, { bucket: name }), client: s3 };
      },
    });
  } catch (error) {
    throw stackError(error as Error, stack);
  } finally {
    for (const end of opened) end();
    await stack.close();
  }
}
