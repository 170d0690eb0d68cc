import { rateLimited, refusal } from './api-error.ts';
import { cannotFind } from './batch-errors.ts';
import {
  type BatchRecord,
  batchObject,
  beforeItsEnd,
  COMPLETION_WINDOW_MS,
  endedAtMs,
  faultOf,
  isTerminal,
  NO_TOKENS,
  type Shapes,
} from './batch-lifecycle.ts';
import { type BatchDeps, BatchProgress } from './batch-progress.ts';
import { checkCreateParams, checkInteger, firstModel } from './batch-validation.ts';
import { pageOf } from './files.ts';
import { oneAtATime } from './one-at-a-time.ts';

/** The Batches API. Every method first brings all batches up to the clock; errors are ApiErrors. */
export type Batches = {
  create(body: Record<string, unknown>, project: string): Promise<Record<string, unknown>>;
  retrieve(id: string, project: string): Promise<Record<string, unknown>>;
  list(query: URLSearchParams, project: string): Promise<Record<string, unknown>>;
  cancel(id: string, project: string): Promise<Record<string, unknown>>;
  /** Does everything that is due at the clock's present. */
  settle(): Promise<void>;
  /** The tokens that count against each model's queue. */
  enqueuedTokens(): Record<string, number>;
  /** Stops what runs upstream. */
  close(): Promise<void>;
};

/** The Batches API over the store. Nothing runs by itself: state is brought up to the clock at each call. */
export function createBatches(deps: BatchDeps): Batches {
  const progress = new BatchProgress(deps);
  const service = new BatchService(deps, progress);
  const { settled, idle } = oneAtATime(() => progress.settle());
  return {
    create: (body, project) => settled(() => service.create(body, project)),
    retrieve: (id, project) => settled(() => service.retrieve(id, project)),
    list: (query, project) => settled(() => service.list(query, project)),
    cancel: (id, project) => settled(() => service.cancel(id, project)),
    settle: () => settled(() => {}),
    enqueuedTokens: () => progress.enqueuedTokens(),
    close: async () => {
      await idle();
      await progress.close();
    },
  };
}

/** The calls of the API, on batches that are up to the clock. */
class BatchService {
  readonly #deps: BatchDeps;
  readonly #progress: BatchProgress;

  constructor(deps: BatchDeps, progress: BatchProgress) {
    this.#deps = deps;
    this.#progress = progress;
  }

  async create(body: Record<string, unknown>, project: string): Promise<Record<string, unknown>> {
    const { store, clock, faults } = this.#deps;
    const params = checkCreateParams(body);
    const now = clock.now();
    this.#checkCreateRate(now);
    const ordinal = store.batches.size + 1;
    this.#checkReady(params.input_file_id, now);
    const model = await firstModel(store, params.input_file_id);
    const { endpoint, metadata } = params;
    const record: BatchRecord = {
      ...newBatch(now),
      id: store.ids.batch(),
      ordinal,
      project,
      endpoint,
      inputFileId: params.input_file_id,
      completionWindow: params.completion_window,
      metadata,
      outputExpiresAfterSeconds: params.output_expires_after?.seconds ?? null,
      faults: faults.fire('batch', { batch: ordinal, endpoint, metadata, model }),
    };
    this.#progress.add(record);
    return this.#shown(record);
  }

  retrieve(id: string, project: string): Record<string, unknown> {
    const record = this.#find(id, project);
    if (faultOf(record, 'batch.vanish') !== undefined)
      this.#progress.update(id, this.#deps.clock.now(), { reads: record.reads + 1 });
    return this.#shown(this.#progress.get(id));
  }

