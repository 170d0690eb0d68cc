import type { Endpoint } from '../endpoints.ts';
import type { BatchLimits } from '../limits.ts';
import { ManifestEntries } from '../manifest.ts';

/** A batch being filled: requests of one model at one endpoint. */
export interface OpenBatch {
  endpoint: Endpoint;
  model: string;
  entries: ManifestEntries;
  bytes: number;
  embeddingInputs: number;
  outputBytes: number;
  /** Ranges that a reader would fetch, and bytes in them, wanted or not: see {@link isShattered}. */
  ranges: number;
  readBytes: number;
  /** Offset after the last request. */
  end: number;
}

/** What the cutter needs to know of a request. */
export interface Cuttable {
  endpoint: Endpoint;
  model: string;
  line: number;
  offset: number;
  length: number;
  hash0: number;
  hash1: number;
  embeddingInputs: number;
  predictedOutputBytes: number;
}

/** Unwanted bytes between two requests that are cheaper to read over than to start another GET for. */
export const COALESCE_GAP_BYTES = 256 * 1024;

/** Cuts requests into batches that hold one model, one endpoint, and stay within every limit. */
export class Cutter {
  readonly #open = new Map<string, OpenBatch>();
  #last: OpenBatch | undefined;
  readonly #limits: BatchLimits;
  readonly #onFull: (batch: OpenBatch) => void;

  /** @param onFull is given each batch once it can take no more; it must not keep the request that did not fit. */
  constructor(limits: BatchLimits, onFull: (batch: OpenBatch) => void) {
    this.#limits = limits;
    this.#onFull = onFull;
  }

  /** Pairs of model and endpoint seen so far. */
  get groups(): number {
    return this.#open.size;
  }

  /** Takes a request; gives the batch it went into, of which it is the last entry. */
  add(request: Cuttable): OpenBatch {
    let batch = this.#openFor(request);
    if (batch !== undefined && batch.entries.count > 0 && !this.#fits(batch, request)) {
      this.#onFull(batch);
      batch = undefined;
    }
    if (batch === undefined) {
      batch = emptyBatch(request);
      this.#open.set(groupOf(request), batch);
    }
    this.#last = batch;
    const gap = request.offset - batch.end;
    if (batch.ranges === 0 || gap > COALESCE_GAP_BYTES) {
      batch.ranges++;
      batch.readBytes += request.length;
    } else {
      batch.readBytes += gap + request.length;
    }
    batch.end = request.offset + request.length;
    batch.bytes += request.length + 1;
    batch.embeddingInputs += request.embeddingInputs;
    batch.outputBytes += request.predictedOutputBytes;
    batch.entries.push(request.line, request.offset, request.length, 0, request.hash0, request.hash1);
    return batch;
  }

  /** Hands over what is left. */
  finish(): void {
    for (const batch of this.#open.values()) if (batch.entries.count > 0) this.#onFull(batch);
    this.#open.clear();
    this.#last = undefined;
  }

  /** Most lines are of the same model and endpoint as the one before, and making the key of a map costs more than a look. */
  #openFor(request: Cuttable): OpenBatch | undefined {
    const last = this.#last;
    if (last?.model === request.model && last.endpoint === request.endpoint) return last;
    return this.#open.get(groupOf(request));
  }

  #fits(batch: OpenBatch, request: Cuttable): boolean {
    return (
      batch.entries.count + 1 <= this.#limits.requests &&
      batch.bytes + request.length + 1 <= this.#limits.bytes &&
      batch.embeddingInputs + request.embeddingInputs <= this.#limits.embeddingInputs &&
      batch.outputBytes + request.predictedOutputBytes <= this.#limits.outputBytes
    );
  }
}

/** Ranges of a batch that are too many to fetch one by one. */
const SHATTERED_RANGES = 1_000;
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

function groupOf({ endpoint, model }: Cuttable): string {
  return `${endpoint}\0${model}`;
}

function emptyBatch({ endpoint, model }: Cuttable): OpenBatch {
  return {
    endpoint,
    model,
    entries: new ManifestEntries(),
    bytes: 0,
    embeddingInputs: 0,
    outputBytes: 0,
    ranges: 0,
    readBytes: 0,
    end: 0,
  };
}
