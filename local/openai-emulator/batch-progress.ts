/** What becomes of batches as time passes: validation, execution, end. */
import { cannotFind, tokenLimitExceeded } from './batch-errors.ts';
import {
  type BatchError,
  type BatchRecord,
  executedBy,
  faultOf,
  holdsTokens,
  isTerminal,
  nextTransition,
  type Shapes,
  type Timings,
  type Transition,
} from './batch-lifecycle.ts';
import { writeOutput } from './batch-output.ts';
import { type BatchRunner, createBatchRunner } from './batch-runner.ts';
import { firstModel, type InputLimits, validateInput } from './batch-validation.ts';
import { openWorkspace, type Workspace } from './batch-workspace.ts';
import type { Clock } from './clock.ts';
import type { ExecutionDeps } from './execution.ts';
import { resolveModel } from './models.ts';
import { isServedModel } from './request-checks.ts';
import type { FileRecord, Store } from './store.ts';
import type { Ended, Webhooks } from './webhooks.ts';

/** Bounds on batches. */
export type BatchLimits = InputLimits & {
  /** Enqueued input tokens per model: one number for all, or by model name with `default` for the rest. */
  enqueuedTokens: number | Readonly<Record<string, number>>;
  /** Batches created in any hour, by the whole organization: default 2,000 (platform.openai.com/docs/guides/batch). */
  batchesPerHour: number;
};

/** What batches need of the emulator. */
export type BatchDeps = ExecutionDeps & {
  store: Store;
  clock: Clock;
  seed: string;
  limits: BatchLimits;
  timings: Timings;
  shapes: Shapes;
  webhooks: Pick<Webhooks, 'plan'>;
};

type Running = { workspace: Workspace; runner: BatchRunner };

/** What webhooks tell of a batch. */
const endOf = ({ id, project, status, ordinal, endpoint, metadata, model }: BatchRecord): Ended => ({
  id,
  project,
  event: `batch.${status}`,
  facts: { batch: ordinal, endpoint, metadata, model },
});

/** The batches of a store and what runs for them. Nothing runs by itself: {@link settle} brings all up to the clock. */
export class BatchProgress {
  readonly #deps: BatchDeps;
  readonly #hasUpstream: boolean;
  readonly #live: Set<string>;
  readonly #running = new Map<string, Running>();
  readonly #upstreamRuns = new Map<string, { abort: AbortController; ended: Promise<void> }>();

  constructor(deps: BatchDeps) {
    this.#deps = deps;
    this.#hasUpstream = deps.upstream !== undefined;
    const live = [...deps.store.batches.values()].filter((batch) => !isTerminal(batch.status));
    this.#live = new Set(live.map(({ id }) => id));
  }

  /** A batch that is there. */
  get(id: string): BatchRecord {
    return this.#deps.store.batches.get(id)!;
  }

  /** Adds a new batch. */
  add(record: BatchRecord): void {
    this.#deps.store.save(record.createdAtMs, { type: 'batch', record });
    this.#live.add(record.id);
  }