  list(query: URLSearchParams, project: string): Record<string, unknown> {
    const { store, clock, faults, shapes } = this.#deps;
    const limit = checkInteger('limit', Number(query.get('limit') ?? 20), 1, 100);
    const now = clock.now();
    const visible = inListOrder([...store.batches.values()], shapes.listOrder).filter((record) => {
      const hiddenMs = (faultOf(record, 'batch.unlisted')?.seconds ?? 0) * 1000;
      return record.project === project && !hasVanished(record, now) && now >= record.createdAtMs + hiddenMs;
    });
    const [fault] = faults.fire('page', { route: 'GET /v1/batches' }, 1);
    const page = pageOf(visible, { after: query.get('after'), limit, fault }, (record) => {
      const staleMs = (faultOf(record, 'batch.stale_in_list')?.seconds ?? 0) * 1000;
      return this.#shown(now < (endedAtMs(record) ?? now) + staleMs ? beforeItsEnd(record) : record);
    });
    if (shapes.hasMore === 'absent') delete page.has_more;
    return page;
  }

  async cancel(id: string, project: string): Promise<Record<string, unknown>> {
    const record = this.#find(id, project);
    if (record.status === 'cancelled' || record.status === 'cancelling') return this.#shown(record);
    if (isTerminal(record.status))
      throw refusal(409, `Cannot cancel a batch with status '${record.status}'.`);
    await this.#progress.stopUpstream(id);
    const now = this.#deps.clock.now();
    const counts = this.#progress.countsOf(record);
    return this.#shown(this.#progress.update(id, now, { status: 'cancelling', cancellingAtMs: now, counts }));
  }

  /** @throws ApiError 404 */
  #find(id: string, project: string): BatchRecord {
    const record = this.#deps.store.batches.get(id);
    if (record?.project !== project || hasVanished(record, this.#deps.clock.now()))
      throw refusal(404, `No batch found with id '${id}'`);
    return record;
  }

  /** @throws ApiError 429; its wording is not known */
  #checkCreateRate(now: number): void {
    const { store, limits } = this.#deps;
    const { batchesPerHour } = limits;
    const created = [...store.batches.values()].slice(-batchesPerHour);
    if (created.length < batchesPerHour || (created[0]?.createdAtMs ?? now) <= now - 3_600_000) return;
    throw rateLimited(`Rate limit reached for batches: Limit ${batchesPerHour} / hour.`);
  }

  /** @throws ApiError 400; the message is the asynchronous one's, its place inferred */
  #checkReady(fileId: string, now: number): void {
    const file = this.#deps.store.files.get(fileId);
    if (file === undefined || !(now < file.readyAtMs)) return;
    const { message, param, code } = cannotFind(fileId);
    throw refusal(400, message, { param, code });
  }

  #shown(record: BatchRecord): Record<string, unknown> {
    const { shapes, clock } = this.#deps;
    return batchObject({ ...record, counts: this.#progress.countsOf(record) }, shapes, clock.now());
  }
}

/** What every batch has when it is created. */
function newBatch(now: number) {
  return {
    status: 'validating',
    errors: null,
    model: null,
    resolvedModel: null,
    total: 0,
    enqueuedTokens: 0,
    createdAtMs: now,
    expiresAtMs: now + COMPLETION_WINDOW_MS,
    inProgressAtMs: null,
    finalizingAtMs: null,
    completedAtMs: null,
    failedAtMs: null,
    expiredAtMs: null,
    cancellingAtMs: null,
    cancelledAtMs: null,
    answeredAtMs: null,
    counts: { total: 0, completed: 0, failed: 0 },
    usage: NO_TOKENS,
    outputFileId: null,
    errorFileId: null,
    reads: 0,
  } as const;
}

const hasVanished = (record: BatchRecord, nowMs: number): boolean => {
  const vanish = faultOf(record, 'batch.vanish');
  if (vanish === undefined) return false;
  return record.reads >= vanish.after_reads && nowMs >= record.createdAtMs + vanish.after_seconds * 1000;
};

/** @param batches oldest first */
function inListOrder(batches: BatchRecord[], order: Shapes['listOrder']): BatchRecord[] {
  if (order === 'oldest_first') return batches;
  return order === 'newest_first' ? batches.reverse() : batches.sort((a, b) => (a.id < b.id ? -1 : 1));
}
