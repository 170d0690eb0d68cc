import { rateLimited, refusal } from './api-error.ts';
import { cannotFind, tokenLimitExceeded } from './batch-errors.ts';
import {
  type BatchError,
  type BatchRecord,
  batchObject,
  beforeItsEnd,
  COMPLETION_WINDOW_MS,
  endedAtMs,
  executedBy,
  faultOf,
  holdsTokens,
  isTerminal,
  NO_TOKENS,
  nextTransition,
  type Shapes,
  type Timings,
  type Transition,
} from './batch-lifecycle.ts';
import { writeOutput } from './batch-output.ts';
import { type BatchRunner, createBatchRunner } from './batch-runner.ts';
import {
  checkCreateParams,
  checkInteger,
  firstModel,
  type InputLimits,
  validateInput,
} from './batch-validation.ts';
import { openWorkspace, type Workspace } from './batch-workspace.ts';
import type { Clock } from './clock.ts';
import type { ExecutionDeps } from './execution.ts';
import { pageOf } from './files.ts';
import { resolveModel } from './models.ts';
import { isServedModel } from './request-checks.ts';
import type { FileRecord, Store } from './store.ts';
import type { Webhooks } from './webhooks.ts';

/** Bounds on batches. */
export type BatchLimits = InputLimits & {
  /** Enqueued input tokens per model: one number for all, or by model name with `default` for the rest. */
  enqueuedTokens: number | Readonly<Record<string, number>>;
  /** Batches created in any hour, by the whole organization: default 2,000 (openai-batch.md section 4). */
  batchesPerHour: number;
};

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

type Deps = ExecutionDeps & {
  store: Store;
  clock: Clock;
  seed: string;
  limits: BatchLimits;
  timings: Timings;
  shapes: Shapes;
  webhooks: Pick<Webhooks, 'plan'>;
};

type Running = { workspace: Workspace; runner: BatchRunner };

