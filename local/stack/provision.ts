/** Makes the resources that are not there yet; what is there is kept with its content. */

import { isDeepStrictEqual } from 'node:util';
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  DynamoDBClient,
  ResourceNotFoundException,
  type TableDescription,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import {
  CreateBucketCommand,
  HeadBucketCommand,
  NotFound,
  PutBucketNotificationConfigurationCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { freeAllLeases } from '../../src/adapters/dynamodb/free-leases.ts';
import { LIVE_INDEX } from '../../src/contract/table.ts';
import { createDynamoDBClient } from '../../src/runtime/clients.ts';
import type { BucketPlan, TablePlan } from './plan.ts';

/** How to reach a local service. */
export interface ServiceAccess {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
}

/** Makes the buckets, with versioning and events as planned. */
export async function ensureBuckets(buckets: readonly BucketPlan[], access: ServiceAccess): Promise<void> {
  const s3 = new S3Client(access);
  try {
    for (const { name, isVersioned, sendsEvents } of buckets) {
      const isThere = await s3.send(new HeadBucketCommand({ Bucket: name })).then(
        () => true,
        (error) => {
          if (error instanceof NotFound) return false;
          throw error;
        },
      );
      if (!isThere) await s3.send(new CreateBucketCommand({ Bucket: name }));
      if (isVersioned) {
        await s3.send(
          new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: { Status: 'Enabled' } }),
        );
      }
      await s3.send(
        new PutBucketNotificationConfigurationCommand({
          Bucket: name,
          NotificationConfiguration: sendsEvents ? { EventBridgeConfiguration: {} } : {},
        }),
      );
    }
  } finally {
    s3.destroy();
  }
}

/**
 * Makes the tables.
 *
 * @throws when a table is there with other keys or indexes: it was made from another template
 */
export async function ensureTables(
  tables: readonly TablePlan[],
  access: ServiceAccess,
  stateFolder: string,
): Promise<void> {
  const dynamodb = new DynamoDBClient(access);
  try {
    for (const { name, definition, ttlAttribute } of tables) {
      const existing = await describeTable(dynamodb, name);
      if (existing === undefined) {
        await dynamodb.send(new CreateTableCommand(definition as unknown as CreateTableCommandInput));
      } else if (!isDeepStrictEqual(shapeOf(existing), shapeOf(definition as TableDescription))) {
        throw new Error(
          `The table "${name}" in ${stateFolder} has other keys or indexes than the synthesized template: it was made ` +
            'by another version of the stack. Remove the folder, or start with an empty one.',
        );
      }
      if (ttlAttribute !== undefined) {
        await dynamodb.send(
          new UpdateTimeToLiveCommand({
            TableName: name,
            TimeToLiveSpecification: { AttributeName: ttlAttribute, Enabled: true },
          }),
        );
      }
    }
  } finally {
    dynamodb.destroy();
  }
}

/**
 * Frees the leases of functions that are dead, in tables made as the pipeline's is.
 *
 * @param now in milliseconds since 1970, as the functions see it
 */
export async function freeDeadClaims(
  tables: readonly TablePlan[],
  access: ServiceAccess,
  now: number,
): Promise<void> {
  const dynamodb = createDynamoDBClient(access);
  try {
    for (const { name, definition } of tables) {
      const { GlobalSecondaryIndexes = [] } = definition as TableDescription;
      if (GlobalSecondaryIndexes.some(({ IndexName }) => IndexName === LIVE_INDEX))
        await freeAllLeases(dynamodb, { table: name }, now);
    }
  } finally {
    dynamodb.destroy();
  }
}

async function describeTable(dynamodb: DynamoDBClient, name: string): Promise<TableDescription | undefined> {
  try {
    return (await dynamodb.send(new DescribeTableCommand({ TableName: name }))).Table;
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

function shapeOf({ KeySchema, GlobalSecondaryIndexes = [], LocalSecondaryIndexes = [] }: TableDescription) {
  const indexes = [...GlobalSecondaryIndexes, ...LocalSecondaryIndexes].map((index) => ({
    name: index.IndexName,
    keys: index.KeySchema?.map((key) => ({ ...key })),
    projection: { ...index.Projection },
  }));
  return {
    keys: KeySchema?.map((key) => ({ ...key })),
    indexes: indexes.sort((left, right) => String(left.name).localeCompare(String(right.name))),
  };
}
