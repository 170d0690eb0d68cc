/** What a stack has stored, for commands that read it with the operator's own credentials. */
import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { S3Objects } from '../../src/adapters/s3/objects.ts';
import { createDynamoDBClient, createS3Client } from '../../src/runtime/clients.ts';
import { type OpenStack, openStack, outputOf, type StackOptions, stackError } from './stack.ts';

/** The stores of a stack. */
export interface Stores {
  stack: OpenStack;
  jobs: DynamoDBJobs;
  /** The bucket. @throws {UsageError} if the stack does not name one. */
  openBucket(): { name: string; objects: S3Objects };
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
    const dynamodb = createDynamoDBClient(stack.connectionTo('dynamodb'));
    opened.push(() => dynamodb.destroy());
    return await work({
      stack,
      jobs: new DynamoDBJobs(dynamodb, { table: outputOf(stack, 'TableName') }),
      openBucket() {
        const name = outputOf(stack, 'BucketName');
        const s3 = createS3Client(stack.connectionTo('s3'));
        opened.push(() => s3.destroy());
        return { name, objects: new S3Objects(s3, { bucket: name }) };
      },
    });
  } catch (error) {
    throw stackError(error as Error, stack);
  } finally {
    for (const end of opened) end();
    await stack.close();
  }
}
