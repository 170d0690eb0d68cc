import { ManifestEntries } from '../../files/manifest.ts';
import { COALESCE_GAP_BYTES } from '../../files/ranges.ts';
import type { BatchLimits } from '../../model/limits.ts';
import { withOutputLimit } from '../../model/output-limit.ts';
import type { RequestSpan } from '../../requests/line-scanner.ts';

/** A batch being filled: requests of one model at one endpoint. */
export interface OpenBatch {
  endpoint: string;
  model: string;
  entries: ManifestEntries;
  bytes: number;
  embeddingInputs: number;
  outputBytes: number;
  textBytes: number;
  dataUrlBytes: number;
  /** Ranges that a reader would fetch, and bytes in them, wanted or not: see {@link isShattered}. */
  ranges: number;
  readBytes: number;
  /** Offset after the last request. */
  end: number;
}

/** What the cutter needs to know of a request. */
export interface Cuttable {
  endpoint: string;
  model: string;
  line: number;
  offset: number;
  length: number;
  hash0: number;
  hash1: number;
  embeddingInputs: number;
  predictedOutputBytes: number;
  /** See `EndpointRules.outputLimitOf`. */
  outputLimit?: number | undefined;
  textBytes: number;
  dataUrlBytes: number;
}

/** What requests take of a batch together. */
type Sums = Pick<
  Cuttable,
  'length' | 'embeddingInputs' | 'predictedOutputBytes' | 'textBytes' | 'dataUrlBytes'
>;
/**
 * Requests that open batches may hold together: 32 MB of entries. Where many groups fill up at the same time, the
 * largest batch is closed early, so that memory does not grow with the number of groups.
 */
const MAX_OPEN_REQUESTS = 1_000_000;

/** Lists kept to be filled again: 3 MB at the most. */
const MAX_SPARE = 2;

/** Cuts requests into batches that hold one model, one endpoint, and stay within every limit. */
export class Cutter {
  readonly #open = new Map<string, OpenBatch>();
  /** The same by endpoint and model: no text is put together to find one. */
  readonly #byEndpoint = new Map<string, Map<string, OpenBatch>>();
  #last: OpenBatch | undefined;
  readonly #limits: BatchLimits;
  readonly #onFull: (batch: OpenBatch) => void;
  readonly #maxOpenRequests: number;
  readonly #evenBytes: number;
  readonly #totalBytes: number | undefined;
  readonly #isSpooled: boolean;
  #openRequests = 0;
  #isShattered = false;
  /** Lists of requests whose batches were returned and are no longer needed. */
  readonly #spare: ManifestEntries[] = [];

  /**
   * @param onFull is given each batch once it can take no more; it must not keep the request that did not fit.
   * @param options.resume the batches that another cutter had {@link open}, in that order.
   * @param options.maxOpenRequests default: 1,000,000.
   * @param options.totalBytes of all requests that will come, at the most: while there is one group, its batches are
   * closed as soon as they have their even share of it (95 and 95 MB, not 190 and nothing much). Default: batches are
   * filled up.
   * @param options.isSpooled requests are written out, so that it does not matter where they are in the source.
   *   Default: false.
   */
  constructor(
    limits: BatchLimits,
    onFull: (batch: OpenBatch) => void,
    options: {
      resume?: readonly OpenBatch[];
      maxOpenRequests?: number | undefined;
      totalBytes?: number | undefined;
      isSpooled?: boolean;
    } = {},
  ) {
    this.#evenBytes =
      options.totalBytes === undefined
        ? Number.POSITIVE_INFINITY
        : options.totalBytes / Math.ceil(options.totalBytes / limits.bytes);
    this.#totalBytes = options.totalBytes;
    this.#limits = limits;
    this.#onFull = onFull;
    this.#maxOpenRequests = options.maxOpenRequests ?? MAX_OPEN_REQUESTS;
    this.#isSpooled = options.isSpooled ?? false;
    for (const batch of options.resume ?? []) {
      this.#put(batch);
      this.#openRequests += batch.entries.count;
    }
  }

