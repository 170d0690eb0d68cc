/** `batchdrop local process FILE...`: runs files to the end on the local stack and fetches what came out. */
import { mkdir, stat, statfs } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type LocalPipeline, startLocalPipeline } from '../../local/stack/pipeline.ts';
import type { Receipt } from '../../src/contract/receipt.ts';
import { defaultSettings, type Settings } from '../../src/contract/settings.ts';
import { chooseOpenAI, requireAnswer } from '../options/openai.ts';
import { fetchResults, OtherReceiptError, savedBelow } from '../options/results.ts';
import { requireRoute, settingsOf } from '../options/settings.ts';
import { EXIT_CANNOT_RUN, UsageError } from '../view/exit.ts';
import { jobView } from '../view/job-view.ts';
import { describeJob, format, ProgressDisplay } from '../view/progress.ts';
import { exitOf, receiptText } from '../view/receipt-text.ts';

export interface LocalProcessOptions {
  out: string;
  state: string;
  json?: boolean;
  live?: boolean;
  deliverTwice?: boolean;
  /** Invocations that the account runs at a time. Default: no limit. */
  concurrency?: number;
  /** Path of a settings file. */
  settings?: string;
  /** What the keys of the files begin with. Default: the layout's input prefix. */
  prefix?: string;
}

/** How often progress is looked up. */
const LOOK_MS = 250;