/** The Batches API over the store. Nothing runs by itself: state is brought up to the clock at each call. */
export function createBatches(deps: Deps): Batches {
  const { store, clock, seed, timings, shapes } = deps;
  const hasUpstream = deps.upstream !== undefined;
  const live = new Set(
    [...store.batches.values()].filter((batch) => !isTerminal(batch.status)).map(({ id }) => id),
  );
  const running = new Map<string, Running>();
  const upstreamRuns = new Map<string, { abort: AbortController; ended: Promise<void> }>();
  let turn: Promise<unknown> = Promise.resolve();

  /** One change at a time: each waits for the one before. */
  const exclusive = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => {});
    return done;
  };

  const get = (id: string): BatchRecord => store.batches.get(id)!;

  /** Changes a batch; `files` come into being in the same journal line. */
  const update = (
    id: string,
    atMs: number,
    changes: Partial<BatchRecord>,
    files: FileRecord[] = [],
  ): BatchRecord => {
    const record = { ...get(id), ...changes };
    store.save(
      Math.max(atMs, store.lastSeenMs),
      ...files.map((file) => ({ type: 'file' as const, record: file })),
      { type: 'batch', record },
      ...(isTerminal(record.status) ? deps.webhooks.plan(record, atMs) : []).map((delivery) => ({
        type: 'delivery' as const,
        record: delivery,
      })),
    );
    if (isTerminal(record.status)) {
      live.delete(id);
      running.delete(id);
    }
    return record;
  };

  const openRunning = async (record: BatchRecord): Promise<Running> => {
    const known = running.get(record.id);
    if (known !== undefined) return known;
    const workspace = await openWorkspace(store.dir, record.id, store.filePath(record.inputFileId));
    const opened = { workspace, runner: createBatchRunner(workspace, deps, seed, timings, clock.now) };
    running.set(record.id, opened);
    return opened;
  };

  const countsOf = (record: BatchRecord): BatchRecord['counts'] => {
    const tally = running.get(record.id)?.workspace.tally;
    if (tally === undefined || record.inProgressAtMs === null) return record.counts;
    return { total: record.total, completed: tally.completed, failed: tally.failed };
  };

  const enqueuedTokens = (atMs = clock.now()): Record<string, number> => {
    const sums: Record<string, number> = {};
    for (const batch of store.batches.values()) {
      if (!holdsTokens(batch, atMs) || batch.resolvedModel === null) continue;
      sums[batch.resolvedModel] = (sums[batch.resolvedModel] ?? 0) + batch.enqueuedTokens;
    }
    return sums;
  };

  const tokenLimit = (model: string): number => {
    const { enqueuedTokens: limits } = deps.limits;
    if (typeof limits === 'number') return limits;
    return limits[model] ?? limits[resolveModel(model)] ?? limits.default ?? Number.POSITIVE_INFINITY;
  };

  const fail = (id: string, atMs: number, errors: BatchError[]) =>
    update(id, atMs, { status: 'failed', failedAtMs: atMs, errors });

  const validate = async (record: BatchRecord, atMs: number): Promise<void> => {
    const planned = faultOf(record, 'batch.fail');
    if (planned?.state === 'validating') return void fail(record.id, atMs, planned.errors);
    const refused = faultOf(record, 'batch.token_limit_exceeded');
    if (refused !== undefined) {
      const model = (await firstModel(store, record.inputFileId)) ?? '';
      return void fail(record.id, atMs, [tokenLimitExceeded(model, refused.limit)]);
    }
    const file = store.files.get(record.inputFileId);
    // A file of another project is as good as none.
    const isOurs = file?.project === record.project && file.purpose === 'batch';
    if (!isOurs || (file.expiresAtMs ?? atMs + 1) <= atMs) {
      return void fail(record.id, atMs, [cannotFind(record.inputFileId)]);
    }
    const path = store.filePath(file.id);
    const isUsable = (model: string) => hasUpstream || isServedModel(model, atMs, deps.isStrict);
    const validation = await validateInput(path, record.endpoint, deps.limits, isUsable);
    if (!validation.ok) return void fail(record.id, atMs, validation.errors);
    const { total, inputTokens } = validation.summary;
    const model = validation.summary.model ?? '';
    const resolvedModel = resolveModel(model);
    const limit = tokenLimit(model);
    if ((enqueuedTokens(atMs)[resolvedModel] ?? 0) + inputTokens > limit) {
      return void fail(record.id, atMs, [tokenLimitExceeded(model, limit)]);
    }
    await openRunning(record);
    const accepted = update(record.id, atMs, {
      status: 'in_progress',
      inProgressAtMs: atMs,
      model,
      resolvedModel,
      total,
      enqueuedTokens: inputTokens,
      counts: { total, completed: 0, failed: 0 },
    });
    if (hasUpstream) await startUpstream(accepted);
  };

  const startUpstream = async (record: BatchRecord): Promise<void> => {
    if (upstreamRuns.has(record.id)) return;
    const { runner } = await openRunning(record);
    const abort = new AbortController();
    const ended = runner
      .rest(record, abort.signal)
      .then(() => {
        upstreamRuns.delete(record.id);
        if (!abort.signal.aborted) update(record.id, clock.now(), { answeredAtMs: clock.now() });
      })
      // The run stays known: what could not be written would otherwise be bought again and again. A restart continues.
      .catch((error: unknown) => console.error(`batch ${record.id} stopped until a restart:`, error));
    upstreamRuns.set(record.id, { abort, ended });
  };

  const stopUpstream = async (id: string): Promise<void> => {
    const run = upstreamRuns.get(id);
    run?.abort.abort();
    await run?.ended;
    upstreamRuns.delete(id);
  };

  /** Executes what has been executed by `atMs`. With an upstream that happens by itself. */
  const executeUntil = async (record: BatchRecord, atMs: number): Promise<void> => {
    const { runner } = await openRunning(record);
    if (hasUpstream) {
      if (record.status === 'in_progress' && record.answeredAtMs === null) await startUpstream(record);
      return;
    }
    await runner.through(record, executedBy(record, atMs, timings));
  };

  const apply = async (record: BatchRecord, { to, atMs }: Transition): Promise<void> => {
    switch (to) {
      case 'validated':
        return validate(record, atMs);
      case 'finalizing': {
        await executeUntil(record, atMs);
        if (faultOf(record, 'batch.fail')?.state === 'in_progress') return failLate(record, atMs);
        return void update(record.id, atMs, {
          status: 'finalizing',
          finalizingAtMs: atMs,
          counts: countsOf(record),
        });
      }
      case 'completed':
        if (faultOf(record, 'batch.fail')?.state === 'finalizing') return failLate(record, atMs);
        return finish(record, { status: 'completed', completedAtMs: atMs }, atMs);
      case 'expired': {
        if (record.inProgressAtMs === null)
          return void update(record.id, atMs, { status: 'expired', expiredAtMs: atMs });
        await executeUntil(record, atMs);
        await stopUpstream(record.id);
        await (await openRunning(record)).runner.giveUp(record, 'batch_expired', atMs);
        return finish(record, { status: 'expired', expiredAtMs: atMs }, atMs);
      }
      case 'cancelled': {
        if (record.inProgressAtMs === null) {
          return void update(record.id, atMs, { status: 'cancelled', cancelledAtMs: atMs });
        }
        await stopUpstream(record.id);
        await (await openRunning(record)).runner.giveUp(record, 'batch_cancelled', atMs);
        return finish(record, { status: 'cancelled', cancelledAtMs: atMs }, atMs);
      }
    }
  };

  /** Writes the output and error files and ends the batch: what a client sees changes in one journal line. */
  const finish = async (record: BatchRecord, end: Partial<BatchRecord>, atMs: number): Promise<void> => {
    const { workspace } = await openRunning(record);
    const losesFinished = end.status === 'cancelled' && faultOf(record, 'batch.lose_finished') !== undefined;
    const hidesFiles = end.status === 'failed' && faultOf(record, 'batch.fail')?.files === false;
    const files: FileRecord[] = [];
    const ids: Record<'output' | 'error', string | null> = { output: null, error: null };
    const counts = countsOf(record);
    for (const kind of ['output', 'error'] as const) {
      if ((kind === 'output' && losesFinished) || hidesFiles) continue;
      const file = await writeOutput(
        kind,
        { record, workspace, atMs, isCompleted: end.status === 'completed' },
        deps,
      );
      if (file === undefined) continue;
      files.push(file);
      ids[kind] = file.id;
    }
    update(
      record.id,
      atMs,
      {
        ...end,
        outputFileId: ids.output,
        errorFileId: ids.error,
        counts: losesFinished ? { ...counts, completed: 0 } : counts,
        usage: workspace.tally.usage,
      },
      files,
    );
    await workspace.release();
  };

  /** Fails a batch whose requests were executed: what they cost is spent, whatever the files show. */
  const failLate = (record: BatchRecord, atMs: number): Promise<void> => {
    const { errors } = faultOf(record, 'batch.fail')!;
    return finish(record, { status: 'failed', failedAtMs: atMs, errors }, atMs);
  };

  const settleNow = async (): Promise<void> => {
    const now = clock.now();
    for (;;) {
      const next = [...live]
        .map((id) => ({ record: get(id), transition: nextTransition(get(id), timings, hasUpstream) }))
        .filter(({ transition }) => transition !== undefined && transition.atMs <= now)
        .sort((a, b) => a.transition!.atMs - b.transition!.atMs || a.record.ordinal - b.record.ordinal)[0];
      if (next === undefined) break;
      await apply(next.record, next.transition!);
    }
    for (const id of live) if (get(id).status === 'in_progress') await executeUntil(get(id), now);
  };

  const find = (id: string, project: string): BatchRecord => {
    const record = store.batches.get(id);
    if (record?.project !== project || hasVanished(record, clock.now()))
      throw refusal(404, `No batch found with id '${id}'`);
    return record;
  };

  /** @throws ApiError 429; its wording is not known */
  const checkCreateRate = (now: number) => {
    const { batchesPerHour } = deps.limits;
    const created = [...store.batches.values()].slice(-batchesPerHour);
    if (created.length < batchesPerHour || (created[0]?.createdAtMs ?? now) <= now - 3_600_000) return;
    throw rateLimited(`Rate limit reached for batches: Limit ${batchesPerHour} / hour.`);
  };

  const shown = (record: BatchRecord) =>
    batchObject({ ...record, counts: countsOf(record) }, shapes, clock.now());

  /** @throws ApiError 400; the message is the asynchronous one's, its place inferred */
  const checkReady = (fileId: string, now: number) => {
    const file = store.files.get(fileId);
    if (file === undefined || !(now < file.readyAtMs)) return;
    const { message, param, code } = cannotFind(fileId);
    throw refusal(400, message, { param, code });
  };

  return {
    create: (body, project) =>
      exclusive(async () => {
        await settleNow();
        const params = checkCreateParams(body);
        const now = clock.now();
        checkCreateRate(now);
        const ordinal = store.batches.size + 1;
        checkReady(params.input_file_id, now);
        const model = await firstModel(store, params.input_file_id);
        const { endpoint, metadata } = params;
        const record: BatchRecord = {
          id: store.ids.batch(),
          ordinal,
          project,
          endpoint,
          inputFileId: params.input_file_id,
          completionWindow: params.completion_window,
          metadata,
          outputExpiresAfterSeconds: params.output_expires_after?.seconds ?? null,
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
          faults: deps.faults.fire('batch', { batch: ordinal, endpoint, metadata, model }),
          reads: 0,
        };
        store.save(now, { type: 'batch', record });
        live.add(record.id);
        return shown(record);
      }),
    retrieve: (id, project) =>
      exclusive(async () => {
        await settleNow();
        const record = find(id, project);
        if (faultOf(record, 'batch.vanish') !== undefined)
          update(id, clock.now(), { reads: record.reads + 1 });
        return shown(get(id));
      }),
    list: (query, project) =>
      exclusive(async () => {
        await settleNow();
        const limit = checkInteger('limit', Number(query.get('limit') ?? 20), 1, 100);
        const now = clock.now();
        const visible = inListOrder([...store.batches.values()], shapes.listOrder).filter((record) => {
          const hiddenMs = (faultOf(record, 'batch.unlisted')?.seconds ?? 0) * 1000;
          return (
            record.project === project && !hasVanished(record, now) && now >= record.createdAtMs + hiddenMs
          );
        });
        const [fault] = deps.faults.fire('page', { route: 'GET /v1/batches' }, 1);
        const page = pageOf(visible, { after: query.get('after'), limit, fault }, (record) => {
          const staleMs = (faultOf(record, 'batch.stale_in_list')?.seconds ?? 0) * 1000;
          return shown(now < (endedAtMs(record) ?? now) + staleMs ? beforeItsEnd(record) : record);
        });
        if (shapes.hasMore === 'absent') delete page.has_more;
        return page;
      }),
    cancel: (id, project) =>
      exclusive(async () => {
        await settleNow();
        const record = find(id, project);
        if (record.status === 'cancelled' || record.status === 'cancelling') return shown(record);
        if (isTerminal(record.status))
          throw refusal(409, `Cannot cancel a batch with status '${record.status}'.`);
        await stopUpstream(id);
        const now = clock.now();
        return shown(
          update(id, now, { status: 'cancelling', cancellingAtMs: now, counts: countsOf(record) }),
        );
      }),
    settle: () => exclusive(settleNow),
    enqueuedTokens: () => enqueuedTokens(),
    close: async () => {
      await turn;
      await Promise.all([...upstreamRuns.keys()].map(stopUpstream));
    },
  };
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
