import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ResponseRecord } from './background-lifecycle.ts';
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
  /** The key of a `WebhookTarget`. */
  target: string;
  body: string;
  createdAtMs: number;
  dueAtMs: number;
  attempts: number;
  /** How much older than it is the timestamp says. */
  agedSeconds: number;
  isForged: boolean;
};

/** A webhook endpoint that was made by a call. Times are milliseconds. */
export type WebhookEndpointRecord = {
  id: string;
  project: string;
  name: string;
  url: string;
  eventTypes: readonly string[];
  /** The newest first; one that was replaced signs until its time has come. */
  secrets: readonly { secret: string; untilMs: number | null }[];
  createdAtMs: number;
  updatedAtMs: number;
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
  | { type: 'response'; record: ResponseRecord }
  | { type: 'response_changed'; id: string; changes: Partial<ResponseRecord> }
  | { type: 'webhook_endpoint'; record: WebhookEndpointRecord }
  | { type: 'webhook_endpoint_deleted'; id: string }
  | { type: 'fault'; counter: string; count: number }
  | { type: 'start'; atMs: number }
  | { type: 'delivery'; record: DeliveryRecord }
  | { type: 'delivery_over'; id: string }
  | { type: 'mark'; ids: number; nowMs: number };

/**
 * Everything the emulator remembers, in memory and in `dir/journal.jsonl`. Layout of the folder:
 *   journal.jsonl            files, batches, uploads, background responses, fault counts (journal.ts)
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
  responses: ReadonlyMap<string, ResponseRecord>;
  webhookEndpoints: ReadonlyMap<string, WebhookEndpointRecord>;
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

/** Everything that the journal tells. */
function emptyMemory() {
  return {
    files: new Map<string, FileRecord>(),
    batches: new Map<string, BatchRecord>(),
    uploads: new Map<string, UploadRecord>(),
    responses: new Map<string, ResponseRecord>(),
    webhookEndpoints: new Map<string, WebhookEndpointRecord>(),
    deliveries: new Map<string, DeliveryRecord>(),
    faultCounts: new Map<string, number>(),
    made: 0,
    lastSeenMs: 0,
    startedAtMs: undefined as number | undefined,
  };
}

type Memory = ReturnType<typeof emptyMemory>;

function remember(memory: Memory, entry: Entry): void {
  switch (entry.type) {
    case 'file':
      memory.files.set(entry.record.id, entry.record);
      break;
    case 'file_deleted':
      memory.files.delete(entry.id);
      break;
    case 'batch':
      memory.batches.set(entry.record.id, entry.record);
      break;
    case 'upload':
      memory.uploads.set(entry.record.id, entry.record);
      break;
    case 'response':
      memory.responses.set(entry.record.id, entry.record);
      break;
    case 'response_changed':
      memory.responses.set(entry.id, { ...memory.responses.get(entry.id)!, ...entry.changes });
      break;
    case 'webhook_endpoint':
      memory.webhookEndpoints.set(entry.record.id, entry.record);
      break;
    case 'webhook_endpoint_deleted':
      memory.webhookEndpoints.delete(entry.id);
      break;
    case 'fault':
      memory.faultCounts.set(entry.counter, entry.count);
      break;
    case 'delivery':
      memory.deliveries.set(entry.record.id, entry.record);
      break;
    case 'delivery_over':
      memory.deliveries.delete(entry.id);
      break;
    case 'start':
      memory.startedAtMs ??= entry.atMs;
      break;
    case 'mark':
      memory.made = entry.ids;
      memory.lastSeenMs = Math.max(memory.lastSeenMs, entry.nowMs);
  }
}

/** The fewest entries that tell the same. */
function entriesOf(memory: Memory): Entry[] {
  const records = <T extends string, R>(type: T, all: ReadonlyMap<string, R>) =>
    [...all.values()].map((record) => ({ type, record }));
  return [
    ...records('file', memory.files),
    ...records('batch', memory.batches),
    ...records('upload', memory.uploads),
    ...records('response', memory.responses),
    ...records('webhook_endpoint', memory.webhookEndpoints),
    ...records('delivery', memory.deliveries),
    ...[...memory.faultCounts].map(([counter, count]) => ({ type: 'fault' as const, counter, count })),
    ...(memory.startedAtMs === undefined ? [] : [{ type: 'start' as const, atMs: memory.startedAtMs }]),
    { type: 'mark' as const, ids: memory.made, nowMs: memory.lastSeenMs },
  ];
}

/** Opens the folder, with what an earlier emulator left there. @throws when the journal is damaged */
export function openStore(dir: string, seed: string): Store {
  for (const folder of ['files', 'uploads', 'batches', 'incoming']) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  const memory = emptyMemory();
  const journal = openJournal<Entry>(
    join(dir, 'journal.jsonl'),
    (entry) => remember(memory, entry),
    () => entriesOf(memory),
  );
  const { files, batches, uploads, responses, webhookEndpoints, deliveries, faultCounts } = memory;
  const ids = createIds(seed, memory.made);
  return {
    dir,
    ids,
    files,
    batches,
    uploads,
    responses,
    webhookEndpoints,
    deliveries,
    faultCounts,
    lastSeenMs: memory.lastSeenMs,
    startedAtMs: () => memory.startedAtMs,
    save: (nowMs, ...entries) => {
      journal.append(...entries, { type: 'mark', ids: ids.made(), nowMs });
      for (const entry of entries) remember(memory, entry);
    },
    filePath: (id) => join(dir, 'files', id),
    close: journal.close,
  };
}
