/** What is limited, and what can be out of order, by name. */
import { type BatchRecord, isSlice, tierOf } from '../model.ts';

/** Whose limits and whose troubles they are: those of the one API key. */
const KEY_SCOPE = 'default';

/** What an operator error puts out of order: everything sent with the key, or one model. */
export function parkScope(model?: string): string {
  return model === undefined ? KEY_SCOPE : `${KEY_SCOPE}/${model}`;
}

/** Every scope that a batch is in. */
export function parkScopesOf(batch: Pick<BatchRecord, 'model'>): string[] {
  return [parkScope(), parkScope(batch.model)];
}

/** The ledger of a model's enqueued tokens. OpenAI counts them for each model by itself. */
export function tokensLedgerOf(batch: Pick<BatchRecord, 'model'>): string {
  return `tokens/${KEY_SCOPE}/${batch.model}`;
}

/** The ledger of slices of a model that are called at a time, and of what was learned by it. */
export function callsLedgerOf(batch: Pick<BatchRecord, 'model' | 'tier'>): string {
  return `calls/${KEY_SCOPE}/${tierOf(batch)}/${batch.model}`;
}

/** The ledger whose room a batch waits for. */
export function ledgerOf(batch: Pick<BatchRecord, 'model' | 'tier'>): string {
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

/** What the jobs of a route spend on one day in UTC, by when their batches were admitted. */
export function dayBudgetLedgerOf(route: string, now: number): string {
  return `budget/day/${route}/${new Date(now).toISOString().slice(0, 10)}`;
}

/** What the stack spends in one month in UTC, by when batches were admitted. Without a limit: it is there to be read. */
export function monthLedgerOf(now: number): string {
  return `spent/${new Date(now).toISOString().slice(0, 7)}`;
}

/** Turns at `POST /v1/batches`. */
export const CREATE_TURNS = `creates/${KEY_SCOPE}`;
