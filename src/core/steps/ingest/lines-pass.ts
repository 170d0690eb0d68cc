/** The pass over the lines of an input: see {@link LinesPass}. */
import { CustomIdHasher } from '../../base/custom-id-hash.ts';
import { defined } from '../../base/defined.ts';
import { statedErrorLine } from '../../files/error-line.ts';
import { workKeys } from '../../files/keys.ts';
import type { Line } from '../../files/lines.ts';
import { ManifestEntries } from '../../files/manifest.ts';
import type { Plan } from '../../files/plan.ts';
import { RunWriter } from '../../files/run-file.ts';
import type { Job } from '../../model/job.ts';
import { MAX_GROUPS } from '../../model/limits.ts';
import {
  checkLine,
  type InvalidLine,
  lineTooLong,
  refusedByPreflight,
  type ValidLine,
} from '../../requests/check-line.ts';
import { showInvalid } from '../../requests/first-invalid.ts';
import { type LineHandlers, LineScanner, type ScannedRequest } from '../../requests/line-scanner.ts';
import { PreflightFindings } from '../../requests/preflight-findings.ts';
import { Cutter, type OpenBatch } from './cutter.ts';
import { startDuplicates } from './duplicate-ids.ts';
import { type Additions, additionsOf, checkFilledIn } from './fill-in.ts';
import { IdRuns } from './id-runs.ts';
import { ManifestWriter } from './manifest-writer.ts';
import { rejectedPlan } from './plan-policy.ts';
import { readSource, scannerInputOf, sourceOf } from './scan-source.ts';
import { type EndState, type Found, type LinesState, SCAN_VERSION, type ScanDeps } from './scan-state.ts';
import { Spool } from './spool.ts';

const WHOLE_HASH = 0xffffffff;

/**
 * How a pass ended. `shattered`: the requests are too scattered to be sent from where they are. `saved`: time was over.
 * `plan`: the file is rejected. Else every line was looked at, and `ids` has what may occur twice.
 */
export type PassEnd = { state: EndState; ids: IdRuns } | { plan: Plan } | 'shattered' | 'saved';

/**
 * One pass over the lines of an input, from a state on: checks every line, cuts the valid ones into batches, collects
 * the hashes of their ids, and writes manifests and the run of invalid lines. An object makes one pass.
 */
export class LinesPass {
  readonly #deps: ScanDeps;
  readonly #job: Job;
  /** Where the pass begins. */
  readonly #from: LinesState;
  readonly #found: Found;
  readonly #preflight: PreflightFindings;
  readonly #hashMask: number;
  readonly #hasher: CustomIdHasher;
  readonly #ids: IdRuns;
  readonly #cutter: Cutter;
  /** Batches that the cutter has closed and whose manifests are not under way yet. */
  readonly #full: OpenBatch[] = [];
  readonly #manifests: ManifestWriter;
  readonly #invalidRun: RunWriter;
  /** Of lines that are written out, because they cannot be sent from where they are. */
  readonly #spool: Spool | undefined;
  /** Lines as they were, of a route that adds something to them. */
  readonly #originals: RunWriter | undefined;
  readonly #scanner: LineScanner;

