/** `batchdrop local process FILE...`: runs files to the end on the local stack and fetches what came out. */
import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline as flow } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { LocalPipeline } from '../../local/stack/pipeline.ts';
import type { Receipt } from '../../src/contract/receipt.ts';
import { defaultSettings, type Settings } from '../../src/contract/settings.ts';
import { type Drop, dropsOf, isOptions, STDIN, STDIN_NAME } from '../options/drops.ts';
import { loadLocalStack } from '../options/local-stack.ts';
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
  /** What standard input is called. Default: {@link STDIN_NAME}, so that the same command continues. */
  name?: string;
}

/** How often progress is looked up. */
const LOOK_MS = 250;

/** @returns the exit status. */
export async function localProcess(files: readonly string[], options: LocalProcessOptions): Promise<number> {
  const { startLocalPipeline } = await loadLocalStack();
  const settings = await settingsOf(options.settings);
  const drops = await localDrops(files, settings ?? defaultSettings(), options);
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
  const work = processAll(pipeline, drops, display, options, () => lastProblem);
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
  drops: readonly LocalDrop[],
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
  for (const one of drops) {
    const jobId = await drop(pipeline, one, display, options.state);
    // Options are read with their file.
    if (!isOptions(one)) jobIds.set(one.name, jobId);
  }
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
  { file, key, name, open }: LocalDrop,
  display: ProgressDisplay,
  stateDir: string,
): Promise<string> {
  if (file !== STDIN && (await stat(file)).isFile())
    return dropFile(pipeline, { file, key, name }, display, stateDir);
  // What can be read once only becomes a file first: whether it was dropped before is known by its content.
  const copy = join(stateDir, 'stdin');
  try {
    await flow(open(), createWriteStream(copy));
    return await dropFile(pipeline, { file: copy, key, name }, display, stateDir);
  } finally {
    await rm(copy, { force: true });
  }
}

async function dropFile(
  pipeline: LocalPipeline,
  { file, key, name }: Pick<LocalDrop, 'file' | 'key' | 'name'>,
  display: ProgressDisplay,
  stateDir: string,
): Promise<string> {
  const { size } = await stat(file);
  await requireRoom(file, size, stateDir);
  let shownAtMs = Number.NEGATIVE_INFINITY;
  const { jobId, isResumed } = await pipeline.drop(file, key, (bytes) => {
    const nowMs = performance.now();
    if (nowMs - shownAtMs < LOOK_MS) return;
    shownAtMs = nowMs;
    display.show([{ name, text: `copying in: ${Math.floor((100 * bytes) / size)} %` }]);
  });
  if (isResumed) display.note(`${name} is under way already: continuing with it.`);
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

/** A file to drop, and its name below the prefix. */
interface LocalDrop extends Drop {
  name: string;
}

/**
 * What is dropped: of folders all that is in them, under its path there.
 * @throws {UsageError} if a file cannot be read, no route would take it, or two would have the same key.
 */
export async function localDrops(
  paths: readonly string[],
  settings: Settings,
  { prefix = settings.layout.input, name = STDIN_NAME }: Pick<LocalProcessOptions, 'prefix' | 'name'>,
): Promise<LocalDrop[]> {
  if (!prefix.endsWith('/') || !prefix.startsWith(settings.layout.input)) {
    throw new UsageError(
      `--prefix ${prefix}: a prefix that begins with "${settings.layout.input}", which is where input is dropped, and ` +
        `ends with "/" is expected, such as ${settings.routes.map((route) => route.prefix).join(' or ')}`,
    );
  }
  const drops = await dropsOf(paths, prefix, name);
  for (const one of drops) if (!isOptions(one)) requireRoute(settings, one.file, one.key);
  return drops.map((one) => ({ ...one, name: one.key.slice(prefix.length) }));
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
    const names = [...jobIds.keys()];
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
