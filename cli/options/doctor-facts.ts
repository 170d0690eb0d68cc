/** Reads what `doctor` judges, each check by itself: what cannot be read leaves the others. */
import { GetBucketNotificationConfigurationCommand, type S3Client } from '@aws-sdk/client-s3';
import { DescribeSecretCommand } from '@aws-sdk/client-secrets-manager';
import packageJson from '../../package.json' with { type: 'json' };
import { DynamoDBPauses } from '../../src/adapters/dynamodb/pauses.ts';
import { DynamoDBQuota } from '../../src/adapters/dynamodb/quota.ts';
import { RecordVersionError } from '../../src/adapters/dynamodb/record-schemas.ts';
import { DynamoDBShutdowns } from '../../src/adapters/dynamodb/shutdowns.ts';
import { DynamoDBSuspensions } from '../../src/adapters/dynamodb/suspensions.ts';
import { apiKeyOutputSuffix } from '../../src/contract/api-key.ts';
import { apiKeyOf, type BatchRecord } from '../../src/core/model/batch.ts';
import type { Shutdown } from '../../src/core/model/shutdown.ts';
import { tokensLedgerOf } from '../../src/core/scheduling/scopes.ts';
import { POLL_LEASE } from '../../src/core/steps/poll/sweep.ts';
import { SHUTDOWN_RULES } from '../../src/providers/openai/shutdowns.ts';
import { createSecretsManagerClient } from '../../src/runtime/clients.ts';
import type { DoctorFacts, DoctorReadings } from '../view/doctor-checks.ts';
import { pricesOf } from './prices.ts';
import { readQueues } from './queues.ts';
import { listOf, type OpenStack, outputOf } from './stack.ts';
import type { Stores } from './stores.ts';

/** Live batches. */
interface Live {
  waiting: BatchRecord[];
  atOpenAI: BatchRecord[];
}

type Readers = {
  [Name in Exclude<keyof DoctorFacts, 'orphans'>]: (
    stores: Stores,
    live: () => Promise<Live>,
  ) => Promise<DoctorFacts[Name]>;
};

const READERS: Readers = {
  records: readRecordVersions,
  secrets: readSecrets,
  notification: readNotification,
  poll: async ({ jobs }) => ({ at: await jobs.leaseTakenAt(POLL_LEASE) }),
  clock: async ({ openBucket }) => {
    const { client, name } = openBucket();
    return { skewMs: await skewOf(client, name) };
  },
  queues: async ({ stack, openSqs }) => {
    const queues = await readQueues(openSqs(), stack);
    return queues.map(({ name, url, waiting, deadLetters: { messages } }) => ({
      name,
      waiting,
      deadLetters: messages,
      isSource: url !== undefined,
    }));
  },
  suspensions: readSuspensions,
  pauses: async ({ dynamodb }) => new DynamoDBPauses(dynamodb.client, dynamodb).getPauses(),
  forgetting: async ({ jobs }) =>
    (await Array.fromAsync(jobs.listForgetting())).map(({ jobId, input, forgettingAt = 0 }) => ({
      jobId,
      key: input.key,
      since: forgettingAt,
    })),
  version: async ({ stack }) => ({ stack: outputOf(stack, 'Version'), cli: packageJson.version }),
  held: async (_stores, live) => (await live()).waiting.filter(({ hold }) => hold?.at !== undefined),
  atOpenAI: async (_stores, live) =>
    (await live()).atOpenAI.filter(
      ({ hold, remote }) => hold?.reason === 'lost_batch' || remote?.goneAt !== undefined,
    ),
  quota: readResting,
  prices: async () => (await pricesOf({})).statedAt(Date.now()),
  models: readModels,
};

/** Reads all. @param orphans looks at OpenAI, if that is asked for. */
export async function readDoctorFacts(
  stores: Stores,
  orphans?: () => Promise<DoctorFacts['orphans']>,
): Promise<DoctorReadings> {
  let reading: Promise<Live> | undefined;
  const live = (): Promise<Live> => {
    reading ??= readLive(stores);
    return reading;
  };
  const readers = { ...READERS, ...(orphans && { orphans }) };
  const entries = Object.entries(readers).map(async ([name, read]) => [
    name,
    await read(stores, live).then(
      (found) => ({ read: found }),
      (failed: Error) => ({ failed }),
    ),
  ]);
  return Object.fromEntries(await Promise.all(entries)) as DoctorReadings;
}

async function readLive({ jobs }: Stores): Promise<Live> {
  const [waiting, atOpenAI] = await Promise.all([
    Array.fromAsync(jobs.listWaiting()),
    Array.fromAsync(jobs.listAtOpenAI()),
  ]);
  return { waiting, atOpenAI };
}

/** Reads a record of each job and batch that is live. @returns what cannot be read for its version, if anything. */
async function readRecordVersions(
  { jobs, drops }: Stores,
  live: () => Promise<Live>,
): Promise<DoctorFacts['records']> {
  try {
    const routes = await drops.listDropRoutes();
    await Promise.all([live(), Array.fromAsync(jobs.listLiveJobs(routes))]);
    return { unknown: undefined };
  } catch (error) {
    // A listing gives all readable records first, and then names the first unreadable one as the cause.
    const { cause = error, message } = error as Error;
    if (cause instanceof RecordVersionError) return { unknown: message };
    throw error;
  }
}