  /** @param from the state of a new pass, or what another worker saved. */
  constructor(deps: ScanDeps, job: Job, from: LinesState) {
    this.#deps = deps;
    this.#job = job;
    this.#from = from;
    const { attempt, compressed, spooled, requests, invalid, invalidByCode, firstInvalid } = from;
    this.#found = {
      ...{ attempt, compressed, spooled, requests, invalid },
      invalidByCode: { ...invalidByCode },
      firstInvalid: structuredClone(firstInvalid),
    };
    this.#preflight = new PreflightFindings(from.preflight);
    const { objects, sizes = {} } = deps;
    const keys = workKeys(deps.layout, job.jobId);
    this.#hashMask = sizes.hashMask ?? WHOLE_HASH;
    this.#hasher = new CustomIdHasher(job.jobId);
    this.#ids = new IdRuns(objects, (index) => keys.ids(attempt, deps.worker, index), {
      resume: from.ids,
      maxInMemory: sizes.maxIdsInMemory,
    });
    const open = from.open.map(openBatchOf);
    if (spooled) {
      const resume = from.spool && { state: from.spool, batches: open };
      this.#spool = new Spool(objects, keys.spool(attempt), resume);
    }
    this.#cutter = new Cutter(deps.limits, (batch) => this.#close(batch), {
      resume: open,
      isSpooled: spooled,
      // Lines that are unpacked or filled in have another size.
      totalBytes: spooled ? undefined : job.input.size,
      maxOpenRequests: sizes.maxOpenRequests,
    });
    const source = sourceOf(deps, job, from);
    this.#manifests = new ManifestWriter(
      objects,
      source,
      (batchId) => keys.manifest(attempt, batchId),
      from.batches,
      deps.prices,
    );
    this.#invalidRun = new RunWriter(objects, keys.invalid(attempt), source, from.invalidRun);
    const additions = additionsOf(job.route, deps.prices, job.createdAt);
    let handlers = this.#handlers();
    if (additions !== undefined) {
      this.#originals = new RunWriter(objects, keys.originals(attempt), source, from.originals);
      handlers = this.#fillingHandlers(additions, this.#originals);
    }
    this.#scanner = new LineScanner(job.jobId, handlers, {
      rules: deps.rules,
      start: from.next,
      blockBytes: sizes.blockBytes,
      ...scannerInputOf(deps, job, from),
    });
  }

  /**
   * Reads the lines to their end, or until the file is rejected or is found shattered, or time is over: then the state
   * is saved, and some lines more were looked at than at the start.
   * @param isOver asked after each chunk.
   */
  async read(isOver: () => boolean): Promise<PassEnd> {
    try {
      for await (const chunk of readSource(this.#deps, this.#job, this.#from, this.#scanner.slots)) {
        this.#scanner.push(chunk);
        await this.#write();
        if (this.#isShattered || this.#hasTooManyGroups) break;
        if (!isOver() || this.#scanner.next.offset === this.#from.next.offset) continue;
        await this.#save();
        return 'saved';
      }
      if (!this.#isShattered && !this.#hasTooManyGroups) this.#scanner.end();
      if (this.#hasTooManyGroups) return { plan: await this.#rejectMixture() };
      if (this.#isShattered) {
        await Promise.all([this.#manifests.finish(), ...this.#abort()]);
        return 'shattered';
      }
      return { state: await this.#finish(), ids: this.#ids };
    } catch (error) {
      await Promise.allSettled([this.#manifests.settle(), ...this.#abort()]);
      throw error;
    }
  }

  /** Lines of a spool are written side by side. */
  get #isShattered(): boolean {
    return this.#spool === undefined && this.#cutter.isShattered;
  }

  get #hasTooManyGroups(): boolean {
    return this.#cutter.groups > MAX_GROUPS;
  }

  #handlers(): LineHandlers {
    const { rules } = this.#deps;
    const handlers: LineHandlers = {
      onSpan: (span) => {
        this.#found.requests += span.count;
        this.#ids.appendAll(span.hashes);
        this.#cutter.addSpan(span);
      },
      onLine: (line) =>
        this.#judge(
          line,
          line.bytes === undefined ? lineTooLong(line.length) : checkLine(line.bytes, rules),
          line.bytes,
        ),
    };
    if (this.#spool === undefined && this.#hashMask === WHOLE_HASH) return handlers;
    return {
      ...handlers,
      onRequest: (request) => {
        this.#found.requests++;
        this.#accept(request);
      },
    };
  }

  /** Every line is filled in before it is judged, also one that needs nothing. */
  #fillingHandlers(additions: Additions, originals: RunWriter): LineHandlers {
    const onLine: LineHandlers['onLine'] = (line) => {
      if (line.bytes === undefined) {
        this.#judge(line, lineTooLong(line.length), undefined);
        return;
      }
      originals.add(line.line, line.bytes, { offset: line.offset, length: line.length });
      const { verdict, bytes } = checkFilledIn(line.bytes, additions, this.#deps.rules);
      this.#judge(line, verdict, bytes);
    };
    return {
      onSpan: (span) => {
        for (const { line, offset, length, bytes } of span.requests())
          onLine({ line, offset, length, bytes: bytes() });
      },
      onLine,
    };
  }

  /** @param bytes what is sent of the line; `undefined`: it was too long to be read. */
  #judge(line: Line, verdict: ValidLine | InvalidLine, bytes: Uint8Array | undefined): void {
    this.#found.requests++;
    if (!verdict.valid) {
      this.#reject(line, verdict);
      return;
    }
    const { customId, url: endpoint, refusal, ...values } = verdict;
    if (refusal !== undefined) {
      this.#preflight.add(refusal, line.line);
      if (this.#job.route.preflight === 'reject') {
        this.#reject(line, refusedByPreflight(refusal, customId));
        return;
      }
    }
    this.#hasher.hashText(customId);
    const { hash0, hash1 } = this.#hasher;
    const { length } = bytes!;
    const copyTo = (target: Uint8Array, at: number): void => target.set(bytes!, at);
    this.#accept({ ...line, ...values, length, endpoint, hash0, hash1, copyTo });
  }

  #accept(request: Omit<ScannedRequest, 'customId' | 'bytes'>): void {
    const mask = this.#hashMask;
    if (mask !== WHOLE_HASH) {
      request.hash0 = (request.hash0 & mask) >>> 0;
      request.hash1 = ((request.hash1 & mask) | 1) >>> 0;
    }
    this.#ids.append(request.hash0, request.hash1);
    const batch = this.#cutter.add(request);
    this.#spool?.hold(batch, request);
  }

  #reject(line: Line, { code, message, param, customId }: InvalidLine): void {
    const found = this.#found;
    found.invalid++;
    found.invalidByCode[code] = (found.invalidByCode[code] ?? 0) + 1;
    let original = { offset: line.offset, length: line.length };
    if (this.#spool !== undefined) {
      original =
        line.bytes === undefined
          ? { offset: 0, length: -1 }
          : { ...original, offset: this.#spool.append(line.bytes) };
    }
    const context = { line: line.line, byte: found.compressed ? undefined : line.offset, tries: 0 };
    showInvalid(found.firstInvalid, code, { ...context, message });
    const text = statedErrorLine(customId ?? null, { code, message, param }, context);
    this.#invalidRun.add(line.line, text, original);
  }

  #close(batch: OpenBatch): void {
    // At once, so that the order of lines in the spool does not depend on how the stream is cut into chunks.
    this.#spool?.settle(batch);
    this.#full.push(batch);
  }

  /** Writes out what the last chunk has completed. */
  async #write(): Promise<void> {
    for (const batch of this.#full.splice(0)) {
      await this.#manifests.write(batch);
      this.#cutter.reuse(batch.entries);
    }
    await this.#spool?.drain();
    await this.#invalidRun.flush();
    await this.#originals?.flush();
    await this.#ids.flush();
  }

  #preflightState(): Pick<Found, 'preflight'> {
    const preflight = this.#preflight.list();
    return preflight.length === 0 ? {} : { preflight };
  }

  async #save(): Promise<void> {
    await this.#manifests.finish();
    const { open } = this.#cutter;
    const ids = await this.#ids.suspend();
    const invalidRun = await this.#invalidRun.suspend();
    const originals = await this.#originals?.suspend();
    const spool = await this.#spool?.suspend(open);
    await this.#deps.save(
      defined<LinesState>({
        v: SCAN_VERSION,
        phase: 'lines',
        ...this.#found,
        ...this.#preflightState(),
        next: this.#scanner.next,
        batches: [...this.#manifests.batches],
        open: open.map(({ entries, ...batch }) => ({ ...batch, entries: entries.bytes() })),
        ids,
        invalidRun,
        originals,
        spool,
      }),
    );
  }

  async #finish(): Promise<EndState> {
    this.#cutter.finish();
    await this.#write();
    await this.#manifests.finish();
    await this.#spool?.close();
    const invalidRun = await this.#invalidRun.close();
    const originals = await this.#originals?.close();
    return defined<EndState>({
      v: SCAN_VERSION,
      phase: 'duplicates',
      ...this.#found,
      ...this.#preflightState(),
      ids: [],
      invalidRun,
      originals,
      work: startDuplicates(this.#manifests.batches),
    });
  }

  async #rejectMixture(): Promise<Plan> {
    await Promise.all([this.#manifests.finish(), ...this.#abort()]);
    const message = `The file mixes more than ${MAX_GROUPS} pairs of model and endpoint; split it by model.`;
    return rejectedPlan(this.#job.jobId, { code: 'too_many_models', message });
  }

  /** Gives up every file that is being written. */
  #abort(): (Promise<void> | undefined)[] {
    return [this.#invalidRun.abort(), this.#originals?.abort(), this.#spool?.abort()];
  }
}

function openBatchOf({ entries: bytes, ...batch }: LinesState['open'][number]): OpenBatch {
  const entries = new ManifestEntries();
  entries.pushRecords(bytes);
  return { ...batch, entries };
}
