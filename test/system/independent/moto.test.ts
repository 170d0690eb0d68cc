/** The contracts on moto's DynamoDB, S3 and SQS, which share no code with the local services. */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll } from 'vitest';
import { S3Objects } from '../../../src/adapters/s3/objects.ts';
import { S3Owners } from '../../../src/adapters/s3/owners.ts';
import { S3_SIZES } from '../../../src/adapters/s3/sizes.ts';
import { SqsOutbox } from '../../../src/adapters/sqs-outbox.ts';
import { createDynamoDBClient, createS3Client, createSqsClient } from '../../../src/runtime/clients.ts';
import { describeObjectStore, SMALL_PART_BYTES } from '../../support/contracts/object-store.suite.ts';
import { describeOutbox } from '../../support/contracts/outbox.suite.ts';
import { describeOwnersStore } from '../../support/contracts/owners-store.suite.ts';
import { createTable } from '../../support/local-dynamodb.ts';
import { type Moto, startMoto } from '../moto/moto.ts';
import { describeDynamoDBStores } from './dynamodb-contracts.ts';
import { expectDifferences, OF_MOTO } from './known-differences.ts';

let moto: Moto;
/** One whose S3 takes small parts. */
let smallParts: Moto;
let made = 0;
const freshName = (): string => {
  made += 1;
  return `batchdrop-${made}`;
};

beforeAll(async () => {
  [moto, smallParts] = await Promise.all([startMoto(), startMoto({ minPartBytes: SMALL_PART_BYTES })]);
});
afterAll(async () => {
  await Promise.all([moto?.close(), smallParts?.close()]);
});

expectDifferences(OF_MOTO);

// moto copies all tables for each transaction: 1,100 batches would take it minutes.
describeDynamoDBStores(
  'moto',
  async () => {
    const table = freshName();
    const client = createDynamoDBClient(moto.connection);
    await createTable(client, table);
    return { client, table, close: async () => client.destroy() };
  },
  { manyBatches: 110 },
);

async function newBucket({ connection }: Moto, isVersioned: boolean, bucket = freshName()) {
  const client = createS3Client(connection);
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  if (isVersioned) {
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
  }
  return { client, bucket };
}

for (const isVersioned of [true, false]) {
  const which = `moto ${isVersioned ? 'with' : 'without'} versions`;

  describeObjectStore(which, async () => {
    const { client, bucket } = await newBucket(moto, isVersioned);
    const small = await newBucket(smallParts, isVersioned, bucket);
    const sizes = {
      ...S3_SIZES,
      minPartBytes: SMALL_PART_BYTES,
      firstPartBytes: 1.5 * SMALL_PART_BYTES,
      copyPartBytes: 3 * SMALL_PART_BYTES,
    };
    return {
      objects: new S3Objects(client, { bucket }),
      inSmallParts: new S3Objects(small.client, small, sizes),
      bucket,
      isVersioned,
      putWithMetadata: (Key, Body, Metadata) =>
        client.send(new PutObjectCommand({ Bucket: bucket, Key, Body, Metadata })),
      countOpenUploads: async () => {
        const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
        return Uploads?.length ?? 0;
      },
      close: async () => {
        client.destroy();
        small.client.destroy();
      },
    };
  });

  describeOwnersStore(which, async () => {
    const { client, bucket } = await newBucket(moto, isVersioned);
    return {
      owners: new S3Owners(client, { bucket }),
      remove: async () => {
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: '.batchdrop/owners.json' }));
      },
      close: async () => client.destroy(),
    };
  });
}

describeOutbox('moto', async () => {
  const client = createSqsClient(moto.connection);
  const urlOf = async (QueueName: string) =>
    (await client.send(new CreateQueueCommand({ QueueName }))).QueueUrl!;
  const urls = {
    ingest: await urlOf('ingest'),
    submit: await urlOf('submit'),
    call: await urlOf('call'),
    collect: await urlOf('collect'),
    finalize: await urlOf('finalize'),
    observe: await urlOf('observe'),
  };
  return {
    outbox: new SqsOutbox(client, urls),
    take: async (queue) => {
      const QueueUrl = urls[queue];
      const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl }));
      const { Body, ReceiptHandle } = Messages![0]!;
      await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
      return JSON.parse(Body!);
    },
    held: async (queue) => {
      const { Attributes } = await client.send(
        new GetQueueAttributesCommand({
          QueueUrl: urls[queue],
          AttributeNames: ['ApproximateNumberOfMessagesDelayed'],
        }),
      );
      return Number(Attributes!.ApproximateNumberOfMessagesDelayed);
    },
    close: async () => client.destroy(),
  };
});
