/** What the stack has recorded of what a job waits for. */
import { DynamoDBPauses } from '../../src/adapters/dynamodb/pauses.ts';
import { DynamoDBQuota } from '../../src/adapters/dynamodb/quota.ts';
import { DynamoDBSuspensions } from '../../src/adapters/dynamodb/suspensions.ts';
import { apiKeyOutputSuffix } from '../../src/contract/api-key.ts';
import { apiKeyOf } from '../../src/core/model/batch.ts';
import { type ExplainFacts, ledgersToRead } from '../view/explain.ts';
import { type FoundJob, readRecords } from './find-job.ts';
import { pricesOf } from './prices.ts';
import { readQueues } from './queues.ts';
import type { Stores } from './stores.ts';

/** Reads it: a few items of the table, and the depth of the queues. */
export async function readFacts(stores: Stores, found: Pick<FoundJob, 'key' | 'job'>): Promise<ExplainFacts> {
  const { stack, dynamodb } = stores;
  const { key, job } = found;
  const records = await readRecords(stores, job);
  const quota = new DynamoDBQuota(dynamodb.client, dynamodb);
  const suspensions = new DynamoDBSuspensions(dynamodb.client, dynamodb);
  const now = Date.now();
  const ledgers: [string, NonNullable<Awaited<ReturnType<typeof quota.getLedger>>>][] = [];
  for (const name of ledgersToRead(records, now)) {
    const ledger = await quota.getLedger(name);
    if (ledger !== undefined) ledgers.push([name, ledger]);
  }
  const keys = new Set(records.batches.map(apiKeyOf));
  return {
    key,
    records,
    ledgers: new Map(ledgers),
    suspensions: (await Promise.all([...keys].map((apiKey) => suspensions.getSuspensions(apiKey)))).flat(),
    pauses: await new DynamoDBPauses(dynamodb.client, dynamodb).getPauses(),
    backlog: await quota.getBacklog(),
    deadLetters: await readDeadLetters(stores),
    setKeyCommandOf: (apiKey) => stack.outputs[`SetApiKeyCommand${apiKeyOutputSuffix(apiKey)}`],
    prices: await pricesOf({}),
    now,
  };
}

/** Queues with dead letters; none of a stack that is not running. What may not be read is said, and left out. */
async function readDeadLetters({ stack, openSqs }: Stores): Promise<ExplainFacts['deadLetters']> {
  if (stack.kind === 'stopped') return [];
  try {
    const states = await readQueues(openSqs(), stack);
    return states.flatMap(({ name: queue, deadLetters: { messages } }) =>
      messages === 0 ? [] : [{ queue, messages }],
    );
  } catch (error) {
    console.error(`batchdrop: dead letters cannot be looked at (${(error as Error).name})`);
    return [];
  }
}
