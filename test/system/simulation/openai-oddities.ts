import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { BatchLevelError, BatchStatus } from '../../../src/core/model/batch.ts';
import { BATCH_ERRORS } from './openai-fates.ts';
import type { LateFailure, Progress, ServiceBatch, ServiceFile, ServiceWorld } from './openai-model.ts';
import type { Random } from './random.ts';
import { type Scenario, START_MS } from './scenario.ts';
import type { Kind } from './weather.ts';

/** Where a page of the list of batches begins and ends, and what it says of the next one. */
export interface ListPage {
  batches: ServiceBatch[];
  next?: string;
  /** There is more, and nothing to continue from. */
  isCut?: boolean;
}

/** Calls up to here can be waited for by a worker that has just begun (15 minutes, less what it needs for itself). */
const FITS_A_WORKER_MS = 11 * MINUTE_MS;

/** An unanswered create is looked up for at least so long, so that the list may be without its batch until then. */
const MAY_BE_UNLISTED_MS = 10 * MINUTE_MS;

export class Oddities {
  readonly #world: Pick<ServiceWorld, 'now' | 'isStormy' | 'note'>;
  readonly #kinds: ReadonlySet<Kind>;
  readonly #streams: Record<Kind, Random>;
  /** A create is refused before its file is so old. */
  readonly #youngMs: number;
  /** In this time after the start, nobody who only follows the list comes to its end. */
  readonly #circling: { from: number; until: number };
  /** What a call takes on average. */
  readonly #latencyMs: { flex: number; standard: number };
  /** Whether nothing but its own worker can cut a call short. */
  readonly #isCounted: boolean;
  /** Whether a restore may make the core forget that it saw a batch running. */
  readonly #mayForget: boolean;

