import { existsSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { openAppendFile } from './append-file.ts';
import { readExecutions } from './batch-workspace.ts';
import { readLines } from './json-lines.ts';
import type { Execution } from './ledger-row.ts';
import type { Store } from './store.ts';

/** What has been executed, ever: so that tests can show that nothing was bought twice. Reads from disk. */
export type Ledger = {
  /** Every execution up to the clock's present: batches and background responses as created, then synchronous calls. */
  executions(): AsyncGenerator<Execution>;
  /** The same as an array. */
  all(): Promise<Execution[]>;
  /** The executions with status 200, or billed, of every (custom_id, request) that has more than one. */
  boughtTwice(): Promise<Execution[][]>;
};

/** A ledger that can be written to. */
export type LedgerBook = Ledger & {
  /** Adds a synchronous call, before it is answered. @throws the file system's error; nothing is then added */
  addSync(execution: Execution): void;
  close(): void;
};

/** Shares of the standard rate: "half" of batch and flex, where a model has it (OpenAI's price table, read 2026-11-29). */
const RATES: Readonly<Record<string, number>> = { batch: 0.5, flex: 0.5, default: 1 };

/** The share of the standard rate of a synchronous call's tier. */
export const rateOfTier = (tier: string): number | null => RATES[tier] ?? null;

/** @param settle brings batches and background responses up to the clock before they are read */
export function createLedger(store: Store, settle: () => Promise<void>): LedgerBook {
  const syncPath = join(store.dir, 'sync-executions.jsonl');
  cutTornLine(syncPath);
  const syncFile = openAppendFile(syncPath);
  async function* executions(): AsyncGenerator<Execution> {
    await settle();
    for (const batch of store.batches.values()) {
      for await (const row of readExecutions(store.dir, batch.id)) {
        if (!row.executed) continue;
        yield {
          custom_id: row.custom_id,
          batch_id: batch.id,
          response_id: null,
          outcome: null,
          endpoint: batch.endpoint,
          model: batch.resolvedModel,
          tier: 'batch',
          rate: RATES.batch!,
          request_hash: row.request_hash,
          at_ms: row.at_ms,
          status: row.status,
          usage: row.usage,
          billed_tokens: row.usage.input + row.usage.output,
        };
      }
    }
    for (const { execution } of store.responses.values()) if (execution !== null) yield execution;
    for await (const lines of readLines(syncPath)) {
      for (const line of lines) yield JSON.parse(line.bytes.toString('utf8')) as Execution;
    }
  }
  return {
    executions,
    all: async () => {
      const all: Execution[] = [];
      for await (const execution of executions()) all.push(execution);
      return all;
    },
    boughtTwice: async () => {
      const bought = new Map<string, Execution[]>();
      for await (const execution of executions()) {
        if (execution.status !== 200 && execution.billed_tokens === 0) continue;
        const key = JSON.stringify([execution.custom_id, execution.request_hash]);
        bought.set(key, [...(bought.get(key) ?? []), execution]);
      }
      return [...bought.values()].filter((times) => times.length > 1);
    },
    addSync: (execution) => syncFile.append(`${JSON.stringify(execution)}\n`),
    close: syncFile.close,
  };
}

/** Removes what a kill left of a last line, which was never answered. */
function cutTornLine(path: string): void {
  if (!existsSync(path)) return;
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end < bytes.length) truncateSync(path, end);
}
