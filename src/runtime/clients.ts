/**
 * The SDK clients, each made once per process by `deps.ts`. Region, credentials and, on a laptop, endpoints
 * (`AWS_ENDPOINT_URL_*`) come from the environment, as the SDK reads it.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';

/** Where a client connects to, if not to where the environment says. */
export interface Connection {
  region?: string;
  endpoint?: string;
  credentials?: { accessKeyId: string; secretAccessKey: string };
}

/** A region that does not take a connection in this time is not going to. */
const CONNECTION_TIMEOUT_MS = 3_000;

/** Tries in all; between them the SDK backs off up to 20 s. What fails then, the queue tries again. */
const MAX_ATTEMPTS = 5;

/** For services whose answers are small and fast. */
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * A transfer that moves no byte for so long is dead, or its reader is slow: the store fetches on where it was.
 */
const TRANSFER_IDLE_TIMEOUT_MS = 60_000;

/** Streams of several batches at a time, their parts and what runs beside them. */
const MAX_TRANSFER_SOCKETS = 64;

const quickCalls = {
  maxAttempts: MAX_ATTEMPTS,
  requestHandler: {
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    throwOnRequestTimeout: true,
  },
};

export function createS3Client(connection: Connection = {}): S3Client {
  return new S3Client({
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      socketTimeout: TRANSFER_IDLE_TIMEOUT_MS,
      httpAgent: { keepAlive: true, maxSockets: MAX_TRANSFER_SOCKETS },
      httpsAgent: { keepAlive: true, maxSockets: MAX_TRANSFER_SOCKETS },
    },
    ...connection,
  });
}

export function createDynamoDBClient(connection: Connection = {}): DynamoDBDocumentClient {
  return DynamoDBDocumentClient.from(new DynamoDBClient({ ...quickCalls, ...connection }), {
    marshallOptions: { removeUndefinedValues: true },
  });
}

export function createSqsClient(connection: Connection = {}): SQSClient {
  return new SQSClient({
    ...quickCalls,
    // The SDK would otherwise send to the host of the queue URL, past a local endpoint.
    useQueueUrlAsEndpoint: false,
    ...connection,
  });
}

export function createEventBridgeClient(connection: Connection = {}): EventBridgeClient {
  return new EventBridgeClient({ ...quickCalls, ...connection });
}

export function createSecretsManagerClient(connection: Connection = {}): SecretsManagerClient {
  return new SecretsManagerClient({ ...quickCalls, ...connection });
}
