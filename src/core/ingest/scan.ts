/**
 * One streaming pass over an input: checks every line, cuts the good ones into batches, and writes manifests and the
 * run of invalid lines. A pure function of the object, the frozen route and the attempt's name: run twice, it writes
 * the same bytes to keys of its own.
 */
import type { Layout } from '../../contract/settings.ts';
import { CustomIdHasher, CustomIdSet } from '../custom-id-hash.ts';
import { statedErrorLine } from '../error-line.ts';
import { workKeys } from '../keys.ts';
import { type BatchLimits, MAX_GROUPS } from '../limits.ts';
import { encodeManifest } from '../manifest.ts';
import { batchIdOf, type Job, type Rejection, type SourceObject } from '../model.ts';
import { readInParallel } from '../parallel-read.ts';
import type { Plan } from '../plan.ts';
import type { ByteStream, ObjectStore } from '../ports.ts';
import { RunWriter } from '../run-file.ts';
import { checkLine, duplicateCustomId, type InvalidLine, lineTooLong } from './check-line.ts';
import { Cutter, isShattered, type OpenBatch } from './cutter.ts';
import { GzipError, gunzip, isGzip } from './gunzip.ts';
import { LineScanner, type ScannedRequest } from './line-scanner.ts';
import type { Line } from './lines.ts';
import { Spool } from './spool.ts';

export interface ScanDeps {
  objects: ObjectStore;
  layout: Layout;
  limits: BatchLimits;
}

/**
 * Reads the job's source once, or twice if it turns out to be shattered.
 * @param attempt names the keys below `work/<job>/ingest/`.
 */
export async function scan(deps: ScanDeps, job: Job, attempt: string): Promise<Plan> {
  const compressed = isGzip(await firstBytes(deps.objects, job.source));
  try {
    const plan = compressed ? undefined : await scanOnce(deps, job, attempt, { compressed, spool: false });
    return plan ?? (await scanOnce(deps, job, `${attempt}-spool`, { compressed, spool: true }))!;
  } catch (error) {
    if (!(error instanceof GzipError)) throw error;
    return rejectedPlan(job.jobId, { code: error.code, message: error.message });
  }
}

/** A plan of nothing: the file could not be read as lines at all. */
export function rejectedPlan(jobId: string, rejection: Rejection): Plan {
  return { v: 1, jobId, requests: 0, invalid: 0, invalidByCode: {}, batches: [], rejection };
}

