/**
 * Two jobs on the local stack while function processes and the whole stack are killed at any call, and OpenAI's faults
 * are on. Time leaps from poll to poll, so that a day of waiting takes seconds.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type Emulator, startEmulator } from '../../../local/openai-emulator/emulator.ts';
import { type Receipt, receiptSchema } from '../../../src/contract/receipt.ts';
import { readObject } from '../../support/read-object.ts';
import { FAULTS, LOST_BY_OPENAI, MODELS, TOKENS_PER_REQUEST, writeInput } from './input.ts';
import type { Death, HostMessage, HostSettings, Tick } from './protocol.ts';

const HOST = new URL('./stack-host.ts', import.meta.url);
const POLL_EVERY_MS = 5 * 60_000;
/** Three days: nothing in a job may take longer. */
const MAX_POLLS = 864;
/** Each gets half of the requests. Two, so that batches of different jobs wait for the same model. */
const NAMES = ['first', 'second'] as const;
/** Of one model there is room at OpenAI for so many first batches at a time: the others must wait. */
const ROOM_IN_BATCHES = 1.5;
/** Between two polls nothing takes longer, on any machine: then something hangs, and that is a result as well. */
const MAX_TICK_MS = 15 * 60_000;
/** Who dies. */
const FUNCTIONS = ['ingest', 'submit', 'poll', 'collect', 'finalize'];
/** A file whose ingest has died four times is rejected; a stack that dies for another one's call may take it along. */
const MAX_DEATHS_OF_INGEST = 2;
/** How a run is made. */
export interface ChaosOptions {
  /** Folder of all state. */
  dir: string;
  cdkOut: string;
  requests: number;
  seed: number;
  /** How often each function is killed, at most; with 0 the run is calm. */
  deaths: number;
  /** A death of a function comes after 1 to so many of its calls. */
  mostCallsBetween: number;
}

/** What came of a file: its receipt, and the lines of its results without what differs from run to run. */
interface JobResult {
  receipt: Receipt;
  output: string[];
  errors: string[];
  retry: string[];
}

/** What came of a run. */
export interface ChaosResult {
  jobs: JobResult[];
  /** Requests that OpenAI executed with success more than once, how often. */
  boughtTwice: Map<string, number>;
  deaths: Death[];
  polls: number;
  /** The stack was started so often. */
  starts: number;
}

type Ready = Extract<HostMessage, { kind: 'ready' }>;

/**
 * Runs the files to their receipts.
 *
 * @throws when one is missing after three days of the stack's time
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  mkdirSync(options.dir, { recursive: true });
  const half = Math.ceil(options.requests / NAMES.length);
  const requestsPerBatch = half / MODELS.length;
  let aheadMs = 0;
  const emulator = await startEmulator({
    dir: join(options.dir, 'openai'),
    seed: 'chaos',
    faults: FAULTS,
    // What day it is must not matter.
    lenient: ['shutdowns'],
    clock: {
      now: () => Date.now() + aheadMs,
      advance: (ms) => {
        aheadMs += ms;
      },
    },
    limits: { enqueuedTokens: Math.ceil(requestsPerBatch * TOKENS_PER_REQUEST * ROOM_IN_BATCHES) },
    refuseChunkedUploads: true,
  });
  const deathsFile = join(options.dir, 'deaths.jsonl');
  let host: Host | undefined;
  let starts = 0;
  const startHost = async (): Promise<Host> => {
    for (;;) {
      starts += 1;
      const started = await Host.start({
        dir: join(options.dir, 'aws'),
        cdkOut: options.cdkOut,
        openaiBaseUrl: emulator.endpoint,
        aheadMs,
        seed: options.seed * 1_000 + starts,
        deaths: deathsLeft(options.deaths, readDeaths(deathsFile)),
        mostCallsBetween: options.mostCallsBetween,
        deathsFile,
      });
      if (started !== undefined) return started;
    }
  };
  try {
    host = await startHost();
    for (const [index, name] of NAMES.entries()) {
      const body = writeInput(index * half, (index + 1) * half);
      // Who is not sure whether it has arrived drops it again: the same content runs once.
      while (!(await host.drop(`input/${name}.jsonl`, body))) host = await startHost();
    }
    let polls = 0;
    let jobs: JobResult[] | undefined;
    while (jobs === undefined) {
      if (polls === MAX_POLLS) throw new Error(`seed ${options.seed}: not finished after ${polls} polls`);
      polls += 1;
      aheadMs += POLL_EVERY_MS;
      if (await host.tick({ aheadMs })) jobs = await readResults(host);
      else host = await startHost();
    }
    return {
      jobs,
      boughtTwice: await boughtTwice(emulator),
      deaths: readDeaths(deathsFile),
      polls,
      starts,
    };
  } finally {
    await host?.kill();
    await emulator.close();
  }
}

/** Nothing while a receipt is missing. */
async function readResults(host: Host): Promise<JobResult[] | undefined> {
  const jobs: JobResult[] = [];
  for (const name of NAMES) {
    const receipt = await host.read(`receipts/${name}.json`);
    if (receipt === undefined) return undefined;
    jobs.push({
      receipt: receiptSchema.parse(JSON.parse(receipt)),
      output: linesOf(await host.read(`output/${name}.jsonl`)).map(withoutIds),
      errors: linesOf(await host.read(`errors/${name}.jsonl`)).map(withoutIds),
      retry: linesOf(await host.read(`retry/${name}.jsonl`)),
    });
  }
  return jobs;
}