  /** Stops what runs upstream for all batches. */
  async close(): Promise<void> {
    await Promise.all([...this.#upstreamRuns.keys()].map((id) => this.stopUpstream(id)));
  }

  #fail(id: string, atMs: number, errors: BatchError[]): BatchRecord {
    return this.update(id, atMs, { status: 'failed', failedAtMs: atMs, errors });
  }

  /** Changes a batch; `files` come into being in the same journal line. */
  update(id: string, atMs: number, changes: Partial<BatchRecord>, files: FileRecord[] = []): BatchRecord {
    const record = { ...this.get(id), ...changes };
    this.#deps.store.save(
      Math.max(atMs, this.#deps.store.lastSeenMs),
      ...files.map((file) => ({ type: 'file' as const, record: file })),
      { type: 'batch', record },
      ...(isTerminal(record.status) ? this.#deps.webhooks.plan(endOf(record), atMs) : []).map((delivery) => ({
        type: 'delivery' as const,
        record: delivery,
      })),
    );
    if (isTerminal(record.status)) {
      this.#live.delete(id);
      this.#running.delete(id);
    }
    return record;
  }

  async #openRunning(record: BatchRecord): Promise<Running> {
    const known = this.#running.get(record.id);
    if (known !== undefined) return known;
    const workspace = await openWorkspace(
      this.#deps.store.dir,
      record.id,
      this.#deps.store.filePath(record.inputFileId),
    );
    const opened = {
      workspace,
      runner: createBatchRunner(
        workspace,
        this.#deps,
        this.#deps.seed,
        this.#deps.timings,
        this.#deps.clock.now,
      ),
    };
    this.#running.set(record.id, opened);
    return opened;
  }

  /** The counts of a batch as they are now. */
  countsOf(record: BatchRecord): BatchRecord['counts'] {
    const tally = this.#running.get(record.id)?.workspace.tally;
    if (tally === undefined || record.inProgressAtMs === null) return record.counts;
    return { total: record.total, completed: tally.completed, failed: tally.failed };
  }

  /** The tokens that count against each model's queue. */
  enqueuedTokens(atMs = this.#deps.clock.now()): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const batch of this.#deps.store.batches.values()) {
      if (!holdsTokens(batch, atMs) || batch.resolvedModel === null) continue;
      sums[batch.resolvedModel] = (sums[batch.resolvedModel] ?? 0) + batch.enqueuedTokens;
    }
    return sums;
  }

  #tokenLimit(model: string): number {
    const { enqueuedTokens: limits } = this.#deps.limits;
    if (typeof limits === 'number') return limits;
    return limits[model] ?? limits[resolveModel(model)] ?? limits.default ?? Number.POSITIVE_INFINITY;
  }

  async #validate(record: BatchRecord, atMs: number): Promise<void> {
    const planned = faultOf(record, 'batch.fail');
    if (planned?.state === 'validating') return void this.#fail(record.id, atMs, planned.errors);
    const refused = faultOf(record, 'batch.token_limit_exceeded');
    if (refused !== undefined) {
      const model = (await firstModel(this.#deps.store, record.inputFileId)) ?? '';
      return void this.#fail(record.id, atMs, [tokenLimitExceeded(model, refused.limit)]);
    }
    const file = this.#deps.store.files.get(record.inputFileId);
    // A file of another project is as good as none.
    const isOurs = file?.project === record.project && file.purpose === 'batch';
    if (!isOurs || (file.expiresAtMs ?? atMs + 1) <= atMs) {
      return void this.#fail(record.id, atMs, [cannotFind(record.inputFileId)]);
    }
    const path = this.#deps.store.filePath(file.id);
    const isUsable = (model: string) => this.#hasUpstream || isServedModel(model, atMs, this.#deps.isStrict);
    const validation = await validateInput(path, record.endpoint, this.#deps.limits, isUsable);
    if (!validation.ok) return void this.#fail(record.id, atMs, validation.errors);
    const { total, inputTokens } = validation.summary;
    const model = validation.summary.model ?? '';
    const resolvedModel = resolveModel(model);
    const limit = this.#tokenLimit(model);
    if ((this.enqueuedTokens(atMs)[resolvedModel] ?? 0) + inputTokens > limit) {
      return void this.#fail(record.id, atMs, [tokenLimitExceeded(model, limit)]);
    }
    await this.#openRunning(record);
    const accepted = this.update(record.id, atMs, {
      status: 'in_progress',
      inProgressAtMs: atMs,
      model,
      resolvedModel,
      total,
      enqueuedTokens: inputTokens,
      counts: { total, completed: 0, failed: 0 },
    });
    if (this.#hasUpstream) await this.#startUpstream(accepted);
  }

  async #startUpstream(record: BatchRecord): Promise<void> {
    if (this.#upstreamRuns.has(record.id)) return;
    const { runner } = await this.#openRunning(record);
    const abort = new AbortController();
    const ended = runner
      .rest(record, abort.signal)
      .then(() => {
        this.#upstreamRuns.delete(record.id);
        if (!abort.signal.aborted)
          this.update(record.id, this.#deps.clock.now(), { answeredAtMs: this.#deps.clock.now() });
      })
      // The run stays known: what could not be written would otherwise be bought again and again. A restart continues.
      .catch((error: unknown) => console.error(`batch ${record.id} stopped until a restart:`, error));
    this.#upstreamRuns.set(record.id, { abort, ended });
  }

  /** Stops what runs upstream for a batch. */
  async stopUpstream(id: string): Promise<void> {
    const run = this.#upstreamRuns.get(id);
    run?.abort.abort();
    await run?.ended;
    this.#upstreamRuns.delete(id);
  }

  /** Executes what has been executed by `atMs`. With an upstream that happens by itself. */
  async #executeUntil(record: BatchRecord, atMs: number): Promise<void> {
    const { runner } = await this.#openRunning(record);
    if (this.#hasUpstream) {
      if (record.status === 'in_progress' && record.answeredAtMs === null) await this.#startUpstream(record);
      return;
    }
    await runner.through(record, executedBy(record, atMs, this.#deps.timings));
  }

  async #apply(record: BatchRecord, { to, atMs }: Transition): Promise<void> {
    switch (to) {
      case 'validated':
        return this.#validate(record, atMs);
      case 'finalizing': {
        await this.#executeUntil(record, atMs);
        if (faultOf(record, 'batch.fail')?.state === 'in_progress') return this.#failLate(record, atMs);
        return void this.update(record.id, atMs, {
          status: 'finalizing',
          finalizingAtMs: atMs,
          counts: this.countsOf(record),
        });
      }
      case 'completed':
        if (faultOf(record, 'batch.fail')?.state === 'finalizing') return this.#failLate(record, atMs);
        return this.#finish(record, { status: 'completed', completedAtMs: atMs }, atMs);
      case 'expired': {
        if (record.inProgressAtMs === null)
          return void this.update(record.id, atMs, { status: 'expired', expiredAtMs: atMs });
        await this.#executeUntil(record, atMs);
        await this.stopUpstream(record.id);
        await (await this.#openRunning(record)).runner.giveUp(record, 'batch_expired', atMs);
        return this.#finish(record, { status: 'expired', expiredAtMs: atMs }, atMs);
      }
      case 'cancelled': {
        if (record.inProgressAtMs === null) {
          return void this.update(record.id, atMs, { status: 'cancelled', cancelledAtMs: atMs });
        }
        await this.stopUpstream(record.id);
        await (await this.#openRunning(record)).runner.giveUp(record, 'batch_cancelled', atMs);
        return this.#finish(record, { status: 'cancelled', cancelledAtMs: atMs }, atMs);
      }
    }
  }

  /** Writes the output and error files and ends the batch: what a client sees changes in one journal line. */
  async #finish(record: BatchRecord, end: Partial<BatchRecord>, atMs: number): Promise<void> {
    const { workspace } = await this.#openRunning(record);
    const losesFinished = end.status === 'cancelled' && faultOf(record, 'batch.lose_finished') !== undefined;
    const hidesFiles = end.status === 'failed' && faultOf(record, 'batch.fail')?.files === false;
    const files: FileRecord[] = [];
    const ids: Record<'output' | 'error', string | null> = { output: null, error: null };
    const counts = this.countsOf(record);
    for (const kind of ['output', 'error'] as const) {
      if ((kind === 'output' && losesFinished) || hidesFiles) continue;
      const file = await writeOutput(
        kind,
        { record, workspace, atMs, isCompleted: end.status === 'completed' },
        this.#deps,
      );
      if (file === undefined) continue;
      files.push(file);
      ids[kind] = file.id;
    }
    this.update(
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
  }

  /** Fails a batch whose requests were executed: what they cost is spent, whatever the files show. */
  #failLate(record: BatchRecord, atMs: number): Promise<void> {
    const { errors } = faultOf(record, 'batch.fail')!;
    return this.#finish(record, { status: 'failed', failedAtMs: atMs, errors }, atMs);
  }

  /** Does everything that is due at the clock's present. */
  async settle(): Promise<void> {
    const now = this.#deps.clock.now();
    for (;;) {
      const next = [...this.#live]
        .map((id) => ({
          record: this.get(id),
          transition: nextTransition(this.get(id), this.#deps.timings, this.#hasUpstream),
        }))
        .filter(({ transition }) => transition !== undefined && transition.atMs <= now)
        .sort((a, b) => a.transition!.atMs - b.transition!.atMs || a.record.ordinal - b.record.ordinal)[0];
      if (next === undefined) break;
      await this.#apply(next.record, next.transition!);
    }
    for (const id of this.#live)
      if (this.get(id).status === 'in_progress') await this.#executeUntil(this.get(id), now);
  }
}
