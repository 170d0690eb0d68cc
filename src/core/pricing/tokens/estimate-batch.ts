/**
 * The input tokens of a planned batch, estimated from some of its requests, which are read again: those with the
 * smallest hashes, so that a batch has the same estimate in every worker, however often it is made. Nothing has to be
 * kept of a request while its file is scanned.
 */
import { CorruptWorkFileError } from '../../base/errors.ts';
import { type ManifestEntries, readManifest } from '../../files/manifest.ts';
import type { PlannedBatch } from '../../files/plan.ts';
import { readRanges } from '../../files/ranges.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { UnestimatedKind } from '../../model/prompt.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import { checkLine } from '../../requests/check-line.ts';
import { excerptOf } from '../../requests/excerpt.ts';
import { type Counted, count, ENOUGH_ERROR, MIN_COUNTED, type Tokenizer } from './estimate.ts';

/** Requests of a stratum that are read at most, and at least however long they are; bytes that are read of a batch. */
const MAX_COUNTED = 512;
const MIN_READ = 4;
const MAX_READ_BYTES = 16_000_000;
/** Requests that are read side by side, and the bytes that they may have together. */
const READ_AT_A_TIME = 8;
const READ_BYTES_AT_A_TIME = 2_000_000;

/** Requests of about the same length, in random order. */
interface Stratum {
  /** Indexes of entries. */
  order: number[];
  counted: Counted[];
}

/** What may take any number of tokens. */
const UNBOUNDED: readonly UnestimatedKind[] = ['file', 'stored', 'hosted_tool'];

/**
 * @returns input tokens of the whole batch, images and audio at their most, because money is reserved by them;
 *   `undefined` if a request that was read holds something whose tokens cannot be estimated.
 */
export async function estimateBatchTokens(
  objects: Pick<ObjectStore, 'read' | 'get'>,
  batch: Pick<PlannedBatch, 'endpoint' | 'model' | 'manifestKey' | 'textBytes' | 'dataUrlBytes'>,
  tokenizer: Tokenizer,
  rules: Pick<ProviderRules, 'limits' | 'endpoints' | 'models' | 'preflight'>,
): Promise<number | undefined> {
  const { source, entries } = await readManifest(objects, batch.manifestKey);
  const strata = strataOf(entries);
  const totals = { textBytes: batch.textBytes, plainBytes: lengthOf(entries) - batch.dataUrlBytes };
  let readBytes = 0;
  for (let next: readonly Stratum[] = strata; ; ) {
    for (const stratum of next) {
      const more = moreOf(stratum, entries, MAX_READ_BYTES - readBytes);
      for await (const { entry, bytes } of readEntries(objects, source, entries, more)) {
        const counted = countLine(batch, bytes, entries.hash1(entry), tokenizer, rules);
        if (counted.kinds.some((kind) => UNBOUNDED.includes(kind))) return undefined;
        stratum.counted.push(counted);
        readBytes += bytes.length;
      }
    }
    const { tokens, variances } = combine(strata, totals);
    const variance = variances.reduce((sum, each) => sum + each, 0);
    const worst = variances.indexOf(Math.max(...variances));
    const isEnough = Math.sqrt(variance) <= ENOUGH_ERROR * tokens;
    next = [strata[worst]!];
    const hasMore = moreOf(strata[worst]!, entries, MAX_READ_BYTES - readBytes).length > 0;
    if (isEnough || !hasMore) return Math.round(tokens);
  }
}

/** Strata by powers of 4 of the length, so that a few very long requests neither hide the others nor are missed. */
function strataOf(entries: ManifestEntries): Stratum[] {
  const keys = new Map<number, number[]>();
  for (let entry = 0; entry < entries.count; entry++) {
    const size = (31 - Math.clz32(entries.length(entry) | 1)) >> 1;
    // A hash has 32 bits and a batch fewer than 2^20 requests: together they are a whole number that sorts natively.
    const key = entries.hash0(entry) * 2 ** 20 + entry;
    const own = keys.get(size);
    if (own === undefined) keys.set(size, [key]);
    else own.push(key);
  }
  return [...keys.values()].map((own) => {
    const order = Array.from(Float64Array.from(own).sort(), (key) => key % 2 ** 20);
    return { order, counted: [] };
  });
}

function lengthOf(entries: ManifestEntries): number {
  let bytes = 0;
  for (let entry = 0; entry < entries.count; entry++) bytes += entries.length(entry);
  return bytes;
}

