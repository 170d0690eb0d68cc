/**
 * What a file would become and cost, from the file alone: the same check, cut and limits that ingest applies,
 * tokens estimated, prices looked up. Nothing is sent anywhere.
 */
import type { FirstInvalid } from '../../contract/receipt.ts';
import type { Route } from '../../contract/route.ts';
import { CustomIdHasher } from '../base/custom-id-hash.ts';
import { GzipError } from '../files/gunzip.ts';
import { ManifestEntries, renderedBytes } from '../files/manifest.ts';
import { unpacked } from '../files/unpacked.ts';
import { type BatchLimits, MAX_GROUPS } from '../model/limits.ts';
import { withOutputLimit } from '../model/output-limit.ts';
import { UNESTIMATED_KINDS } from '../model/prompt.ts';
import type { ByteStream } from '../ports/objects.ts';
import type { ProviderRules } from '../ports/provider-rules.ts';
import { sizeOf } from '../pricing/bound.ts';
import type { Prices } from '../pricing/prices.ts';
import { estimateTokens, type TokenEstimate, type Tokenizer } from '../pricing/tokens/estimate.ts';
import { PromptSample, SampleBudget } from '../pricing/tokens/sample.ts';
import {
  checkLine,
  duplicateCustomId,
  type InvalidLine,
  lineTooLong,
  refusedByPreflight,
  type ValidLine,
} from '../requests/check-line.ts';
import { showInvalid } from '../requests/first-invalid.ts';
import { LineScanner, type ScannedRequest } from '../requests/line-scanner.ts';
import { PreflightFindings } from '../requests/preflight-findings.ts';
import { Cutter, type OpenBatch } from '../steps/ingest/cutter.ts';
import { type Additions, checkFilledIn } from '../steps/ingest/fill-in.ts';
import { rejectionOf } from '../steps/ingest/plan-policy.ts';
import type { BatchForecast, Bound, Forecast, GroupForecast } from './file-forecast.ts';
import { ASSUMED_OUTPUT_TOKENS } from './file-forecast.ts';
import { SharedPrefixes } from './prefixes.ts';
import { SeenIds } from './seen-ids.ts';

export interface ForecastOptions {
  rules: ProviderRules;
  limits: BatchLimits;
  tokenizerOf: (model: string) => Tokenizer;
  prices: Pick<Prices, 'shortContextTokens' | 'unlimitedOutputTokens'>;
  /** OpenAI's limit of enqueued tokens of a model, if it is known: larger batches are cut again. */
  enqueuedTokensOf?: (model: string) => number | undefined;
  /** What the file's route fills in. Default: nothing. */
  additions?: Additions | undefined;
  /** Whether the route takes files with invalid lines, and lines that are sure to be refused. Default: it does. */
  route?: Pick<Route, 'name' | 'onInvalid' | 'preflight'> | undefined;
}

/** Batches stay below this share of the limit of enqueued tokens, so that others find room beside them. */
const ENQUEUED_SHARE = 0.8;
/** Long requests that are counted token by token; of more, tokens are estimated from their bytes. */
const MAX_COUNTED_LONG = 100;
const MAX_LONG_LINES = 10;
/** Seeds the hash of ids. */
const JOB_ID = 'f0'.repeat(16);

/** Reads a file to its end, packed or not. */
export async function forecast(stream: ByteStream, options: ForecastOptions): Promise<Forecast> {
  const reading = new Reading(options);
  try {
    for await (const chunk of await unpacked(stream)) {
      reading.push(chunk);
      if (reading.hasTooManyGroups) break;
    }
  } catch (error) {
    if (!(error instanceof GzipError)) throw error;
    return { ...reading.finish(), batches: [], rejection: { code: error.code, message: error.message } };
  }
  return reading.finish();
}

type Place = Pick<ScannedRequest, 'line' | 'offset' | 'length'>;
type Request = Omit<ScannedRequest, 'copyTo'>;

interface OpenGroup extends GroupForecast {
  error: number;
}