/** The secrets of the API keys, as the outputs of the stack name them; none of a stopped one. */
function secretsOf({
  outputs,
}: Pick<OpenStack, 'outputs'>): { apiKey: string; arn: string; command: string }[] {
  return listOf(outputs, 'ApiKeys').flatMap((apiKey) => {
    const command = outputs[`SetApiKeyCommand${apiKeyOutputSuffix(apiKey)}`];
    const arn = / --secret-id (\S+)/.exec(command ?? '')?.[1];
    return command === undefined || arn === undefined ? [] : [{ apiKey, arn, command }];
  });
}

/**
 * A secret that was set has a version from before, what the deployment put there: Secrets Manager moves AWSPREVIOUS to
 * it when a value is put, and never before that. When it was last changed says less: tags and rotation change it, too.
 */
async function readSecrets({ stack }: Stores): Promise<DoctorFacts['secrets']> {
  const client = createSecretsManagerClient(stack.connectionTo('secretsManager'));
  try {
    outputOf(stack, 'ApiKeys');
    return await Promise.all(
      secretsOf(stack).map(async ({ apiKey, arn, command }) => {
        const { VersionIdsToStages = {} } = await client.send(new DescribeSecretCommand({ SecretId: arn }));
        const isSet = Object.values(VersionIdsToStages).some((stages) => stages.includes('AWSPREVIOUS'));
        return { apiKey, isSet, command };
      }),
    );
  } finally {
    client.destroy();
  }
}

async function readNotification({ stack, openBucket }: Stores): Promise<DoctorFacts['notification']> {
  const { client, name: bucket } = openBucket();
  const { EventBridgeConfiguration } = await client.send(
    new GetBucketNotificationConfigurationCommand({ Bucket: bucket }),
  );
  const command =
    stack.outputs.EnableEventBridgeKeepingOthersCommand ??
    `aws s3api put-bucket-notification-configuration --bucket ${bucket} --notification-configuration '{"EventBridgeConfiguration":{}}'`;
  return { bucket, isOn: EventBridgeConfiguration !== undefined, command };
}

/** How far this clock is ahead of that of S3, ms. The client must not be used for anything else. */
async function skewOf(client: S3Client, bucket: string): Promise<number | undefined> {
  let date: string | undefined;
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      date = (result.response as { headers?: Record<string, string> }).headers?.date;
      return result;
    },
    { step: 'deserialize', priority: 'low' },
  );
  await client.send(new GetBucketNotificationConfigurationCommand({ Bucket: bucket }));
  return date === undefined ? undefined : Date.now() - Date.parse(date);
}

async function readSuspensions(
  { stack, dynamodb }: Stores,
  live: () => Promise<Live>,
): Promise<DoctorFacts['suspensions']> {
  const store = new DynamoDBSuspensions(dynamodb.client, dynamodb);
  const { waiting, atOpenAI } = await live();
  const secrets = new Map(secretsOf(stack).map(({ apiKey, command }) => [apiKey, command]));
  const keys = new Set(['default', ...secrets.keys(), ...[...waiting, ...atOpenAI].map(apiKeyOf)]);
  const found = (await Promise.all([...keys].map((apiKey) => store.getSuspensions(apiKey)))).flat();
  return found.map((suspension) => {
    const isKey = !suspension.scope.includes('/') && /key/.test(suspension.reason);
    return {
      ...suspension,
      command: isKey ? secrets.get(suspension.scope) : `batchdrop resume --scope ${suspension.scope}`,
    };
  });
}

/** The ledgers of enqueued tokens that live batches are on. */
async function readResting({ dynamodb }: Stores, live: () => Promise<Live>): Promise<DoctorFacts['quota']> {
  const { waiting, atOpenAI } = await live();
  const quota = new DynamoDBQuota(dynamodb.client, dynamodb);
  const byLedger = new Map([...waiting, ...atOpenAI].map((batch) => [tokensLedgerOf(batch), batch]));
  const found = await Promise.all(
    [...byLedger].map(async ([name, batch]) => {
      const restsUntil = (await quota.getLedger(name))?.pausedUntil ?? 0;
      return { model: batch.model, apiKey: apiKeyOf(batch), restsUntil };
    }),
  );
  return found.filter(({ restsUntil }) => restsUntil > 0);
}

/** The models of live batches that have an end, by the page of deprecations or OpenAI's list of models. */
async function readModels({ dynamodb }: Stores, live: () => Promise<Live>): Promise<DoctorFacts['models']> {
  const { waiting, atOpenAI } = await live();
  const store = new DynamoDBShutdowns(dynamodb.client, dynamodb);
  const byKey = Map.groupBy([...waiting, ...atOpenAI], apiKeyOf);
  const found = new Map<string, Shutdown>();
  for (const [apiKey, batches] of byKey) {
    const dates = (await store.getShutdowns(apiKey))?.dates ?? {};
    for (const { model } of batches) {
      const known = SHUTDOWN_RULES.shutdownOf(model);
      const date = dates[model] ?? known?.date;
      if (date !== undefined) found.set(model, { date, replacements: known?.replacements ?? [] });
    }
  }
  return [...found].map(([model, shutdown]) => ({ model, shutdown }));
}
