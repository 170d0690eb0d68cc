/**
 * The local stack together with something to talk to: the OpenAI emulator, or a service that the user names. What
 * `batchdrop local` and the demo run on.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { S3Objects } from '../../src/adapters/s3/objects.ts';
import { SqsOutbox } from '../../src/adapters/sqs-outbox.ts';
import type { ObjectMessage } from '../../src/contract/messages.ts';
import type { Settings } from '../../src/contract/settings.ts';
import { rootOf } from '../../src/core/lifecycle/duplicate-jobs.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import type { Job } from '../../src/core/model/job.ts';
import { jobIdOf } from '../../src/core/model/job-id.ts';
import type { ObjectHead } from '../../src/core/model/objects.ts';
import type { ByteStream } from '../../src/core/ports/objects.ts';
import { createDynamoDBClient, createS3Client, createSqsClient } from '../../src/runtime/clients.ts';
import { startEmulator } from '../openai-emulator/emulator.ts';
import { PACKAGE_ROOT } from '../services/package-root.ts';
import type { LocalStack } from './local-stack.ts';
import type { FunctionOverrides, LocalStackOptions } from './options.ts';
import type { Ports } from './ports.ts';
import { removeRunning, writeRunning } from './running-file.ts';
import { startLocalStack } from './start.ts';
import { ensureSynth } from './synth.ts';

/** Whether this is a checkout, which keeps synthesized stacks for all state folders, and not a package, whose folder is not ours to write to. */
const IS_CHECKOUT = existsSync(join(PACKAGE_ROOT, 'lambdas'));

/** How many times faster than real the emulator's clock runs: a small batch then takes a second, not two minutes. */
const EMULATOR_SPEED = 300;
/**
 * After how long the emulator surely has not made a batch that it does not list, in seconds: it answers at once and
 * dies with the stack. With OpenAI's times, a job that was killed while it created a batch would wait for 18 minutes.
 */
const EMULATOR_SETTLES_SECONDS = 2;
/** How often the local schedule polls: often enough that a person does not notice it. */
const EMULATED_POLL_MS = 500;
/**
 * How long a throttled message is hidden while the emulator answers, in seconds: as long against its clock as the 16
 * minutes of AWS are against OpenAI's.
 */
const EMULATED_THROTTLED_SECONDS = 3;
/** How often the local schedule polls a real service, which has better things to do. */
const REAL_POLL_MS = 15_000;

/** How a local pipeline is started. */
export interface LocalPipelineOptions {
  /** Folder of all state, made if missing; `.batchdrop/local` is that of the command line. One pipeline at a time. */
  stateDir: string;
  /**
   * Routes and prefixes. Others than in the last run over the folder are a deployment: jobs under way keep the route
   * that they were recorded with. @default one route over `input/`
   */
  settings?: Settings | undefined;
  /** A service in place of the emulator. */
  openai?: { baseUrl: string; apiKey: string } | undefined;
  /** Fixed ports. @default the system chooses */
  ports?: Ports | undefined;
  /** Invocations that the account runs at a time; above it they are throttled. @default no limit */
  concurrency?: number | undefined;
  /** What functions are run with otherwise than the template says, by role. */
  functions?: Record<string, FunctionOverrides> | undefined;
  /** Delivers every queue message and every event twice. */
  deliverTwice?: boolean | undefined;
  /** Gets a sentence when there is something to wait for. */
  onProgress?: ((text: string) => void) | undefined;
  /** Gets each line that a function writes, and with the source `stack` each problem of the stack itself. */
  onLog?: ((line: string, source: string) => void) | undefined;
  /** See {@link LocalStackOptions}. */
  onEvent?: LocalStackOptions['onEvent'];
  /** See {@link LocalStackOptions}. */
  onAlarm?: LocalStackOptions['onAlarm'];
}