/** `undefined`: the requests are too scattered to be sent from where they stand. */
async function scanOnce(
  deps: ScanDeps,
  job: Job,
  attempt: string,
  mode: { compressed: boolean; spool: boolean },
): Promise<Plan | undefined> {
  const keys = workKeys(deps.layout, job.jobId);
  const spool = mode.spool ? new Spool(deps.objects, keys.spool(attempt)) : undefined;
  const source: SourceObject = mode.spool
    ? { bucket: job.source.bucket, key: keys.spool(attempt) }
    : job.source;
  const invalidRun = new RunWriter(deps.objects, keys.invalid(attempt), source);
  const hasher = new CustomIdHasher(job.jobId);
  const seen = new CustomIdSet();
  const full: OpenBatch[] = [];
  const cutter = new Cutter(deps.limits, (batch) => full.push(batch));
  const plan: Plan = { v: 1, jobId: job.jobId, requests: 0, invalid: 0, invalidByCode: {}, batches: [] };
  let groupsExceeded = false;
  let shattered = false;

  const reject = (line: Line, verdict: InvalidLine): void => {
    plan.invalid++;
    plan.invalidByCode[verdict.code] = (plan.invalidByCode[verdict.code] ?? 0) + 1;
    let original = { offset: line.offset, length: line.length };
    if (spool !== undefined) {
      original =
        line.bytes === undefined
          ? { offset: 0, length: -1 }
          : { ...original, offset: spool.append(line.bytes) };
    }
    const { code, message, param } = verdict;
    const context = { line: line.line, ...(mode.compressed ? {} : { byte: line.offset }), rounds: 0 };
    invalidRun.add(
      line.line,
      statedErrorLine(verdict.customId ?? null, { code, message, param }, context),
      original,
    );
  };

  const accept = (request: Omit<ScannedRequest, 'textBytes' | 'dataUrlBytes'>): void => {
    const { line, offset, length } = request;
    const firstLine = seen.add(request.hash0, request.hash1, line);
    if (firstLine !== 0) {
      const verdict = duplicateCustomId(request.customId(), firstLine);
      reject({ line, offset, length, bytes: request.bytes() }, verdict);
      return;
    }
    const batch = cutter.add(request);
    if (spool !== undefined) spool.hold(batch, request.bytes());
    else shattered ||= isShattered(batch);
    groupsExceeded ||= cutter.groups > MAX_GROUPS;
  };

  const scanner = new LineScanner(job.jobId, {
    onRequest: (request) => {
      plan.requests++;
      accept(request);
    },
    onLine: (line) => {
      plan.requests++;
      const verdict = line.bytes === undefined ? lineTooLong(line.length) : checkLine(line.bytes);
      if (!verdict.valid) {
        reject(line, verdict);
        return;
      }
      const { customId, url: endpoint, ...values } = verdict;
      hasher.hashText(customId);
      const { hash0, hash1 } = hasher;
      const bytes = (): Uint8Array => line.bytes!;
      accept({ ...line, ...values, endpoint, hash0, hash1, bytes, customId: () => customId });
    },
  });

  const writeFull = async (): Promise<void> => {
    for (const batch of full.splice(0)) {
      spool?.settle(batch);
      const batchId = batchIdOf(0, plan.batches.length);
      const manifestKey = keys.manifest(attempt, batchId);
      await deps.objects.put(manifestKey, encodeManifest({ source, entries: batch.entries }));
      const { endpoint, model, bytes, entries } = batch;
      plan.batches.push({ batchId, endpoint, model, manifestKey, requests: entries.count, bytes });
    }
    await spool?.drain();
    await invalidRun.flush();
  };

  try {
    const stored = readInParallel(deps.objects, job.source, job.input.size);
    const stream: ByteStream = mode.compressed ? gunzip(stored) : stored;
    for await (const chunk of stream) {
      scanner.push(chunk);
      await writeFull();
      if (shattered || groupsExceeded) break;
    }
    if (!shattered && !groupsExceeded) scanner.end();
    if (groupsExceeded) {
      await Promise.all([invalidRun.abort(), spool?.abort()]);
      return rejectedPlan(job.jobId, {
        code: 'too_many_models',
        message: `The file mixes more than ${MAX_GROUPS} pairs of model and endpoint; split it by model.`,
      });
    }
    if (shattered) {
      await invalidRun.abort();
      return undefined;
    }
    cutter.finish();
    await writeFull();
    await spool?.close();
    const run = await invalidRun.close();
    if (run !== undefined) plan.invalidRun = run;
  } catch (error) {
    await Promise.allSettled([invalidRun.abort(), spool?.abort()]);
    throw error;
  }
  return applyPolicy(plan, job);
}

/** Decides whether a file that was read to its end is run. */
function applyPolicy(plan: Plan, job: Job): Plan {
  const good = plan.requests - plan.invalid;
  const reject = (code: Rejection['code'], message: string): Plan => ({
    ...plan,
    batches: [],
    invalid: plan.requests,
    invalidByCode: good === 0 ? plan.invalidByCode : { ...plan.invalidByCode, file_rejected: good },
    rejection: { code, message },
  });
  if (plan.requests === 0) return reject('empty_file', 'The file has no line with anything on it.');
  if ((plan.invalidByCode.invalid_json_line ?? 0) === plan.requests) {
    return reject(
      'not_json_lines',
      `None of the ${plan.requests} lines is a JSON object; one request a line is expected.`,
    );
  }
  if (good === 0)
    return reject('no_valid_lines', `None of the ${plan.requests} lines is a request that can be run.`);
  if (plan.invalid > 0 && job.route.onInvalid === 'reject') {
    return reject(
      'invalid_lines',
      `${plan.invalid} of ${plan.requests} lines are invalid and route "${job.route.name}" rejects such files; the errors file lists them.`,
    );
  }
  return plan;
}

async function firstBytes(objects: ObjectStore, source: SourceObject): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await objects.read(source, 0, 2)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
