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
import { life } from './life.ts';

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

/** One try of a small call in all, its answer's body included, however it trickles. */
const QUICK_TRY_MS = 20_000;

/** What is used of an SDK client's transport. */
interface Transport {
  handle(request: never, options?: { abortSignal?: AbortSignal }): Promise<unknown>;
}

/**
 * Makes each try of each call end with the invocation that it is made in.
 * @param tryMs what else it may take at most. Default: no limit, as for the body of a large object.
 */
function boundByLife<Client extends { config: object }>(
  client: Client,
  tryMs = Number.POSITIVE_INFINITY,
): Client {
  const { requestHandler } = client.config as { requestHandler: Transport };
  const handle = requestHandler.handle.bind(requestHandler);
  requestHandler.handle = async (request, options = {}) => {
    const ms = Math.min(tryMs, life.remainingMs());
    if (ms === Number.POSITIVE_INFINITY) return handle(request, options);
    const limit = AbortSignal.timeout(Math.max(0, Math.floor(ms)));
    const abortSignal = AbortSignal.any([...(options.abortSignal ? [options.abortSignal] : []), limit]);
    try {
      return await handle(request, { ...options, abortSignal });
    } catch (error) {
      if (!limit.aborted || options.abortSignal?.aborted) throw error;
      // A name by which the SDK tries again, as long as there is time.
      const message = `no answer after ${Math.round(ms / 1000)} s`;
      throw Object.assign(new Error(message, { cause: error }), { name: 'TimeoutError' });
    }
  };
  return client;
}

const quickCalls = {
  maxAttempts: MAX_ATTEMPTS,
  requestHandler: {
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    throwOnRequestTimeout: true,
  },
};

export function createS3Client(connection: Connection = {}): S3Client {
  const client = new S3Client({
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      socketTimeout: TRANSFER_IDLE_TIMEOUT_MS,
      httpAgent: { keepAlive: true, maxSockets: MAX_TRANSFER_SOCKETS },
      httpsAgent: { keepAlive: true, maxSockets: MAX_TRANSFER_SOCKETS },
    },
    ...connection,
  });
  return boundByLife(client);
}

export function createDynamoDBClient(connection: Connection = {}): DynamoDBDocumentClient {
  const client = boundByLife(new DynamoDBClient({ ...quickCalls, ...connection }), QUICK_TRY_MS);
  return DynamoDBDocumentClient.from(client, {
    marshallOptions: { removeUndefinedValues: true },
  });
}

export function createSqsClient(connection: Connection = {}): SQSClient {
  const client = new SQSClient({
    ...quickCalls,
    // The SDK would otherwise send to the host of the queue URL, past a local endpoint.
    useQueueUrlAsEndpoint: false,
    ...connection,
  });
  return boundByLife(client, QUICK_TRY_MS);
}

export function createEventBridgeClient(connection: Connection = {}): EventBridgeClient {
  return boundByLife(new EventBridgeClient({ ...quickCalls, ...connection }), QUICK_TRY_MS);
}

export function createSecretsManagerClient(connection: Connection = {}): SecretsManagerClient {
  return boundByLife(new SecretsManagerClient({ ...quickCalls, ...connection }), QUICK_TRY_MS);
}