/** The records of a dropped file. */
export interface JobRecords {
  /** Absent: no job is recorded yet. */
  job: Job | undefined;
  /** Of a duplicate, the job that it waits for or that has answered it. */
  owner?: Job | undefined;
  /** Of a duplicate, those of its owner. */
  batches: BatchRecord[];
}

/** A running local stack, with something that answers as OpenAI. */
export interface LocalPipeline {
  /** The stack: its services, resources and counts. */
  stack: LocalStack;
  /** Base URL of what answers, and whether that is the emulator. */
  openai: { baseUrl: string; isEmulated: boolean };
  /**
   * Drops a file at a key; gives the id of the job that it becomes. The same bytes at the same key, while their job is
   * under way, are that job: what was interrupted continues, and nothing is run again.
   *
   * @param onBytes gets how many bytes have been read so far
   */
  drop(
    file: string,
    key: string,
    onBytes?: (bytes: number) => void,
  ): Promise<{ jobId: string; isResumed: boolean }>;
  /** The records of a job and its batches, as they are now. */
  look(jobId: string): Promise<JobRecords>;
  /** Reads an object of the bucket. Its chunks may be kept. */
  read(key: string): Promise<AsyncIterable<Uint8Array>>;
  /** Names of dead-letter queues that hold messages: work that has failed too often. */
  deadLetters(): string[];
  /** Ends everything; state stays. */
  stop(): Promise<void>;
}

/**
 * Synthesizes if needed and starts everything.
 * @throws when another process uses the state folder, or the template cannot be built here.
 */
export async function startLocalPipeline(options: LocalPipelineOptions): Promise<LocalPipeline> {
  const cdkOut = await ensureSynth({
    root: PACKAGE_ROOT,
    cacheDir: IS_CHECKOUT ? undefined : resolve(options.stateDir, 'synth'),
    onProgress: options.onProgress,
    settings: options.settings,
  });
  const emulator =
    options.openai === undefined
      ? await startEmulator({
          dir: resolve(options.stateDir, 'openai'),
          clock: { scale: EMULATOR_SPEED },
          refuseChunkedUploads: true,
          port: options.ports?.openai,
        })
      : undefined;
  const signingSecret = `whsec_${randomBytes(32).toString('base64')}`;
  let stack: LocalStack;
  try {
    stack = await startLocalStack(
      stackOptions(options, cdkOut, emulator && { endpoint: emulator.endpoint, signingSecret }),
    );
  } catch (error) {
    await emulator?.close();
    throw error;
  }
  const { WebhookUrl } = stack.outputs;
  if (WebhookUrl !== undefined)
    emulator?.setFaults({ webhooks: [{ url: WebhookUrl, secret: signingSecret }] });
  for (const arn of stack.undelivered)
    options.onProgress?.(`Notifications for ${arn} are not delivered here.`);
  const { close, ...operations } = openPipeline(stack);
  writeRunning(options.stateDir, stack);
  return {
    ...operations,
    stack,
    openai: { baseUrl: options.openai?.baseUrl ?? emulator!.endpoint, isEmulated: emulator !== undefined },
    async stop() {
      removeRunning(options.stateDir);
      // First: a server that closes waits for its connections to end.
      close();
      await stack.stop();
      await emulator?.close();
    },
  };
}

/** @param emulator if that answers: its endpoint, and what it signs webhooks with. */
function stackOptions(
  options: LocalPipelineOptions,
  cdkOut: string,
  emulator: { endpoint: string; signingSecret: string } | undefined,
): LocalStackOptions {
  const { submit, ...others } = options.functions ?? {};
  // It has one project, for whichever key.
  const webhookSecrets = Object.fromEntries(
    (options.settings?.webhooks?.apiKeys ?? []).map((name) => [name, emulator?.signingSecret ?? '']),
  );
  const settles = { CREATE_SETTLES_SECONDS: String(EMULATOR_SETTLES_SECONDS) };
  const emulated = { ...submit, environment: { ...settles, ...submit?.environment } };
  return {
    dir: resolve(options.stateDir, 'aws'),
    cdkOut,
    openai: options.openai ?? { baseUrl: emulator!.endpoint, apiKey: 'sk-emulated', webhookSecrets },
    scheduleEveryMs: emulator === undefined ? REAL_POLL_MS : EMULATED_POLL_MS,
    ports: options.ports,
    concurrency: options.concurrency,
    deliver: {
      twice: options.deliverTwice,
      throttledForSeconds: emulator === undefined ? undefined : EMULATED_THROTTLED_SECONDS,
    },
    functions: emulator === undefined ? options.functions : { ...others, submit: emulated },
    onLog: options.onLog,
    onEvent: options.onEvent,
    onAlarm: options.onAlarm,
  };
}