/** Entries to be counted next: as many as were counted. */
function moreOf({ order, counted }: Stratum, entries: ManifestEntries, bytes: number): number[] {
  const from = counted.length;
  const more = order.slice(from, from === 0 ? MIN_COUNTED : Math.min(2 * from, MAX_COUNTED));
  let most = 0;
  for (let left = bytes; most < more.length; most++) {
    left -= entries.length(more[most]!);
    if (left < 0) break;
  }
  return more.slice(0, from === 0 ? Math.max(MIN_READ, most) : most);
}

/** The lines of some entries, some of them side by side. */
async function* readEntries(
  objects: Pick<ObjectStore, 'read'>,
  source: SourceObject,
  entries: ManifestEntries,
  wanted: readonly number[],
): AsyncGenerator<{ entry: number; bytes: Uint8Array }> {
  for (let at = 0; at < wanted.length; ) {
    const some: number[] = [];
    for (let bytes = 0; at < wanted.length && some.length < READ_AT_A_TIME; at++) {
      bytes += entries.length(wanted[at]!);
      if (some.length > 0 && bytes > READ_BYTES_AT_A_TIME) break;
      some.push(wanted[at]!);
    }
    yield* await Promise.all(
      some.map(async (entry) => {
        const range = { offset: entries.offset(entry), length: entries.length(entry) };
        const pieces: Uint8Array[] = [];
        // Copies: a piece may be a view of a buffer that is used again.
        for await (const { bytes } of readRanges(objects, source, [range])) pieces.push(Buffer.from(bytes));
        return { entry, bytes: Buffer.concat(pieces) };
      }),
    );
  }
}

function countLine(
  { endpoint, model }: Pick<PlannedBatch, 'endpoint' | 'model'>,
  line: Uint8Array,
  hash1: number,
  tokenizer: Tokenizer,
  rules: Pick<ProviderRules, 'limits' | 'endpoints' | 'models' | 'preflight'>,
): Counted {
  const request = checkLine(line, rules);
  if (!request.valid)
    throw new CorruptWorkFileError(
      `a line of ${line.length} bytes for ${endpoint} is no valid request any more; did the object change?`,
    );
  const { textBytes, dataUrlBytes } = request;
  const excerpt = excerptOf(rules.endpoints.get(request.url)!, line, hash1 / 2 ** 32);
  const sampled = { textBytes, plainBytes: line.length - dataUrlBytes, excerpt };
  return count(sampled, { name: model, rules: rules.models }, tokenizer);
}

/**
 * Scales up what was counted. Text: by its bytes, or by all bytes that are no data: URL, whichever predicts the
 * sample's own tokens better; the batch's bytes are known. Everything else: by the number of requests.
 * @returns variances by stratum, of the estimate of all tokens.
 */
function combine(
  strata: readonly Stratum[],
  totals: { textBytes: number; plainBytes: number },
): { tokens: number; variances: number[] } {
  const byText = combinedRatio(strata, ({ textBytes }) => textBytes, totals.textBytes);
  const byBytes = combinedRatio(strata, ({ plainBytes }) => plainBytes, totals.plainBytes);
  const text = byText !== undefined && byText.variance <= (byBytes?.variance ?? Infinity) ? byText : byBytes;
  const others = strata.map((stratum) => expand(stratum, ({ otherAtMost }) => otherAtMost));
  return {
    tokens: (text?.tokens ?? 0) + others.reduce((sum, { total }) => sum + total, 0),
    variances: others.map(({ variance }, index) => variance + (text?.variances[index] ?? 0)),
  };
}

/** The combined ratio estimator. Source: W. G. Cochran, "Sampling Techniques", 3rd edition, section 6.11. */
function combinedRatio(
  strata: readonly Stratum[],
  measureOf: (request: Counted) => number,
  total: number,
): { tokens: number; variance: number; variances: number[] } | undefined {
  const sumOf = (figureOf: (request: Counted) => number): number =>
    strata.reduce((sum, stratum) => sum + expand(stratum, figureOf).total, 0);
  const measured = sumOf(measureOf);
  if (measured === 0) return undefined;
  const rate = sumOf(({ text }) => text) / measured;
  const variances = strata.map(
    (stratum) => expand(stratum, (request) => request.text - rate * measureOf(request)).variance,
  );
  return { tokens: rate * total, variance: variances.reduce((sum, each) => sum + each, 0), variances };
}

/** The sum over a stratum, estimated from what was counted of it. */
function expand(
  { order, counted }: Stratum,
  figureOf: (request: Counted) => number,
): { total: number; variance: number } {
  const [requests, n] = [order.length, counted.length];
  const values = counted.map(figureOf);
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const isWhole = n >= requests;
  const variance = isWhole || n < 2 ? 0 : (requests * (requests - n) * squares) / (n * (n - 1));
  return { total: requests * mean, variance };
}
