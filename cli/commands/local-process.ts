/** `batchdrop local process FILE...`: runs files to the end on the local stack and fetches what came out. */
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { type LocalPipeline, startLocalPipeline } from '../../local/stack/pipeline.ts';
import { type Receipt, receiptSchema } from '../../src/contract/receipt.ts';
import { defaultSettings, type Settings } from '../../src/contract/settings.ts';
import { formatUsd, fromUsd } from '../../src/core/base/money.ts';
import { chooseOpenAI, requireAnswer } from '../options/openai.ts';
import { requireRoute, settingsOf } from '../options/settings.ts';
import { EXIT_CANNOT_RUN, EXIT_PARTIAL, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { jobView } from '../view/job-view.ts';
import { describeJob, format, ProgressDisplay } from '../view/progress.ts';

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
    if (!(error instanceof StuckError)) throw error;
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
    receipts.push(await fetchResults(pipeline, jobId, receiptKey, options.out));
  for (const receipt of receipts) if (!options.json) console.log(summaryOf(receipt, options.out));
  if (options.json) console.log(JSON.stringify(receipts));
  return receipts.every(hasSucceeded) ? EXIT_SUCCEEDED : EXIT_PARTIAL;
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

/** All requests of the file have an answer, from its own job or from that of the same content. */
function hasSucceeded({ result, duplicateOf }: Receipt): boolean {
  return result === 'succeeded' || (result === 'duplicate' && duplicateOf?.result === 'succeeded');
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

/**
 * Copies what the receipt names to the same paths below `out`, and the receipt itself last, as in the bucket.
 * @throws {StuckError} if another job's receipt has taken its place: a newer version of the file was dropped meanwhile.
 */
async function fetchResults(
  stack: LocalPipeline,
  jobId: string,
  receiptKey: string,
  out: string,
): Promise<Receipt> {
  const chunks = await Array.fromAsync(await stack.read(receiptKey));
  const receipt = receiptSchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  if (receipt.jobId !== jobId)
    throw new StuckError(
      `${receiptKey} is the receipt of job ${receipt.jobId}, and no longer that of job ${jobId}: a newer version of the file was ` +
        'dropped and has ended meanwhile. Run the command again for the file that you mean.',
    );
  for (const key of [receipt.files.output, receipt.files.errors, receipt.files.retry]) {
    if (key !== undefined) await fetchObject(stack, key, out);
  }
  await fetchObject(stack, receiptKey, out);
  return receipt;
}

/** A file under its own name is whole. */
async function fetchObject(stack: LocalPipeline, key: string, out: string): Promise<void> {
  const path = join(out, key);
  const partial = `${path}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await pipeline(Readable.from(await stack.read(key)), createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

function summaryOf(receipt: Receipt, out: string): string {
  const { counts, files, usage, rejection, errorsByCode, result, duplicateOf } = receipt;
  const where = (key: string | undefined): string =>
    key === undefined ? '' : relative('.', join(out, key)) || '.';
  const codes = Object.entries(errorsByCode).map(([code, count]) => `${code} ${format(count)}`);
  return [
    `${receipt.input.key}: ${receipt.result}`,
    ...(rejection === undefined ? [] : [`  reason    ${rejection.message}`]),
    ...(result === 'duplicate'
      ? [
          `  reason    not run, and nothing paid: job ${duplicateOf?.jobId} had the same content, and ended as ${duplicateOf?.result}`,
        ]
      : []),
    `  requests  ${format(counts.requests)}: ${format(counts.succeeded)} succeeded, ${format(counts.failed)} failed, ${format(counts.invalid)} invalid`,
    ...(codes.length === 0 ? [] : [`  problems  ${codes.join(', ')}`]),
    `  tokens    ${format(usage.inputTokens)} in, ${format(usage.outputTokens)} out`,
    `  cost      ${costLine(receipt.cost)}`,
    ...(files.output === undefined ? [] : [`  answers   ${where(files.output)}`]),
    ...(files.errors === undefined ? [] : [`  errors    ${where(files.errors)}`]),
    ...(files.retry === undefined ? [] : [`  to retry  ${where(files.retry)}`]),
    `  receipt   ${where(files.receipt)}`,
  ].join('\n');
}

function costLine({ usd, possibleUsd, savedUsd, withoutUsage, unpriced }: Receipt['cost']): string {
  const shown = (text: string): string => formatUsd(fromUsd(text.replace('-', '')) ?? 0n);
  return [
    `${shown(usd)}, ${shown(savedUsd)} ${savedUsd.startsWith('-') ? 'more' : 'less'} than standard`,
    ...(possibleUsd === '0'
      ? []
      : [
          `up to ${shown(possibleUsd)} more for results that OpenAI lost${withoutUsage === 0 ? '' : ` and ${format(withoutUsage)} without usage`}`,
        ]),
    ...(unpriced === 0 ? [] : [`${format(unpriced)} results have no known price`]),
  ].join('; ');
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
