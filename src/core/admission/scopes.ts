/** What is limited, and what can be out of order, by name. */
import type { BatchRecord } from '../model.ts';

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

/** Turns at `POST /v1/batches`. */
export const CREATE_TURNS = `creates/${KEY_SCOPE}`;
