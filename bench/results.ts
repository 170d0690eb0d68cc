/**
 * `npm run bench -- results`: a large result file through collect, and a large merge through finalize, each in a
 * process of its own as the function is, against the local S3 and a provider that makes the file up as it is read.
 * Beside them stands a plain pass from S3 to S3 with the same client: what is left of its speed, and how much memory is
 * held.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { heapLimits, RESULTS_MEMORY_MB } from '../lib/heap.ts';
import { startS3 } from '../local/services/s3/server.ts';
import { S3Objects } from '../src/adapters/s3/objects.ts';
import { defaultSettings } from '../src/contract/settings.ts';
import { CustomIdHasher } from '../src/core/base/custom-id-hash.ts';
import { workKeys } from '../src/core/files/keys.ts';
import { encodeManifest, ManifestEntries } from '../src/core/files/manifest.ts';
import { type Plan, writePlanOnce } from '../src/core/files/plan.ts';
import { RunWriter } from '../src/core/files/run-file.ts';
import type { BatchRecord, RunRef } from '../src/core/model/batch.ts';
import { batchIdOf } from '../src/core/model/batch-id.ts';
import type { Job } from '../src/core/model/job.ts';
import { noOutcome } from '../src/core/model/outcome.ts';
import { createS3Client } from '../src/runtime/clients.ts';
import { bundleOurs } from './bundle.ts';
import { type Measurement, measure } from './measure.ts';
import type { ResultsTask } from './ours/results.ts';

const BUCKET = 'bench';
const REGION = 'us-east-1';
const CREDENTIALS = { accessKeyId: 'AKIDBENCH', secretAccessKey: 'bench' };
const JOB_ID = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const LINE_BYTES = 40_000;
const BATCH_LINES = 5_000;
/** Order of the result file's lines: steps through all of them, far from input order. */
const SHUFFLE = 7_919;

export interface ResultsOptions {
  /** Of the result file that is collected. */
  collectBytes: number;
  /** Of all results that are merged. */
  mergeBytes: number;
  say(message: string): void;
}

/** One measured process. */
export interface ResultsRow {
  step: string;
  megabytes: number;
  megabytesPerSecond: number;
  cpuSeconds?: number;
  peakRssMb?: number;
  /** Its time for a byte over that of the plain pass. */
  ratioToPass: number;
}