  /** The batches being filled, one for each group that was seen, in the order in which the groups came; some empty. */
  get open(): OpenBatch[] {
    return [...this.#open.values()];
  }

  /** Pairs of model and endpoint seen so far. */
  get groups(): number {
    return this.#open.size;
  }

  /** Whether a batch was ever {@link isShattered}, or was certain to be. */
  get isShattered(): boolean {
    return this.#isShattered;
  }

  /** Takes a request; gives the batch it went into, of which it is the last entry. */
  add(request: Cuttable): OpenBatch {
    if (this.#openRequests >= this.#maxOpenRequests) this.#close(this.#largest());
    let batch = this.#openFor(request);
    if (batch.entries.count > 0 && (this.#hasItsShare(batch, 0) || !this.#fits(batch, 1, request)))
      batch = this.#close(batch);
    this.#grow(batch, request.offset, request.offset + request.length, 1, request);
    const { line, offset, length, outputLimit, hash0, hash1 } = request;
    batch.entries.push({ line, offset, length, tried: withOutputLimit(0, outputLimit), hash0, hash1 });
    this.#isShattered ||= !this.#isSpooled && isShattered(batch);
    return batch;
  }

  /** As {@link add} one by one: at once where nothing needs to be asked of each. */
  addSpan(span: RequestSpan): void {
    const { count, start, end, length, entries } = span;
    const batch = this.#openFor(span);
    const gaps = end - start - length;
    const readBytes = batch.readBytes + (batch.ranges === 0 ? 0 : start - batch.end) + end - start;
    const isOneByOne =
      this.#openRequests + count > this.#maxOpenRequests ||
      this.#hasItsShare(batch, length + count) ||
      !this.#fits(batch, count, span) ||
      // Between two of them might lie the end of a range; on the way to the last, the batch might be shattered.
      gaps > COALESCE_GAP_BYTES ||
      batch.ranges >= SHATTERED_RANGES ||
      (readBytes > SHATTERED_FROM_BYTES && readBytes > SHATTERED_RATIO * batch.bytes);
    if (isOneByOne) {
      for (const request of span.requests()) this.add(request);
      return;
    }
    this.#grow(batch, start, end, count, span);
    batch.entries.pushRecords(entries);
  }

  /** Counts `count` requests into the batch, which together are as large as `sums` says. */
  #grow(batch: OpenBatch, start: number, end: number, count: number, sums: Sums): void {
    this.#last = batch;
    this.#openRequests += count;
    const gap = start - batch.end;
    if (batch.ranges === 0 || gap > COALESCE_GAP_BYTES) {
      batch.ranges++;
      batch.readBytes += end - start;
      this.#isShattered ||= this.#willBeShattered(batch, start);
    } else {
      batch.readBytes += gap + end - start;
    }
    batch.end = end;
    batch.bytes += sums.length + count;
    batch.embeddingInputs += sums.embeddingInputs;
    batch.outputBytes += sums.predictedOutputBytes;
    batch.textBytes += sums.textBytes;
    batch.dataUrlBytes += sums.dataUrlBytes;
  }

  /**
   * Whether a batch whose last range begins at `start` will have too many ranges if the file continues as it began.
   * Without that, most of a file might be read before it is known, and all of it again.
   */
  #willBeShattered(batch: OpenBatch, start: number): boolean {
    if (this.#totalBytes === undefined || this.#isSpooled || batch.ranges < RANGES_TO_JUDGE_BY) return false;
    const filled = Math.max(
      batch.entries.count / this.#limits.requests,
      batch.bytes / this.#limits.bytes,
      start / this.#totalBytes,
    );
    return batch.ranges > SHATTERED_RANGES * filled;
  }

  /** Takes back the list of a batch that was returned, to be filled again: new memory costs more than filling it. */
  reuse(entries: ManifestEntries): void {
    if (this.#spare.length === MAX_SPARE) return;
    entries.clear();
    this.#spare.push(entries);
  }

  /** Returns what is left. */
  finish(): void {
    for (const batch of this.#open.values()) if (batch.entries.count > 0) this.#onFull(batch);
    this.#open.clear();
    this.#byEndpoint.clear();
    this.#openRequests = 0;
    this.#last = undefined;
  }

  /** Hands a batch over and gives the one that takes its place. */
  #close(batch: OpenBatch): OpenBatch {
    // A group that has filled one batch may fill another.
    const next = emptyBatch(batch, this.#spare.pop() ?? new ManifestEntries(batch.entries.count));
    this.#put(next);
    this.#openRequests -= batch.entries.count;
    this.#last = undefined;
    this.#onFull(batch);
    return next;
  }

  #largest(): OpenBatch {
    let largest: OpenBatch | undefined;
    for (const batch of this.#open.values())
      if (batch.entries.count > (largest?.entries.count ?? -1)) largest = batch;
    return largest!;
  }

  /**
   * Most lines are of the same model and endpoint as the one before, and making the key of a map costs more than a
   * look.
   */
  #openFor(request: Pick<Cuttable, 'endpoint' | 'model'>): OpenBatch {
    const last = this.#last;
    if (last?.model === request.model && last.endpoint === request.endpoint) return last;
    let batch = this.#byEndpoint.get(request.endpoint)?.get(request.model);
    if (batch === undefined) {
      batch = emptyBatch(request);
      this.#put(batch);
    }
    return batch;
  }

  /** Whether a batch, with `more` bytes, is as large as all that there will be. */
  #hasItsShare(batch: OpenBatch, more: number): boolean {
    return batch.bytes + more >= this.#evenBytes && this.#open.size === 1;
  }

  #put(batch: OpenBatch): void {
    this.#open.set(groupOf(batch), batch);
    const ofEndpoint = this.#byEndpoint.get(batch.endpoint);
    if (ofEndpoint === undefined) this.#byEndpoint.set(batch.endpoint, new Map([[batch.model, batch]]));
    else ofEndpoint.set(batch.model, batch);
  }

  #fits(batch: OpenBatch, count: number, sums: Sums): boolean {
    return (
      batch.entries.count + count <= this.#limits.requests &&
      batch.bytes + sums.length + count <= this.#limits.bytes &&
      batch.embeddingInputs + sums.embeddingInputs <= this.#limits.embeddingInputs &&
      batch.outputBytes + sums.predictedOutputBytes <= this.#limits.outputBytes
    );
  }
}

/** Ranges of a batch that are too many to fetch one by one. */
const SHATTERED_RANGES = 1_000;
/** From so many ranges on, it is foreseen how many a batch will have. */
const RANGES_TO_JUDGE_BY = 64;
/** How many times its own size a batch may cost to read, and from which size on that matters. */
const SHATTERED_RATIO = 3;
const SHATTERED_FROM_BYTES = 16_000_000;

/**
 * Whether a batch is spread so thin over its source that reading its ranges would cost more than writing its lines out
 * once: models that take turns line by line do that.
 */
export function isShattered(batch: OpenBatch): boolean {
  return (
    batch.ranges > SHATTERED_RANGES ||
    (batch.readBytes > SHATTERED_FROM_BYTES && batch.readBytes > SHATTERED_RATIO * batch.bytes)
  );
}

function groupOf({ endpoint, model }: Pick<Cuttable, 'endpoint' | 'model'>): string {
  return `${endpoint}\0${model}`;
}

function emptyBatch(
  { endpoint, model }: Pick<Cuttable, 'endpoint' | 'model'>,
  entries = new ManifestEntries(),
): OpenBatch {
  return {
    endpoint,
    model,
    entries,
    bytes: 0,
    embeddingInputs: 0,
    outputBytes: 0,
    textBytes: 0,
    dataUrlBytes: 0,
    ranges: 0,
    readBytes: 0,
    end: 0,
  };
}
