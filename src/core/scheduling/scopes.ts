import { dayIn } from '../base/zoned-day.ts';
import { apiKeyOf, type BatchRecord, isSlice, tierOf } from '../model/batch.ts';

/** What an operator error puts out of order: everything sent with a key, or one model. */
export function suspensionScope(apiKey: string, model?: string): string {
  return model === undefined ? apiKey : `${apiKey}/${model}`;
}

/** Whether a scope is that of one model. */
export function isModelScope(scope: string): boolean {
  return scope.includes('/');
}

/** Every scope that a batch is in. */
export function suspensionScopesOf(batch: Pick<BatchRecord, 'apiKey' | 'model'>): string[] {
  return [suspensionScope(apiKeyOf(batch)), suspensionScope(apiKeyOf(batch), batch.model)];
}

/** The ledger of a model's enqueued tokens. OpenAI counts them for each model by itself. */
export function tokensLedgerOf(batch: Pick<BatchRecord, 'apiKey' | 'model'>): string {
  return `tokens/${apiKeyOf(batch)}/${batch.model}`;
}

/** The ledger of slices of a model that are called at a time, and of what was learned by it. */
export function callsLedgerOf(
  batch: Pick<BatchRecord, 'model' | 'tier'> & { apiKey?: string | undefined },
): string {
  return `calls/${apiKeyOf(batch)}/${tierOf(batch)}/${batch.model}`;
}

/** The reads of what webhooks name and what turns out not to be ours. */
export function strangersOf(apiKey: string): string {
  return `strangers/${apiKey}`;
}

/** The ledger whose room a batch waits for. */
export function ledgerOf(batch: Pick<BatchRecord, 'apiKey' | 'model' | 'tier'>): string {
  return isSlice(batch) ? callsLedgerOf(batch) : tokensLedgerOf(batch);
}

/** Whether a ledger is one of enqueued tokens, or of slices: given back when the batch has ended, and never used up. */
export function isTokensLedger(name: string): boolean {
  return name.startsWith('tokens/') || name.startsWith('calls/');
}

/** What the jobs of a route spend on one job (all of it), millionths of a USD. */
export function jobBudgetLedgerOf(jobId: string): string {
  return `budget/job/${jobId}`;
}

/**
 * What the jobs of a route spend on one day, by when their batches were admitted. @param timeZone of the day, as the
 * budget has it.
 */
export function dayBudgetLedgerOf(route: string, now: number, timeZone = 'UTC'): string {
  return `budget/day/${route}/${dayIn(timeZone, now)}`;
}

/** Whether a ledger is one of {@link dayBudgetLedgerOf}. */
export function isDayBudget(name: string): boolean {
  return name.startsWith('budget/day/');
}

/**
 * What the stack spends in one month in UTC, by when batches were admitted. Without a limit: it is there to be read.
 */
export function monthLedgerOf(now: number): string {
  return `spent/${new Date(now).toISOString().slice(0, 7)}`;
}

/** Turns at `POST /v1/batches` with a key. */
export function createTurnsOf(apiKey: string): string {
  return `creates/${apiKey}`;
}

/** Money of the budgets of a route. */
export function budgetsOf(route: string | undefined): string {
  return `budgets/${route ?? ''}`;
}

/**
 * The scopes of which none may be in the backlog if a batch is to go without a look at what else waits: otherwise it
 * could overtake what is before it.
 */
export function backlogScopesOf(batch: Pick<BatchRecord, 'apiKey' | 'model' | 'tier' | 'route'>): string[] {
  const turns = isSlice(batch) ? [] : [createTurnsOf(apiKeyOf(batch))];
  return [ledgerOf(batch), budgetsOf(batch.route), ...turns];
}

/** The scope that a batch waits for, once it is known what it waits for. */
export function backlogScopeOf(
  batch: Pick<BatchRecord, 'apiKey' | 'model' | 'tier' | 'route'>,
  waitsFor: 'tokens' | 'turns' | 'budget' | 'operator',
): string {
  if (waitsFor === 'turns') return createTurnsOf(apiKeyOf(batch));
  return waitsFor === 'budget' ? budgetsOf(batch.route) : ledgerOf(batch);
}
