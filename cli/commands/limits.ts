/** `batchdrop limits [MODEL...]`: what is known of OpenAI's limits and of budgets, and what of them is taken. */
import { DynamoDBQuota } from '../../src/adapters/dynamodb/quota.ts';
import { DEFAULT_API_KEY } from '../../src/contract/api-key.ts';
import type { Ledger } from '../../src/core/model/ledger.ts';
import { isTokensLedger, ledgerOf, tokensLedgerOf } from '../../src/core/scheduling/scopes.ts';
import { routesOf } from '../options/drops.ts';
import type { StackOptions } from '../options/stack.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { EXIT_SUCCEEDED } from '../view/exit.ts';
import { type BudgetScope, budgetLedgers, limitsOf, limitsText } from '../view/limits-view.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop limits`. */
export interface LimitsOptions extends StackOptions {
  /** Name of the API key of the models that are named. */
  key: string;
  json?: boolean;
}

/** Jobs whose budgets are read: each is a read of the table. */
const MAX_JOBS = 50;

/** @returns the exit status. */
export async function limits(models: readonly string[], options: LimitsOptions): Promise<number> {
  return withStores(options, async (stores) => {
    const now = Date.now();
    const { names, jobIds } = await liveLedgers(stores);
    for (const model of models) names.add(tokensLedgerOf({ apiKey: options.key || DEFAULT_API_KEY, model }));
    const scopes = await budgetScopes(stores, jobIds);
    const routes = [...new Set([...routesOf(stores.stack).keys(), ...scopes.map(({ route }) => route.name)])];
    const quota = new DynamoDBQuota(stores.dynamodb.client, stores.dynamodb);
    const ledgers = new Map<string, Ledger>();
    for (const name of [...names, ...budgetLedgers(routes, scopes, now)]) {
      const ledger = await quota.getLedger(name);
      if (ledger !== undefined) ledgers.set(name, ledger);
    }
    const found = limitsOf(ledgers, routes, scopes, now);
    console.log(options.json ? JSON.stringify(found) : limitsText(found, terminalWidth(process.stdout)));
    return EXIT_SUCCEEDED;
  });
}

/** The ledgers of what is live, by the index: the table is never scanned. */
async function liveLedgers({ jobs, dynamodb }: Stores): Promise<{ names: Set<string>; jobIds: Set<string> }> {
  const names = new Set<string>();
  const jobIds = new Set<string>();
  for (const batches of [jobs.listWaiting(), jobs.listAtOpenAI()])
    for await (const batch of batches) {
      names.add(ledgerOf(batch));
      jobIds.add(batch.jobId);
    }
  const quota = new DynamoDBQuota(dynamodb.client, dynamodb);
  for await (const { amounts, jobId } of quota.listReservations()) {
    for (const { ledger } of amounts) if (isTokensLedger(ledger)) names.add(ledger);
    jobIds.add(jobId);
  }
  return { names, jobIds };
}

async function budgetScopes({ jobs }: Stores, jobIds: ReadonlySet<string>): Promise<BudgetScope[]> {
  const found = await Promise.all([...jobIds].slice(0, MAX_JOBS).map((jobId) => jobs.getJob(jobId)));
  return found.flatMap((job) =>
    job === undefined
      ? []
      : [{ jobId: job.jobId, key: job.input.key, route: job.route, budgetUsd: job.budgetUsd }],
  );
}