/** @throws if a step does not end with every byte where it belongs. */
export async function runResults(options: ResultsOptions): Promise<ResultsRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'batchdrop-results-'));
  const s3 = await startS3({ dir, credentials: { [CREDENTIALS.accessKeyId]: CREDENTIALS.secretAccessKey } });
  const child = await bundleOurs('results');
  const lines = Math.ceil(options.collectBytes / LINE_BYTES);
  const provider = createServer((_request, response) => sendResults(response, lines));
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  const connection = { endpoint: s3.endpoint, region: REGION, credentials: CREDENTIALS };
  const client = createS3Client(connection);
  try {
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    const objects = new S3Objects(client, { bucket: BUCKET });
    const openaiBaseUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`;
    const run = async (
      step: ResultsTask['step'],
      planned: { job: Job; batches: BatchRecord[] },
      key?: string,
    ): Promise<Measurement> => {
      const task: ResultsTask = { step, s3: connection, bucket: BUCKET, openaiBaseUrl, ...planned };
      return measure({
        program: 'node',
        args: [
          ...heapLimits(RESULTS_MEMORY_MB).split(' '),
          child,
          JSON.stringify({ ...task, ...(key === undefined ? {} : { key }) }),
        ],
      });
    };

    options.say(`collecting ${lines} results`);
    const collected = await run('collect', await planCollect(objects, lines));
    const { succeeded, bytes, key } = collected.printed as { succeeded: number; bytes: number; key: string };
    if (succeeded !== lines) throw new Error(`${succeeded} of ${lines} results were collected`);
    const passed = await run('pass through', await planCollect(objects, lines), key);
    const rows = [
      rowOf('S3 to S3, plain pass', bytes, passed, passed),
      rowOf('collect: OpenAI to S3, sorted', bytes, collected, passed),
    ];
    for (const { title, every } of [
      { title: 'merge, one line in 1,000 from another round', every: 1_000 },
      { title: 'merge, one line in 20 from another round', every: 20 },
    ]) {
      options.say(title);
      const planned = await planMerge(objects, options.mergeBytes, every);
      const merged = await run('finalize', planned);
      const { state, bytes: published } = merged.printed as { state: string; bytes: number };
      const expected = planned.batches.reduce(
        (sum, { results }) => sum + (results?.outputRun?.bytes ?? 0),
        0,
      );
      if (state !== 'completed' || published !== expected)
        throw new Error(`the job is ${state}, with ${published} of ${expected} bytes published`);
      rows.push(rowOf(title, expected, merged, passed, bytes));
    }
    return rows;
  } finally {
    client.destroy();
    provider.close();
    provider.closeAllConnections();
    await s3.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The rows as a table. */
export function renderResults(rows: readonly ResultsRow[]): string {
  const cells = rows.map((row) => [
    row.step,
    row.megabytes.toFixed(0),
    row.megabytesPerSecond.toFixed(0),
    row.cpuSeconds?.toFixed(1) ?? '-',
    row.peakRssMb?.toFixed(0) ?? '-',
    row.ratioToPass.toFixed(2),
  ]);
  return [
    ['step', 'MB', 'MB/s', 'CPU s', 'peak RSS MB', 'time / plain pass'],
    cells.length === 0 ? [] : Array(6).fill('---'),
    ...cells,
  ]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

function rowOf(
  step: string,
  bytes: number,
  measured: Measurement,
  pass: Measurement,
  passBytes = bytes,
): ResultsRow {
  return {
    step,
    megabytes: bytes / 1e6,
    megabytesPerSecond: bytes / 1e3 / measured.wallMs,
    ...(measured.cpuMs === undefined ? {} : { cpuSeconds: measured.cpuMs / 1000 }),
    ...(measured.peakRssMb === undefined ? {} : { peakRssMb: measured.peakRssMb }),
    ratioToPass: measured.wallMs / bytes / (pass.wallMs / passBytes),
  };
}

/** An answer of {@link LINE_BYTES} bytes with its line feed. */
function answerOf(index: number): string {
  const [head, tail] = [
    `{"id":"batch_req_${index}","custom_id":"r-${index}","response":{"status_code":200,"request_id":"req","body":{"usage":{"prompt_tokens":10,"completion_tokens":9000},"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"`,
    '"}}]}},"error":null}\n',
  ];
  return head + PROSE.slice(0, LINE_BYTES - head.length - tail.length) + tail;
}
const PROSE = 'The quick brown fox jumps over the lazy dog, and says so. '.repeat(1_000);

function sendResults(response: ServerResponse, lines: number): void {
  response.writeHead(200, { 'content-length': String(lines * LINE_BYTES) });
  const step = lines % SHUFFLE === 0 ? 1 : SHUFFLE;
  Readable.from(
    (function* () {
      for (let at = 0; at < lines; at++) yield Buffer.from(answerOf((at * step) % lines));
    })(),
  ).pipe(response);
}

/** A batch that has ended, with one result for each of its requests. */
async function planCollect(objects: S3Objects, lines: number) {
  const entries = new ManifestEntries();
  const hasher = new CustomIdHasher(JOB_ID);
  for (let index = 0; index < lines; index++) {
    hasher.hashText(`r-${index}`);
    entries.push({
      line: index + 1,
      offset: index * 100,
      length: 99,
      tried: 0,
      hash0: hasher.hash0,
      hash1: hasher.hash1,
    });
  }
  const manifestKey = 'work/manifest';
  const source = { bucket: BUCKET, key: 'input/bench.jsonl' };
  await objects.put(manifestKey, encodeManifest({ source, entries }));
  const batch: BatchRecord = {
    ...batchOf(0, 0, lines),
    state: 'ended',
    manifestKey,
    remote: {
      openaiBatchId: 'batch_1',
      submittedAt: 0,
      status: 'completed',
      statusAt: 0,
      outputFileId: 'file-output',
    },
  };
  return { job: await jobOf(objects, [batch]), batches: [batch] };
}

/** Collected batches, one line in `every` of each run again in another round. */
async function planMerge(objects: S3Objects, bytes: number, every: number) {
  const batches: BatchRecord[] = [];
  for (let first = 0, index = 0; first * LINE_BYTES < bytes; first += BATCH_LINES, index++) {
    const rounds = [0, 1].map((round) => {
      const at = `work/runs/${every}/${round}-${index}`;
      const source = { bucket: BUCKET, key: 'input/bench.jsonl' };
      return new RunWriter(objects, { data: `${at}.jsonl`, index: `${at}.index` }, source);
    }) as [RunWriter, RunWriter];
    for (let line = first + 1; line <= first + BATCH_LINES; line++) {
      const writer = rounds[line % every === 0 ? 1 : 0];
      writer.add(line, Buffer.from(answerOf(line).trimEnd()), { offset: line * 100, length: 99 });
      await writer.flush();
    }
    for (const [round, writer] of rounds.entries()) {
      const outputRun = await writer.close();
      if (outputRun !== undefined) batches.push(collectedBatch(round, index, outputRun));
    }
  }
  return { job: await jobOf(objects, batches), batches };
}

function collectedBatch(round: number, index: number, outputRun: RunRef): BatchRecord {
  return {
    ...batchOf(round, index, outputRun.lines),
    state: 'collected',
    results: {
      outputRun,
      outcome: { ...noOutcome(), succeeded: outputRun.lines },
    },
  };
}

function batchOf(round: number, index: number, requests: number) {
  return {
    v: 1,
    jobId: JOB_ID,
    batchId: batchIdOf(round, index),
    round,
    endpoint: '/v1/chat/completions',
    model: 'gpt-6-luna',
    manifestKey: 'work/none',
    requests,
    bytes: 0,
    createdAt: 0,
    updatedAt: 0,
    ending: { status: 'completed', endedAt: 0 },
  } as const;
}

/** A job that consists of these batches; its plan is written. */
async function jobOf(objects: S3Objects, batches: readonly BatchRecord[]): Promise<Job> {
  const settings = defaultSettings();
  const planKey = workKeys(settings.layout, JOB_ID).plan;
  const plan: Plan = {
    v: 1,
    jobId: JOB_ID,
    requests: batches.reduce((sum, { requests }) => sum + requests, 0),
    invalid: 0,
    invalidByCode: {},
    batches: batches
      .filter(({ round }) => round === 0)
      .map(({ batchId, endpoint, model, manifestKey, requests, bytes }) => ({
        ...{ batchId, endpoint, model, manifestKey, requests, bytes },
        textBytes: 0,
        dataUrlBytes: 0,
      })),
    invalidRuns: [],
  };
  await objects.remove(planKey);
  await writePlanOnce(objects, planKey, plan);
  const source = { bucket: BUCKET, key: 'input/bench.jsonl', versionId: '1' };
  return {
    v: 1,
    jobId: JOB_ID,
    input: { ...source, etag: '"e"', lastModified: 0, size: 1 },
    source,
    route: settings.routes[0]!,
    state: 'running',
    createdAt: 0,
    updatedAt: 0,
    planKey,
  };
}
