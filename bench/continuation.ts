/**
 * A file that takes the ingest function many invocations, on the local stack: time is cut so that it must go on again
 * and again, its process is killed at every checkpoint that it writes, and two ids stand twice, many invocations apart.
 * What comes out must be, byte for byte, what one pass over the file gives.
 */
import {
  appendFileSync,
  copyFileSync,
  createReadStream,
  createWriteStream,
  mkdtempSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { ObservedCall } from '../local/stack/options.ts';
import { startLocalStack } from '../local/stack/start.ts';
import { ensureSynth } from '../local/stack/synth.ts';
import { DynamoDBJobs } from '../src/adapters/dynamodb/jobs.ts';
import { S3Objects } from '../src/adapters/s3/objects.ts';
import { defaultSettings } from '../src/contract/settings.ts';
import { type Plan, readPlan } from '../src/core/files/plan.ts';
import type { Job } from '../src/core/model/job.ts';
import { jobIdOf } from '../src/core/model/job-id.ts';
import { Prices } from '../src/core/pricing/prices.ts';
import { scan } from '../src/core/steps/ingest/scan.ts';
import { OPENAI_PRICES } from '../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../src/providers/openai/rules.ts';
import { createDynamoDBClient, createS3Client } from '../src/runtime/clients.ts';
import { inputFile } from './inputs/input-file.ts';
import { FileObjects } from './ours/file-objects.ts';

const ROOT = resolve(import.meta.dirname, '..');
const KEY = 'input/long.jsonl';
/** Of the file's bytes: short lines, long lines. */
const SHARES = [0.16, 0.84];
/** A claim outlasts its worker by 5 s; a message that comes earlier finds the job taken and is done with. */
const BEYOND_CLAIM_SECONDS = 7;

export interface ContinuationOptions {
  bytes: number;
  /** What the ingest function is given in place of 15 minutes. */
  timeoutMs: number;
  /** Kill the function's process at each checkpoint, before and after the write in turn. Default: true. */
  kills?: boolean;
  say(message: string): void;
}

export interface ContinuationReport {
  bytes: number;
  lines: number;
  timeoutMs: number;
  /** Checkpoints that counted. */
  continuations: number;
  kills: number;
  invocations: number;
  batches: number;
  duplicates: number;
  /** From the drop to the plan, kills and waits for their claims included. */
  seconds: number;
  /** Of the same file in one pass, in a process without a stack. */
  wholeSeconds: number;
  /** What the run is too small to prove; nothing: the claim of docs/performance.md is proven. */
  notProven: string[];
  /** Of the function's processes, by VmHWM. */
  peakRssMb: number;
  memoryMb: number;
}

/** What is claimed: so many distinct lines, and so many continuations, each killed once. */
const CLAIMED_LINES = 3_000_000;
const CLAIMED_CONTINUATIONS = 20;

function notProvenBy(report: Pick<ContinuationReport, 'lines' | 'duplicates' | 'continuations' | 'kills'>) {
  const distinct = report.lines - report.duplicates;
  return [
    ...(distinct < CLAIMED_LINES ? [`${distinct} of ${CLAIMED_LINES} distinct lines`] : []),
    ...(report.continuations < CLAIMED_CONTINUATIONS
      ? [`${report.continuations} of ${CLAIMED_CONTINUATIONS} continuations`]
      : []),
    ...(report.kills < report.continuations
      ? [`killed at ${report.kills} of ${report.continuations} checkpoints`]
      : []),
  ];
}

/**
 * Runs it.
 * @throws if anything differs from one pass.
 */
export async function runContinuation(options: ContinuationOptions): Promise<ContinuationReport> {
  const { say } = options;
  const folder = mkdtempSync(join(tmpdir(), 'batchdrop-continuation-'));
  try {
    // Short lines first, then long ones: 3.3 million of them in 5 GB.
    const parts = (['b400', 'multi'] as const).map((content, index) =>
      inputFile(
        { name: content, content, size: { bytes: Math.round(options.bytes * SHARES[index]!) } },
        { onGenerate: () => say('generating input') },
      ),
    );
    const path = join(folder, 'input.jsonl');
    copyFileSync(parts[0]!.path, path);
    await pipeline(createReadStream(parts[1]!.path), createWriteStream(path, { flags: 'a' }));
    const repeated = await firstLines(path, 2);
    appendFileSync(path, repeated.map((line) => `${line}\n`).join(''));
    const lines = parts.reduce((sum, part) => sum + part.lines, repeated.length);

    const found = await ingestOnStack(options, path, join(folder, 'stack'));
    say(`ingested in ${found.report.seconds.toFixed(0)} s; now one pass over the same file`);
    const { job, plan } = found;
    if (plan.requests !== lines) throw new Error(`${plan.requests} of ${lines} lines were counted`);
    const duplicates = plan.invalidByCode.duplicate_custom_id ?? 0;
    if (duplicates !== repeated.length || plan.invalid !== duplicates)
      throw new Error(`${repeated.length} duplicates: ${JSON.stringify(plan.invalidByCode)}`);

    const reference = new FileObjects({ key: KEY, path }, join(folder, 'reference'));
    const started = performance.now();
    const attempt = /\/ingest\/([^/]+)\//.exec(plan.batches[0]!.manifestKey)![1]!;
    const whole = await scan(
      {
        objects: reference,
        layout: defaultSettings().layout,
        rules: OPENAI_RULES,
        limits: OPENAI_RULES.limits,
        prices: new Prices(OPENAI_PRICES),
        deadline: { remainingMs: () => Number.POSITIVE_INFINITY },
        worker: 'reference',
        save: () => Promise.reject(new Error('there is time enough')),
      },
      job,
      attempt,
    );
    const wholeSeconds = (performance.now() - started) / 1000;
    if (!isDeepStrictEqual(whole, plan)) throw new Error('the plan is not that of one uninterrupted pass');
    for (const key of namedBy(plan)) {
      const expected = await reference.get(key);
      const actual = found.objects.get(key);
      if (expected === undefined || actual === undefined || Buffer.compare(expected, actual) !== 0)
        throw new Error(`${key} is not what one uninterrupted pass writes`);
    }
    const report = { ...found.report, wholeSeconds, lines, batches: plan.batches.length, duplicates };
    return { ...report, notProven: notProvenBy(report) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Drops the file and waits until its plan stands; gives it with every object that it names. */
async function ingestOnStack(options: ContinuationOptions, path: string, dir: string) {
  const { say, timeoutMs, kills = true } = options;
  const killed = new Set<string>();
  const onCall = (call: ObservedCall): 'kill' | undefined => {
    if (!kills || call.functionName !== 'ingest') return undefined;
    const generation = /\/ingest\/checkpoints\/(\d+)-/.exec(call.resource)?.[1];
    if (generation === undefined || killed.has(generation)) return undefined;
    if (call.operation !== 'PutObject' && call.operation !== 'CompleteMultipartUpload') return undefined;
    if (call.moment !== (Number(generation) % 2 === 0 ? 'before' : 'after')) return undefined;
    killed.add(generation);
    return 'kill';
  };
  const stack = await startLocalStack({
    dir,
    cdkOut: await ensureSynth({ root: ROOT, onProgress: say }),
    // Nobody is there: this ends with ingest.
    openai: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-none' },
    scheduleEveryMs: 'manual',
    functions: { ingest: { timeoutMs } },
    deliver: { retryAfterSeconds: Math.ceil(timeoutMs / 4_000) + BEYOND_CLAIM_SECONDS },
    onCall,
    onLog: (line, source) => {
      if (source === 'stack' && !line.includes('submit')) say(`  ${line}`);
    },
  });
  const { region, endpoints, credentials, resources } = stack;
  const s3 = createS3Client({ region, credentials, endpoint: endpoints.s3 });
  const dynamodb = createDynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  try {
    const objects = new S3Objects(s3, { bucket: resources.bucket });
    const jobs = new DynamoDBJobs(dynamodb, { table: resources.table });
    const { size } = statSync(path);
    await s3.send(
      new PutObjectCommand({
        Bucket: resources.bucket,
        Key: KEY,
        Body: createReadStream(path),
        ContentLength: size,
      }),
    );
    const started = performance.now();
    const jobId = jobIdOf((await objects.head(resources.bucket, KEY))!);
    let job = await jobs.getJob(jobId);
    for (let idleFor = 0; job === undefined || job.state === 'ingesting'; ) {
      await wait(200);
      // A message that came while the job was taken is done with; the sweep is what brings it back.
      const { ready, inFlight, delayed } = stack.queueDepth('ingest');
      idleFor = ready + inFlight + delayed === 0 ? idleFor + 1 : 0;
      if (idleFor > 50) {
        await stack.runSchedule();
        idleFor = 0;
      }
      const seen = job?.ingest?.checkpoint?.generation;
      job = await jobs.getJob(jobId);
      const checkpoint = job?.ingest?.checkpoint;
      if (checkpoint !== undefined && checkpoint.generation !== seen)
        say(`  checkpoint ${checkpoint.generation} at byte ${checkpoint.offset}`);
    }
    const seconds = (performance.now() - started) / 1000;
    if (job.planKey === undefined) throw new Error('the job has no plan');
    const plan = (await readPlan(objects, job.planKey))!;
    if (plan.rejection !== undefined) throw new Error(`rejected: ${plan.rejection.message}`);
    const kept = new Map<string, Uint8Array>();
    for (const key of namedBy(plan)) kept.set(key, (await objects.get(key))!);
    const stats = stack.stats.ingest!;
    const report = {
      bytes: size,
      timeoutMs,
      continuations: job.ingest?.checkpoint?.generation ?? 0,
      kills: killed.size,
      invocations: stats.invocations,
      seconds,
      peakRssMb: Math.round(stats.peakRssBytes / 2 ** 20),
      memoryMb: 512,
    };
    return { job: job as Job, plan, objects: kept, report };
  } finally {
    s3.destroy();
    dynamodb.destroy();
    await stack.stop();
  }
}

/** Keys of everything that a plan is made of, the input aside. */
function namedBy(plan: Plan): string[] {
  return [
    ...plan.batches.map(({ manifestKey }) => manifestKey),
    ...plan.invalidRuns.flatMap(({ dataKey, indexKey }) => [dataKey, indexKey]),
  ];
}

async function firstLines(path: string, count: number): Promise<string[]> {
  const lines: string[] = [];
  const input = createReadStream(path);
  for await (const line of createInterface({ input })) if (lines.push(line) === count) break;
  input.destroy();
  return lines;
}
