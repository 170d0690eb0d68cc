import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BatchRecord } from './batch-lifecycle.ts';
import { createIds, type Ids } from './ids.ts';
import { openJournal } from './journal.ts';

/** A stored file. Its content is `files/<id>` in the emulator's folder. Times are milliseconds. */
export type FileRecord = {
  id: string;
  bytes: number;
  createdAtMs: number;
  expiresAtMs: number | null;
  /** From then on it can be the input of a batch. */
  readyAtMs: number;
  filename: string;
  purpose: string;
  /** The project of the key that made it. */
  project: string;
  /** Of a file that a batch wrote. */
  output?: OutputOrigin;
};

/** Where an output or error file comes from, and what goes wrong with it. */
export type OutputOrigin = {
  batchId: string;
  file: 'output' | 'error';
  /**
   * Until then its content cannot be had: the file is unknown, or empty, as its size then says or does not, or only its
   * first `bytes` are there.
   */
  late: { untilMs: number; as: 'not_found' | 'empty' | 'empty_and_sized' | 'half'; bytes: number } | null;
  /** From then on it is gone. */
  vanishesAtMs: number | null;
};

/** One delivery of a webhook event that is not over. Times are milliseconds. */
export type DeliveryRecord = {
  id: string;
  /** Equal for duplicates: receivers recognize them by it. */
  webhookId: string;
  url: string;
  body: string;
  createdAtMs: number;
  dueAtMs: number;
  attempts: number;
  /** How much older than it is the timestamp says. */
  agedSeconds: number;
  isForged: boolean;
};

/** An upload of the Uploads API. Its parts are `uploads/<part id>`. */
export type UploadRecord = {
  id: string;
  bytes: number;
  createdAtMs: number;
  filename: string;
  purpose: string;
  mimeType: string;
  project: string;
  expiresAfterSeconds: number | null;
  status: 'pending' | 'completed' | 'cancelled';
  parts: { id: string; bytes: number }[];
  file: FileRecord | null;
};

type Entry =
  | { type: 'file'; record: FileRecord }
  | { type: 'file_deleted'; id: string }
  | { type: 'batch'; record: BatchRecord }
  | { type: 'upload'; record: UploadRecord }
  | { type: 'fault'; counter: string; count: number }
  | { type: 'start'; atMs: number }
  | { type: 'delivery'; record: DeliveryRecord }
  | { type: 'delivery_over'; id: string }
  | { type: 'mark'; ids: number; nowMs: number };

/**
 * Everything the emulator remembers, in memory and in `dir/journal.jsonl`. Layout of the folder:
 *   journal.jsonl            files, batches, uploads, fault counts (journal.ts)
 *   files/<file id>          content of live files
 *   uploads/<part id>        parts of pending uploads
 *   batches/<batch id>/      input, answers and executions of one batch (batch-workspace.ts)
 *   sync-executions.jsonl    executions of synchronous calls (ledger.ts)
 *   incoming/                uploads that are not whole yet
 */
export type Store = {
  dir: string;
  ids: Ids;
  files: ReadonlyMap<string, FileRecord>;
  batches: ReadonlyMap<string, BatchRecord>;
  uploads: ReadonlyMap<string, UploadRecord>;
  deliveries: ReadonlyMap<string, DeliveryRecord>;
  faultCounts: Map<string, number>;
  /** The latest virtual time that was journaled before this start; 0 at the first. */
  lastSeenMs: number;
  /** The virtual time of the first start on this folder; undefined before it. */
  startedAtMs(): number | undefined;
  /** Remembers entries as one unit. */
  save(nowMs: number, ...entries: Exclude<Entry, { type: 'mark' }>[]): void;
  /** Where a file's content is. */
  filePath(id: string): string;
  close(): void;
};

/** Opens the folder, with what an earlier emulator left there. @throws when the journal is damaged */
export function openStore(dir: string, seed: string): Store {
  for (const folder of ['files', 'uploads', 'batches', 'incoming']) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  const files = new Map<string, FileRecord>();
  const batches = new Map<string, BatchRecord>();
  const uploads = new Map<string, UploadRecord>();
  const deliveries = new Map<string, DeliveryRecord>();
  const faultCounts = new Map<string, number>();
  let made = 0;
  let lastSeenMs = 0;
  let startedAtMs: number | undefined;
  const apply = (entry: Entry): void => {
    switch (entry.type) {
      case 'file':
        files.set(entry.record.id, entry.record);
        break;
      case 'file_deleted':
        files.delete(entry.id);
        break;
      case 'batch':
        batches.set(entry.record.id, entry.record);
        break;
      case 'upload':
        uploads.set(entry.record.id, entry.record);
        break;
      case 'fault':
        faultCounts.set(entry.counter, entry.count);
        break;
      case 'delivery':
        deliveries.set(entry.record.id, entry.record);
        break;
      case 'delivery_over':
        deliveries.delete(entry.id);
        break;
      case 'start':
        startedAtMs ??= entry.atMs;
        break;
      case 'mark':
        made = entry.ids;
        lastSeenMs = Math.max(lastSeenMs, entry.nowMs);
    }
  };
  const journal = openJournal<Entry>(join(dir, 'journal.jsonl'), apply, () => [
    ...[...files.values()].map((record) => ({ type: 'file' as const, record })),
    ...[...batches.values()].map((record) => ({ type: 'batch' as const, record })),
    ...[...uploads.values()].map((record) => ({ type: 'upload' as const, record })),
    ...[...deliveries.values()].map((record) => ({ type: 'delivery' as const, record })),
    ...[...faultCounts].map(([counter, count]) => ({ type: 'fault' as const, counter, count })),
    ...(startedAtMs === undefined ? [] : [{ type: 'start' as const, atMs: startedAtMs }]),
    { type: 'mark' as const, ids: made, nowMs: lastSeenMs },
  ]);
  const ids = createIds(seed, made);
  return {
    dir,
    ids,
    files,
    batches,
    uploads,
    deliveries,
    faultCounts,
    lastSeenMs,
    startedAtMs: () => startedAtMs,
    save: (nowMs, ...entries) => {
      journal.append(...entries, { type: 'mark', ids: ids.made(), nowMs });
      for (const entry of entries) apply(entry);
    },
    filePath: (id) => join(dir, 'files', id),
    close: journal.close,
  };
}