class Reading {
  readonly #options: ForecastOptions;
  readonly #scanner: LineScanner;
  readonly #cutter: Cutter;
  readonly #seen = new SeenIds();
  readonly #hasher = new CustomIdHasher(JOB_ID);
  readonly #budget = new SampleBudget();
  readonly #samples = new Map<OpenBatch, PromptSample>();
  readonly #duplicates = new Map<OpenBatch, ManifestEntries>();
  readonly #groups = new Map<string, OpenGroup>();
  readonly #prefixes: SharedPrefixes;
  readonly #preflight = new PreflightFindings();
  readonly #batches: BatchForecast[] = [];
  readonly #firstInvalid: FirstInvalid = {};
  readonly #invalidByCode: Record<string, number> = {};
  #lines = 0;
  #invalid = 0;
  #withoutCacheKey = 0;
  #countedLong = { requests: 0, textBytes: 0, tokens: 0 };
  /** The request that did not fit into the batch that was just closed. */
  #pending: Request | undefined;

  constructor(options: ForecastOptions) {
    this.#options = options;
    this.#prefixes = new SharedPrefixes(options.tokenizerOf);
    this.#cutter = new Cutter(options.limits, (batch) => this.#close(batch));
    const { additions } = options;
    this.#scanner = new LineScanner(
      JOB_ID,
      additions === undefined
        ? {
            onSpan: (span) => {
              this.#lines += span.count;
              for (const request of span.requests()) this.#accept(request);
            },
            onLine: (line) =>
              this.#take(line, line.bytes && checkLine(line.bytes, options.rules), line.bytes),
          }
        : {
            onSpan: (span) => {
              for (const request of span.requests()) this.#fillIn(request, request.bytes(), additions);
            },
            onLine: (line) => this.#fillIn(line, line.bytes, additions),
          },
      { rules: options.rules },
    );
  }

  /** As in ingest, every line is filled in before it is judged, those that need nothing too. */
  #fillIn(line: Place, dropped: Uint8Array | undefined, additions: Additions): void {
    const filled = dropped && checkFilledIn(dropped, additions, this.#options.rules);
    this.#take(line, filled?.verdict, filled?.bytes);
  }

  /** @param verdict absent for a line that is too long to be looked at. */
  #take(place: Place, verdict: ValidLine | InvalidLine | undefined, bytes: Uint8Array | undefined): void {
    this.#lines++;
    const { line, offset } = place;
    if (verdict === undefined || bytes === undefined || !verdict.valid) {
      this.#reject(line, offset, verdict?.valid === false ? verdict : lineTooLong(place.length));
      return;
    }
    const { customId, url: endpoint, refusal, ...values } = verdict;
    if (refusal !== undefined) {
      this.#preflight.add(refusal, line);
      if (this.#options.route?.preflight === 'reject') {
        this.#reject(line, offset, refusedByPreflight(refusal, customId));
        return;
      }
    }
    this.#hasher.hashText(customId);
    const { hash0, hash1 } = this.#hasher;
    const own = { line, offset, length: bytes.length, bytes: () => bytes, customId: () => customId };
    this.#accept({ ...values, ...own, endpoint, hash0, hash1 });
  }

  get hasTooManyGroups(): boolean {
    return this.#cutter.groups > MAX_GROUPS;
  }

  push(chunk: Uint8Array): void {
    this.#scanner.push(chunk);
  }

  finish(): Forecast {
    if (!this.hasTooManyGroups) this.#scanner.end();
    this.#pending = undefined;
    this.#cutter.finish();
    const groups = [...this.#groups.values()].map(({ error, ...group }) => ({
      ...group,
      relativeError: group.inputTokens === 0 ? 0 : Math.sqrt(error) / group.inputTokens,
    }));
    return {
      lines: this.#lines,
      blank: this.#scanner.blank,
      invalid: this.#invalid,
      invalidByCode: this.#invalidByCode,
      firstInvalid: this.#firstInvalid,
      batches: this.#batches,
      groups,
      prefixes: this.#prefixes.report(),
      preflight: this.#preflight.list(),
      withoutCacheKey: this.#withoutCacheKey,
      rejection: this.#rejection(),
    };
  }

  #rejection(): Forecast['rejection'] {
    if (this.hasTooManyGroups) {
      const message = `The file mixes more than ${MAX_GROUPS} pairs of model and endpoint; split it by model.`;
      return { code: 'too_many_models', message };
    }
    const found = { requests: this.#lines, invalid: this.#invalid, invalidByCode: this.#invalidByCode };
    return rejectionOf({ ...found, firstInvalid: this.#firstInvalid }, this.#options.route);
  }

  #reject(line: number, byte: number, { code, message }: InvalidLine): void {
    this.#invalid++;
    this.#invalidByCode[code] = (this.#invalidByCode[code] ?? 0) + 1;
    showInvalid(this.#firstInvalid, code, { line, byte, message });
  }

  #accept(request: Request): void {
    const { endpoint, model, line, offset } = request;
    this.#pending = request;
    // As in ingest, a duplicate takes part in cutting, and is taken out afterwards.
    const batch = this.#cutter.add(request);
    const firstLine = this.#seen.add(request.hash0, request.hash1, line);
    if (firstLine !== 0) {
      this.#reject(line, offset, duplicateCustomId(request.customId(), firstLine));
      const taken = this.#duplicates.get(batch) ?? new ManifestEntries();
      const { length, hash0, hash1, outputLimit } = request;
      taken.push({ line, offset, length, tried: withOutputLimit(0, outputLimit), hash0, hash1 });
      this.#duplicates.set(batch, taken);
      return;
    }
    let sample = this.#samples.get(batch);
    if (sample === undefined) {
      sample = new PromptSample(this.#options.rules, endpoint, model, this.#budget);
      this.#samples.set(batch, sample);
    }
    sample.add(request);
    this.#look(request);
  }

  /** Looks at what the scanner does not measure. */
  #look(request: Request): void {
    const { endpoint, model, line } = request;
    const group = this.#groupOf(endpoint, model);
    group.requests++;
    const body = bodyOf(request.bytes());
    const rules = this.#options.rules.endpoints.get(endpoint)!;
    const output = rules.outputLimitOf(body);
    if (output === undefined) group.unlimited++;
    const outputTokens = output ?? ASSUMED_OUTPUT_TOKENS;
    group.outputTokens += outputTokens;
    const { texts, opaqueAt } = rules.readPrompt(body);
    if (rules.promptCache !== undefined) {
      const { minTokens, keyMember } = rules.promptCache;
      this.#prefixes.add({ endpoint, model, minTokens }, texts.slice(0, opaqueAt), line);
      if (!Object.hasOwn(body, keyMember)) this.#withoutCacheKey++;
    }
    const inputTokens = this.#tokensIfLong(model, request.textBytes, texts);
    if (inputTokens <= this.#options.prices.shortContextTokens) return;
    const { long } = group;
    long.requests++;
    long.inputTokens += inputTokens;
    long.outputTokens += outputTokens;
    if (long.firstLines.length < MAX_LONG_LINES) long.firstLines.push(line);
  }

  /** 0 for texts that have fewer bytes than a long request has tokens. */
  #tokensIfLong(model: string, textBytes: number, texts: readonly string[]): number {
    if (textBytes <= this.#options.prices.shortContextTokens) return 0;
    const known = this.#countedLong;
    if (known.requests >= MAX_COUNTED_LONG) return Math.round((textBytes * known.tokens) / known.textBytes);
    const tokenizer = this.#options.tokenizerOf(model);
    const tokens = texts.reduce((sum, text) => sum + tokenizer(text), 0);
    known.requests++;
    known.textBytes += textBytes;
    known.tokens += tokens;
    return tokens;
  }

  #groupOf(endpoint: string, model: string): OpenGroup {
    const key = `${endpoint}\0${model}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = {
        endpoint,
        model,
        requests: 0,
        batches: 0,
        inputTokens: 0,
        inputTokensAtMost: 0,
        relativeError: 0,
        unestimated: {},
        outputTokens: 0,
        unlimited: 0,
        long: { requests: 0, inputTokens: 0, outputTokens: 0, firstLines: [] },
        error: 0,
      };
      this.#groups.set(key, group);
    }
    return group;
  }

  #close(batch: OpenBatch): void {
    const { endpoint, model } = batch;
    const taken = this.#duplicates.get(batch) ?? new ManifestEntries();
    this.#duplicates.delete(batch);
    const sample = this.#samples.get(batch);
    if (sample === undefined) return;
    const estimate = estimateTokens(sample, this.#options.tokenizerOf(model));
    sample.release();
    this.#samples.delete(batch);
    this.#addEstimate(this.#groupOf(endpoint, model), estimate);
    const { inputTokens, inputTokensAtMost } = estimate;
    const unlimited = this.#options.prices.unlimitedOutputTokens(model);
    const { outputTokens, longestBytes } = sizeOf(batch.entries, unlimited);
    const whole: BatchForecast = {
      endpoint,
      model,
      requests: batch.entries.count - taken.count,
      bytes: batch.bytes - renderedBytes(taken),
      inputTokens,
      inputTokensAtMost,
      outputTokensAtMost: outputTokens - sizeOf(taken, unlimited).outputTokens,
      longestBytes,
      bound: this.#boundOf(batch),
    };
    this.#batches.push(...this.#cutByTokens(whole));
  }

  #addEstimate(group: OpenGroup, estimate: TokenEstimate): void {
    group.batches++;
    group.inputTokens += estimate.inputTokens;
    group.inputTokensAtMost += estimate.inputTokensAtMost;
    group.error += ((estimate.relativeError ?? 0) * estimate.inputTokens) ** 2;
    for (const kind of UNESTIMATED_KINDS) {
      const requests = estimate.unestimated[kind];
      if (requests !== undefined) group.unestimated[kind] = (group.unestimated[kind] ?? 0) + requests;
    }
  }

  /** Which limit the next request would have gone beyond. */
  #boundOf(batch: OpenBatch): Bound {
    const [next, limits] = [this.#pending, this.#options.limits];
    if (next === undefined) return 'end';
    if (batch.entries.count + 1 > limits.requests) return 'requests';
    if (batch.bytes + next.length + 1 > limits.bytes) return 'bytes';
    if (batch.embeddingInputs + next.embeddingInputs > limits.embeddingInputs) return 'embedding_inputs';
    return batch.outputBytes + next.predictedOutputBytes > limits.outputBytes ? 'output' : 'groups';
  }

  /** A batch that is too large for the queue is cut into equal parts. */
  #cutByTokens(batch: BatchForecast): BatchForecast[] {
    const enqueuedTokens = this.#options.enqueuedTokensOf?.(batch.model);
    if (enqueuedTokens === undefined || batch.inputTokens <= ENQUEUED_SHARE * enqueuedTokens) return [batch];
    const parts = Math.min(batch.requests, Math.ceil(batch.inputTokens / (ENQUEUED_SHARE * enqueuedTokens)));
    const group = this.#groupOf(batch.endpoint, batch.model);
    group.batches += parts - 1;
    const share = (total: number, part: number): number =>
      Math.floor((total * (part + 1)) / parts) - Math.floor((total * part) / parts);
    return Array.from({ length: parts }, (_, part) => ({
      ...batch,
      requests: share(batch.requests, part),
      bytes: share(batch.bytes, part),
      inputTokens: share(batch.inputTokens, part),
      inputTokensAtMost: share(batch.inputTokensAtMost, part),
      outputTokensAtMost: share(batch.outputTokensAtMost, part),
      bound: part === parts - 1 ? batch.bound : 'tokens',
    }));
  }
}

function bodyOf(line: Uint8Array): Record<string, unknown> {
  return JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8')).body;
}