/** What a person does with a running pipeline. */
function openPipeline(
  stack: LocalStack,
): Pick<LocalPipeline, 'drop' | 'look' | 'read' | 'deadLetters'> & { close(): void } {
  const { region, endpoints, credentials, resources } = stack;
  const { bucket, table } = resources;
  const s3 = createS3Client({ region, credentials, endpoint: endpoints.s3 });
  const dynamodb = createDynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  const objects = new S3Objects(s3, { bucket });
  const jobs = new DynamoDBJobs(dynamodb, { table });
  const sqs = createSqsClient({ region, credentials, endpoint: endpoints.sqs });
  const outbox = new SqsOutbox(sqs, { ingest: resources.queues.ingest!.url });
  return {
    async drop(file, key, onBytes) {
      const current = await objects.head(bucket, key);
      if (current !== undefined && current.etag === (await etagOf(file))) {
        const jobId = jobIdOf(current);
        const job = await jobs.getJob(jobId);
        // No route may have taken it when it was put; should its event be on its way after all, it is the same job.
        if (job === undefined) await outbox.ingest({ v: 1, bucket, key, ...versionOf(current) });
        if (job?.receiptKey === undefined) return { jobId, isResumed: true };
      }
      const body = countBytes(createReadStream(file), onBytes);
      const put = { Bucket: bucket, Key: key, Body: body, ContentLength: statSync(file).size };
      const { VersionId } = await s3.send(new PutObjectCommand(put));
      const head = await objects.head(bucket, key, VersionId);
      if (head === undefined) throw new Error(`${key} was written and is not there`);
      return { jobId: jobIdOf(head), isResumed: false };
    },
    async look(jobId) {
      const job = await jobs.getJob(jobId);
      if (job === undefined) return { job, batches: [] };
      const owner = job.state === 'duplicate' ? await rootOf(jobs, job) : undefined;
      const batches = await jobs.listBatches(owner?.jobId ?? jobId);
      return { job, owner, batches };
    },
    read: async (key) => copies(await objects.read({ bucket, key })),
    deadLetters: () =>
      Object.keys(resources.queues).filter((role) => {
        const { ready, inFlight } = stack.queueDepth(role);
        return role.endsWith('dead-letters') && ready + inFlight > 0;
      }),
    close() {
      s3.destroy();
      dynamodb.destroy();
      sqs.destroy();
    },
  };
}

function versionOf({ versionId }: ObjectHead): Pick<ObjectMessage, 'versionId'> {
  return versionId === undefined ? {} : { versionId };
}

/** The same stream, whose chunks may be kept. */
async function* copies(stream: ByteStream): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) yield new Uint8Array(chunk);
}

/** The same stream, whose bytes are counted as they pass. */
function countBytes(stream: Readable, onBytes: ((bytes: number) => void) | undefined): Readable {
  if (onBytes === undefined) return stream;
  let bytes = 0;
  const counting = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      onBytes(bytes);
      done(null, chunk);
    },
  });
  stream.on('error', (error) => counting.destroy(error));
  return stream.pipe(counting);
}

/** What S3 calls an object that was put in one piece: the MD5 of its bytes, in quotes. */
async function etagOf(file: string): Promise<string> {
  const hash = createHash('md5');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return `"${hash.digest('hex')}"`;
}
