/** `batchdrop explain KEY|JOB`: why a job waits, since when, what would move it, and the command for that. */
import { DynamoDBQuota } from '../../src/adapters/dynamodb/quota.ts';
import { DynamoDBSuspensions } from '../../src/adapters/dynamodb/suspensions.ts';
import { apiKeyOf } from '../../src/core/model/batch.ts';
import { findJob, NoSuchJobError, readRecords } from '../options/find-job.ts';
import { pricesOf } from '../options/prices.ts';
import { queueUrls, readQueue } from '../options/queues.ts';
import type { StackOptions } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { EXIT_CANNOT_RUN, EXIT_SUCCEEDED } from '../view/exit.ts';
import { type ExplainFacts, explain, explanationText, ledgersToRead, withStack } from '../view/explain.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop explain`. */
export interface ExplainOptions extends StackOptions {
  json?: boolean;
}

/** @returns the exit status: 0, or 1 if there is no such job. */
export async function explainJob(named: string, options: ExplainOptions): Promise<number> {
  return withStores(options, async (stores) => {
    try {
      const facts = await readFacts(stores, named);
      const explanation = explain(facts);
      const flags = stackFlags(options);
      const withFlags = {
        ...explanation,
        waits: explanation.waits.map((wait) =>
          wait.command === undefined ? wait : { ...wait, command: withStack(wait.command, flags) },
        ),
      };
      const shown = options.json
        ? JSON.stringify(withFlags)
        : explanationText(withFlags, facts.now, terminalWidth(process.stdout));
      console.log(shown);
      return EXIT_SUCCEEDED;
    } catch (error) {
      if (!(error instanceof NoSuchJobError)) throw error;
      console.error(`batchdrop: ${error.message}`);
      return EXIT_CANNOT_RUN;
    }
  });
}

async function readFacts(stores: Stores, named: string): Promise<ExplainFacts> {
  const { stack, dynamodb } = stores;
  const { key, job } = await findJob(stores, named);
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
    pauses: [],
    backlog: await quota.getBacklog(),
    deadLetters: await readDeadLetters(stores),
    setKeyCommandOf: (apiKey) => stack.outputs[setKeyOutput(apiKey)],
    prices: await pricesOf({}),
    now,
  };
}

/** Queues with dead letters; none of a stack that is not running. What may not be read is said, and left out. */
async function readDeadLetters({ stack, openSqs }: Stores): Promise<ExplainFacts['deadLetters']> {
  if (stack.kind === 'stopped') return [];
  try {
    const sqs = openSqs();
    const states = await Promise.all([...queueUrls(stack)].map(([name, url]) => readQueue(sqs, name, url)));
    return states.flatMap(({ name: queue, deadLetters: { messages } }) =>
      messages === 0 ? [] : [{ queue, messages }],
    );
  } catch (error) {
    console.error(`batchdrop: dead letters cannot be looked at (${(error as Error).name})`);
    return [];
  }
}

/** The output with the command that sets an API key, see `lib/pipeline-stack.ts`. */
function setKeyOutput(apiKey: string): string {
  const suffix = apiKey.replaceAll(/(?:^|-)+([a-z0-9]?)/g, (_, first: string) => first.toUpperCase());
  return `SetApiKeyCommand${apiKey === 'default' ? '' : suffix}`;
}