/** A stack in a process of its own. */
class Host {
  readonly #s3: S3Client;
  readonly #bucket: string;
  readonly #child: ChildProcess;
  readonly #gone: Promise<Gone>;

  private constructor(child: ChildProcess, gone: Promise<Gone>, ready: Ready) {
    this.#child = child;
    this.#gone = gone;
    const { endpoints, region, credentials, resources } = ready;
    this.#s3 = new S3Client({ endpoint: endpoints.s3, region, credentials });
    this.#bucket = resources.bucket;
  }

  /** Nothing when it was killed before it was ready. */
  static async start(settings: HostSettings): Promise<Host | undefined> {
    const child = fork(HOST, [JSON.stringify(settings)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const gone = new Promise<Gone>((resolve) => {
      child.once('exit', (status, signal) => resolve({ kind: 'gone', status, signal }));
    });
    const answer = await inTime('its start', Promise.race([answerOf<Ready>(child, 'ready'), gone]));
    return isKilled(answer) ? undefined : new Host(child, gone, answer);
  }

  /** True when everything has come to rest, false when the stack was killed. */
  async tick(tick: Tick): Promise<boolean> {
    const idle = answerOf(this.#child, 'idle');
    this.#child.send(tick, () => {});
    return this.#isAlive(await inTime('a poll', Promise.race([idle, this.#gone])));
  }

  /** True when the object is there, false when the stack was killed meanwhile. */
  async drop(key: string, body: string): Promise<boolean> {
    const put = this.#s3.send(new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: body }));
    // A connection that breaks off may be told sooner than the death that broke it.
    const dropped = put.then(
      () => ({ kind: 'dropped' }) as const,
      () => this.#gone,
    );
    return this.#isAlive(await inTime('a drop', Promise.race([dropped, this.#gone])));
  }

  #isAlive(answer: { kind: string } | Gone): boolean {
    if (!isKilled(answer)) return true;
    this.#s3.destroy();
    return false;
  }

  read(key: string): Promise<string | undefined> {
    return readObject(this.#s3, this.#bucket, key);
  }

  async kill(): Promise<void> {
    this.#s3.destroy();
    this.#child.kill('SIGKILL');
    await this.#gone;
  }
}

/** How a stack's process ended. */
interface Gone {
  kind: 'gone';
  status: number | null;
  signal: NodeJS.Signals | null;
}

/** Whether the stack was killed, as it should be now and then. @throws if it ended in any other way */
function isKilled(answer: { kind: string } | Gone): answer is Gone {
  if (!('signal' in answer)) return false;
  if (answer.signal === 'SIGKILL') return true;
  throw new Error(`the stack ended by itself: status ${answer.status}, signal ${answer.signal}`);
}

async function inTime<Result>(what: string, result: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new Error(`the stack hangs: ${what} has not come to an end in ${MAX_TICK_MS / 60_000} minutes`),
        ),
      MAX_TICK_MS,
    );
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

function answerOf<Answer extends HostMessage>(child: ChildProcess, kind: Answer['kind']): Promise<Answer> {
  return new Promise((resolve) => {
    const listen = (message: HostMessage) => {
      if (message.kind !== kind) return;
      child.off('message', listen);
      resolve(message as Answer);
    };
    child.on('message', listen);
  });
}

function deathsLeft(most: number, deaths: readonly Death[]): Record<string, number> {
  return Object.fromEntries(
    FUNCTIONS.map((role) => {
      const died = deaths.filter(({ functionName }) => functionName === role).length;
      return [role, Math.max(0, (role === 'ingest' ? Math.min(most, MAX_DEATHS_OF_INGEST) : most) - died)];
    }),
  );
}

function readDeaths(file: string): Death[] {
  return existsSync(file) ? linesOf(readFileSync(file, 'utf8')).map((line) => JSON.parse(line)) : [];
}

function linesOf(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '');
}

/** Ids and times are OpenAI's to choose, and others in every run. */
function withoutIds(line: string): string {
  const { id: _, response, ...rest } = JSON.parse(line);
  if (response === null || response === undefined) return JSON.stringify(rest);
  const { id: __, created: ___, ...body } = response.body ?? {};
  return JSON.stringify({ ...rest, status: response.status_code, body: sorted(body) });
}

/** OpenAI's keys come in any order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}

async function boughtTwice(emulator: Emulator): Promise<Map<string, number>> {
  return new Map(
    (await emulator.ledger.boughtTwice()).map((times) => [String(times[0]!.custom_id), times.length]),
  );
}

/** What must be the same in a calm run and in one with deaths: the account, without names and times. */
function accountOf({ receipt }: JobResult): string {
  const { result, counts, errorsByCode, possiblyBilledTwice, incomplete, usage } = receipt;
  return JSON.stringify(sorted({ result, counts, errorsByCode, possiblyBilledTwice, incomplete, usage }));
}

/**
 * Holds a run with deaths against a calm one; gives a sentence for everything that is wrong, and nothing if all is
 * well.
 */
export function findHarm(calm: ChaosResult, run: ChaosResult): string[] {
  const harm = findDoubleBuys(run);
  for (const [index, name] of NAMES.entries()) {
    const [expected, found] = [calm.jobs[index]!, run.jobs[index]!];
    for (const file of ['output', 'errors', 'retry'] as const) {
      if (found[file].length !== expected[file].length) {
        harm.push(
          `${name}, ${file}: ${found[file].length} lines, and ${expected[file].length} in the calm run`,
        );
      }
      const at = expected[file].findIndex((line, number) => line !== found[file][number]);
      if (at < 0) continue;
      harm.push(
        `${name}, ${file}, line ${at + 1}: ${found[file][at]}\n  and in the calm run: ${expected[file][at]}`,
      );
    }
    if (accountOf(found) !== accountOf(expected)) {
      harm.push(`${name}, receipt: ${accountOf(found)}\n  and in the calm run: ${accountOf(expected)}`);
    }
  }
  return harm;
}

/** Only what OpenAI lost may have been bought again, once, and the receipts say so. */
export function findDoubleBuys({ boughtTwice, jobs }: ChaosResult): string[] {
  const harm = [...boughtTwice]
    .filter(([customId, times]) => times > 2 || !LOST_BY_OPENAI.test(customId))
    .map(([customId, times]) => `${customId} was bought ${times} times`);
  const told = jobs.reduce(
    (sum, { receipt }) => sum + (receipt.possiblyBilledTwice.missing_from_results ?? 0),
    0,
  );
  if (told !== boughtTwice.size) {
    harm.push(
      `the receipts tell of ${told} missing requests that were run again, OpenAI of ${boughtTwice.size}`,
    );
  }
  return harm;
}