/** @returns the exit status. */
export async function localProcess(files: readonly string[], options: LocalProcessOptions): Promise<number> {
  const settings = await settingsOf(options.settings);
  const keys = await keysOf(files, settings ?? defaultSettings(), options.prefix);
  await mkdir(options.out, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--out ${options.out}: a folder that can be written is expected (${error.code})`);
  });
  const openai = chooseOpenAI(process.env, options.live ?? false, settings?.dataResidency);
  if (openai !== undefined) await requireAnswer(openai);
  const display = new ProgressDisplay(process.stderr, Date.now);
  let lastProblem = '';
  const pipeline = await startLocalPipeline({
    stateDir: options.state,
    settings,
    openai,
    deliverTwice: options.deliverTwice,
    concurrency: options.concurrency,
    onProgress: (text) => display.note(text),
    onLog: (line) => {
      lastProblem = problemOf(line) ?? lastProblem;
    },
  });
  const interrupted = Promise.withResolvers<NodeJS.Signals>();
  process.once('SIGINT', interrupted.resolve);
  process.once('SIGTERM', interrupted.resolve);
  const work = processAll(pipeline, keys, display, options, () => lastProblem);
  try {
    const ended = await Promise.race([work, interrupted.promise]);
    if (typeof ended === 'number') return ended;
    process.stderr.write(
      `\nInterrupted. The same command continues where this one stopped; its state is in ${options.state}.\n`,
    );
    // A second signal finds no listener and ends the process at once, which does no harm either.
    await pipeline.stop();
    process.exit(EXIT_INTERRUPTED[ended as 'SIGINT']);
  } catch (error) {
    if (!(error instanceof StuckError) && !(error instanceof OtherReceiptError)) throw error;
    console.error(`batchdrop: ${error.message}`);
    return EXIT_CANNOT_RUN;
  } finally {
    process.off('SIGINT', interrupted.resolve);
    process.off('SIGTERM', interrupted.resolve);
    await pipeline.stop();
  }
}

/** What a shell gives a program that a signal ended. */
const EXIT_INTERRUPTED = { SIGINT: 130, SIGTERM: 143 };

/** Drops the files by their keys, waits for their jobs and fetches what came out; gives the exit status. */
async function processAll(
  pipeline: LocalPipeline,
  keys: ReadonlyMap<string, string>,
  display: ProgressDisplay,
  options: LocalProcessOptions,
  lastProblem: () => string,
): Promise<number> {
  display.note(
    pipeline.openai.isEmulated
      ? 'Answers come from the OpenAI emulator: they cost nothing and mean nothing.'
      : `Answers come from ${pipeline.openai.baseUrl}.`,
  );
  const jobIds = new Map<string, string>();
  for (const [key, file] of keys) jobIds.set(key, await drop(pipeline, key, file, display, options.state));
  const ended = await follow(pipeline, jobIds, display, lastProblem, options.state);
  const receipts: Receipt[] = [];
  for (const { jobId, receiptKey } of ended)
    receipts.push(await fetchResults(pipeline.read, jobId, receiptKey, options.out));
  for (const receipt of receipts)
    if (!options.json) console.log(receiptText(receipt, savedBelow(options.out)));
  if (options.json) console.log(JSON.stringify(receipts));
  return exitOf(receipts);
}

/** @returns the id of the job. */
async function drop(
  pipeline: LocalPipeline,
  key: string,
  file: string,
  display: ProgressDisplay,
  stateDir: string,
): Promise<string> {
  const name = basename(key);
  const { size } = await stat(file);
  await requireRoom(file, size, stateDir);
  let shownAtMs = Number.NEGATIVE_INFINITY;
  const { jobId, isResumed } = await pipeline.drop(file, key, (bytes) => {
    const nowMs = performance.now();
    if (nowMs - shownAtMs < LOOK_MS) return;
    shownAtMs = nowMs;
    display.show([{ name, text: `copying in: ${Math.floor((100 * bytes) / size)} %` }]);
  });
  if (isResumed) display.note(`${file} is under way already: continuing with it.`);
  return jobId;
}

/** Work that the stack has given up on; it is in a dead-letter queue. */
class StuckError extends Error {}

/** @throws if the disk cannot hold what becomes of the file; the stack would fail half-way. */
async function requireRoom(file: string, bytes: number, stateDir: string): Promise<void> {
  const { bavail, bsize } = await statfs(stateDir);
  const problem = describeLackOfRoom(bytes, bavail * bsize);
  if (problem !== undefined)
    throw new Error(`${file}: ${problem} on the disk of ${stateDir}; make room, or use --state`);
}

/** A file is there as input and as what was uploaded to the emulator, and its answers beside it. */
const COPIES = 3;

/**
 * @param bytes of the file.
 * @param freeBytes of the disk that is to hold it.
 * @returns what is missing, if anything is.
 */
export function describeLackOfRoom(bytes: number, freeBytes: number): string | undefined {
  const neededBytes = COPIES * bytes;
  if (freeBytes >= neededBytes) return undefined;
  const megabytes = (count: number) => `${format(Math.ceil(count / 1e6))} MB`;
  return `${megabytes(neededBytes)} are needed and ${megabytes(freeBytes)} are free`;
}

/** @throws {UsageError} if a file cannot be read, no route would take it, or two would have the same key. */
async function keysOf(
  files: readonly string[],
  settings: Settings,
  prefix = settings.layout.input,
): Promise<Map<string, string>> {
  if (!prefix.endsWith('/') || !prefix.startsWith(settings.layout.input)) {
    throw new UsageError(
      `--prefix ${prefix}: a prefix that begins with "${settings.layout.input}", which is where input is dropped, and ` +
        `ends with "/" is expected, such as ${settings.routes.map((route) => route.prefix).join(' or ')}`,
    );
  }
  const keys = new Map<string, string>();
  for (const file of files) {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) throw new UsageError(`${file}: there is no such file`);
    if (!found.isFile()) throw new UsageError(`${file}: a file is expected, not a folder`);
    const key = `${prefix}${basename(file)}`;
    requireRoute(settings, file, key);
    const other = keys.get(key);
    if (other !== undefined) {
      throw new UsageError(`${other} and ${file} have the same name, so their results would too; rename one`);
    }
    keys.set(key, file);
  }
  return keys;
}

/** Waits for every job to end; gives the keys of their receipts in the order of the files. */
async function follow(
  pipeline: LocalPipeline,
  jobIds: ReadonlyMap<string, string>,
  display: ProgressDisplay,
  lastProblem: () => string,
  stateDir: string,
): Promise<{ jobId: string; receiptKey: string }[]> {
  for (;;) {
    const jobs = await Promise.all([...jobIds.values()].map((jobId) => pipeline.look(jobId)));
    const names = [...jobIds.keys()].map((key) => basename(key));
    display.show(jobs.map((job, index) => ({ name: names[index]!, text: describeJob(jobView(job)) })));
    const ended = jobs.flatMap(({ job }) =>
      job?.receiptKey === undefined ? [] : { jobId: job.jobId, receiptKey: job.receiptKey },
    );
    if (ended.length === jobs.length) return ended;
    const deadLetters = pipeline.deadLetters();
    if (deadLetters.length > 0) {
      throw new StuckError(
        `a step failed too often; its message is in ${deadLetters.join(', ')}. Last problem: ${lastProblem() || 'none was logged'}. The logs are in ${stateDir}/aws/logs.`,
      );
    }
    await wait(LOOK_MS);
  }
}

/** A function's structured log line that reports a problem, as one sentence. */
function problemOf(line: string): string | undefined {
  try {
    const { level, message, service, error } = JSON.parse(line);
    return level === 'ERROR' ? `${service}: ${message} ${JSON.stringify(error ?? '')}` : undefined;
  } catch {
    return undefined;
  }
}
