/** `batchdrop local process FILE...`: runs files to the end on the local stack and fetches what came out. */
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { type LocalPipeline, startLocalPipeline } from '../local/local-pipeline.ts';
import { type Receipt, receiptSchema } from '../src/contract/receipt.ts';
import { EXIT_CANNOT_RUN, EXIT_PARTIAL, EXIT_SUCCEEDED, UsageError } from './exit.ts';
import { chooseOpenAI } from './openai.ts';
import { describeJob, format, ProgressDisplay } from './progress.ts';

export interface LocalProcessOptions {
  out: string;
  state: string;
  json?: boolean;
  live?: boolean;
  deliverTwice?: boolean;
}

/** How often progress is looked up. */
const LOOK_MS = 250;
/** Prefix that the stack takes for input, and keys are made under. */
const INPUT_PREFIX = 'input/';

/** @returns the exit status. */
export async function localProcess(files: readonly string[], options: LocalProcessOptions): Promise<number> {
  const keys = await keysOf(files);
  const openai = chooseOpenAI(process.env, options.live ?? false);
  const display = new ProgressDisplay(process.stderr, Date.now);
  let lastProblem = '';
  const pipeline = await startLocalPipeline({
    stateDir: options.state,
    openai,
    deliverTwice: options.deliverTwice,
    onProgress: (text) => display.note(text),
    onLog: (line) => {
      lastProblem = problemOf(line) ?? lastProblem;
    },
  });
  try {
    display.note(
      pipeline.openai.isEmulated
        ? 'Answers come from the OpenAI emulator: they cost nothing and mean nothing.'
        : `Answers come from ${pipeline.openai.baseUrl}.`,
    );
    const jobIds = new Map<string, string>();
    for (const [key, file] of keys) jobIds.set(key, await pipeline.drop(file, key));
    const receiptKeys = await follow(pipeline, jobIds, display, () => lastProblem, options.state);
    const receipts: Receipt[] = [];
    for (const receiptKey of receiptKeys)
      receipts.push(await fetchResults(pipeline, receiptKey, options.out));
    for (const receipt of receipts) if (!options.json) console.log(summaryOf(receipt, options.out));
    if (options.json) console.log(JSON.stringify(receipts));
    return receipts.every((receipt) => receipt.result === 'succeeded') ? EXIT_SUCCEEDED : EXIT_PARTIAL;
  } catch (error) {
    if (!(error instanceof StuckError)) throw error;
    console.error(`batchdrop: ${error.message}`);
    return EXIT_CANNOT_RUN;
  } finally {
    await pipeline.stop();
  }
}

/** Work that the stack has given up on; it stands in a dead-letter queue. */
class StuckError extends Error {}

/** @throws {UsageError} if a file cannot be read or two would have the same key. */
async function keysOf(files: readonly string[]): Promise<Map<string, string>> {
  const keys = new Map<string, string>();
  for (const file of files) {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) throw new UsageError(`${file}: there is no such file`);
    if (!found.isFile()) throw new UsageError(`${file}: a file is expected, not a folder`);
    const key = `${INPUT_PREFIX}${basename(file)}`;
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
): Promise<string[]> {
  for (;;) {
    const views = await Promise.all([...jobIds.values()].map((jobId) => pipeline.look(jobId)));
    const names = [...jobIds.keys()].map((key) => key.slice(INPUT_PREFIX.length));
    display.show(views.map((view, index) => ({ name: names[index]!, text: describeJob(view) })));
    const receiptKeys = views.flatMap(({ job }) => job?.receiptKey ?? []);
    if (receiptKeys.length === views.length) return receiptKeys;
    const deadLetters = pipeline.deadLetters();
    if (deadLetters.length > 0) {
      throw new StuckError(
        `a step failed too often; its message is in ${deadLetters.join(', ')}. Last problem: ${lastProblem() || 'none was logged'}. The logs are in ${stateDir}/aws/logs.`,
      );
    }
    await wait(LOOK_MS);
  }
}

/** Copies what the receipt names, and the receipt itself, to the same paths below `out`. */
async function fetchResults(pipeline: LocalPipeline, receiptKey: string, out: string): Promise<Receipt> {
  const receiptPath = await fetchObject(pipeline, receiptKey, out);
  const receipt = receiptSchema.parse(JSON.parse(await readFile(receiptPath, 'utf8')));
  for (const key of [receipt.files.output, receipt.files.errors, receipt.files.retry]) {
    if (key !== undefined) await fetchObject(pipeline, key, out);
  }
  return receipt;
}

async function fetchObject(stack: LocalPipeline, key: string, out: string): Promise<string> {
  const path = join(out, key);
  await mkdir(dirname(path), { recursive: true });
  await pipeline(Readable.from(await stack.read(key)), createWriteStream(path));
  return path;
}

function summaryOf(receipt: Receipt, out: string): string {
  const { counts, files, usage, rejection, errorsByCode } = receipt;
  const where = (key: string | undefined): string =>
    key === undefined ? '' : relative('.', join(out, key)) || '.';
  const codes = Object.entries(errorsByCode).map(([code, count]) => `${code} ${format(count)}`);
  return [
    `${receipt.input.key}: ${receipt.result}`,
    ...(rejection === undefined ? [] : [`  reason    ${rejection.message}`]),
    `  requests  ${format(counts.requests)}: ${format(counts.succeeded)} succeeded, ${format(counts.failed)} failed, ${format(counts.invalid)} invalid`,
    ...(codes.length === 0 ? [] : [`  problems  ${codes.join(', ')}`]),
    `  tokens    ${format(usage.inputTokens)} in, ${format(usage.outputTokens)} out`,
    ...(files.output === undefined ? [] : [`  answers   ${where(files.output)}`]),
    ...(files.errors === undefined ? [] : [`  errors    ${where(files.errors)}`]),
    ...(files.retry === undefined ? [] : [`  to retry  ${where(files.retry)}`]),
    `  receipt   ${where(files.receipt)}`,
  ].join('\n');
}

/** A function's structured log line that tells of a problem, as one sentence. */
function problemOf(line: string): string | undefined {
  try {
    const { level, message, service, error } = JSON.parse(line);
    return level === 'ERROR' ? `${service}: ${message} ${JSON.stringify(error ?? '')}` : undefined;
  } catch {
    return undefined;
  }
}