  constructor(
    world: Pick<ServiceWorld, 'now' | 'isStormy' | 'note'>,
    random: Random,
    { kinds, weather, restore }: Pick<Scenario, 'kinds' | 'weather' | 'restore'>,
  ) {
    this.#world = world;
    this.#kinds = kinds;
    this.#mayForget = restore !== undefined;
    this.#isCounted = weather.slow === 0 && weather.hurry === 0;
    this.#streams = new Proxy({} as Record<Kind, Random>, {
      get: (streams, kind: Kind) => (streams[kind] ??= random.fork(kind)),
    });
    this.#youngMs = kinds.has('young-files')
      ? this.#streams['young-files'].spread(2 * SECOND_MS, 10 * MINUTE_MS)
      : 0;
    this.#circling = { from: 0, until: 0 };
    if (kinds.has('list-pages') && this.#streams['list-pages'].chance(0.4)) {
      const from = this.#streams['list-pages'].spread(MINUTE_MS, 4 * HOUR_MS);
      this.#circling = { from, until: from + this.#streams['list-pages'].spread(MINUTE_MS, 12 * HOUR_MS) };
    }
    this.#latencyMs = kinds.has('long-calls')
      ? drawLatency(this.#streams['long-calls'])
      : { flex: 0, standard: 0 };
  }

  /** Lets a new batch end as failed after it ran, if it is to. */
  begun(batch: ServiceBatch): void {
    const random = this.#drawn('failed-after-execution', 0.4);
    if (random === undefined || batch.steps.at(-1)?.to !== 'completed') return;
    batch.lateFailure = random.pick<LateFailure>(
      this.#mayForget ? ['files', 'counts'] : ['files', 'files', 'counts', 'silent'],
    );
    const { at } = batch.steps.pop()!;
    batch.steps.push({ at, to: 'failed' });
  }

  /** What is reported of a batch that fails late. */
  lateErrors(): BatchLevelError[] | undefined {
    const random = this.#streams['failed-after-execution'];
    return random.chance(0.2) ? undefined : [random.pick(BATCH_ERRORS)];
  }

  /** Hides what a completed batch counts, and its files for a while. */
  ended(batch: ServiceBatch, status: BatchStatus, at: number): void {
    if (status !== 'completed' || !batch.isStormy || !this.#kinds.has('counts')) return;
    const random = this.#streams.counts;
    const told = random.pick(['right', 'absent', 'zero', 'low'] as const);
    if (told === 'right') return;
    this.#world.note(`counts:${told}`);
    batch.toldCounts = told;
    if (random.chance(0.5)) return;
    this.#world.note('counts:files late');
    const until = at + random.spread(SECOND_MS, 40 * MINUTE_MS);
    const file = batch.output;
    if (file === undefined || random.chance(0.5)) batch.namedAt = Math.max(batch.namedAt, until);
    else {
      file.lateUntil = Math.max(file.lateUntil ?? 0, until);
      file.lateLooks ??= random.pick(['missing', 'empty']);
    }
  }

  /** What a batch says of its progress: absent where it says nothing. */
  progressOf({ progress, toldCounts, status }: ServiceBatch): Progress | undefined {
    if (status !== 'completed' || toldCounts === undefined) return { ...progress };
    if (toldCounts === 'absent') return undefined;
    if (toldCounts === 'zero') return { total: 0, completed: 0, failed: 0 };
    const half = (count: number): number => Math.floor(count / 2);
    return {
      total: half(progress.total),
      completed: half(progress.completed),
      failed: half(progress.failed),
    };
  }

  /** Lets the first downloads of a result file end after a whole line. */
  stored(file: ServiceFile, batch: ServiceBatch, at: number): void {
    if (!batch.isStormy || !this.#kinds.has('line-boundary')) return;
    const random = this.#streams['line-boundary'];
    if (random.chance(0.4)) return;
    const ends = [...Buffer.from(file.content).toString('latin1').matchAll(/\n/g)].map(
      ({ index }) => index + 1,
    );
    const before = ends.filter((end) => end < file.content.length);
    if (before.length === 0) return;
    file.partUntil = at + random.spread(10 * SECOND_MS, 40 * MINUTE_MS);
    file.part = random.pick(before);
    file.isPartLengthTold = random.chance(0.5);
  }

  /** How much of a file a download gives; `undefined`: all. */
  partOf(file: ServiceFile): { end: number; bytes?: number } | undefined {
    if (file.partUntil === undefined || this.#world.now() >= file.partUntil) return undefined;
    this.#world.note('download:ended after a line');
    const end = file.part!;
    return file.isPartLengthTold ? { end, bytes: end } : { end };
  }

  /** Whether a file is too young for a batch. */
  isTooYoung(file: ServiceFile): boolean {
    if (this.#world.now() >= file.createdAt + this.#youngMs) return false;
    this.#world.note('error:create young file');
    return true;
  }

  /** How long a call takes; 0: no time. */
  latencyMs(serviceTier: string): number {
    const base = this.#latencyMs[serviceTier === 'flex' ? 'flex' : 'standard'];
    return base === 0 ? 0 : Math.round(base * (0.8 + 0.4 * this.#streams['long-calls'].fraction()));
  }

  /**
   * Counts a call that takes minutes, and whether its caller has given it up although a fresh worker could have waited.
   */
  longCall(ms: number, isCut: boolean): void {
    this.#world.note('long call:made');
    if (ms > FITS_A_WORKER_MS) this.#world.note('long call:longer than a worker lives');
    else if (this.#isCounted) {
      this.#world.note('long call:that fits a worker');
      if (isCut) this.#world.note('long call:cut by its caller');
    }
  }

  /** Whether an answer has usage. */
  hasUsage(): boolean {
    if (!this.#kinds.has('missing-usage') || this.#streams['missing-usage'].chance(0.5)) return true;
    this.#world.note('answer without usage');
    return false;
  }

  /**
   * A page of the list, or one that is not what it should be. What no record knows yet is hidden only while its create
   * is young: later, nobody could tell that it was made.
   * @param after which batch the page begins after, as it was asked for.
   */
  page(
    all: readonly ServiceBatch[],
    right: ListPage,
    after: string | undefined,
    isKnown: (batch: ServiceBatch) => boolean,
  ): ListPage {
    const { batches, next } = right;
    if (this.#isCircling() && next === undefined && all.length > 0) {
      // After the last page comes an earlier one, and so on for ever.
      this.#world.note('list:cycles');
      return { batches, next: this.#streams['list-pages'].pick(all).id };
    }
    const random = this.#drawn('list-pages', 0.3);
    if (random === undefined) return right;
    const mayHide = (batch: ServiceBatch): boolean =>
      isKnown(batch) || this.#world.now() < batch.createdAt + MAY_BE_UNLISTED_MS;
    const start = all.indexOf(batches[0]!);
    const oddity = random.pick([
      'skips',
      ...(start > 0 ? ['repeats', 'repeats', 'repeats'] : []),
      ...(next === undefined ? [] : ['cut', 'empty']),
      ...(next === undefined || after === undefined ? [] : ['stays', 'stays', 'stays', 'stays']),
    ]);
    const hidden = batches.filter((batch) => mayHide(batch) && (oddity === 'empty' || random.chance(0.5)));
    if (oddity === 'skips' && hidden.length === 0) return right;
    if (oddity === 'empty' && hidden.length < batches.length) return right;
    this.#world.note(`list:${oddity}`);
    switch (oddity) {
      case 'repeats':
        return { ...right, batches: [...all.slice(Math.max(0, start - 2), start), ...batches] };
      case 'cut':
        return { batches, isCut: true };
      case 'stays':
        return { batches: [], next: after! };
      default:
        return { ...right, batches: batches.filter((batch) => !hidden.includes(batch)) };
    }
  }

  #isCircling(): boolean {
    const at = this.#world.now() - START_MS;
    return this.#world.isStormy() && at >= this.#circling.from && at < this.#circling.until;
  }

  /** The stream of a kind, if it is to strike now. */
  #drawn(kind: Kind, probability: number): Random | undefined {
    if (!this.#kinds.has(kind) || !this.#world.isStormy()) return undefined;
    const random = this.#streams[kind];
    return random.chance(probability) ? random : undefined;
  }
}

/** Standard is as slow as flex, or much faster. */
function drawLatency(random: Random): { flex: number; standard: number } {
  const flex = random.pick([3, 6, 9, 12, 25]) * MINUTE_MS;
  return { flex, standard: random.chance(0.5) ? flex : random.whole(1, 120) * SECOND_MS };
}
