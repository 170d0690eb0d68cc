/** `batchdrop cancel`, `retry`, `pause`, `unpause` and `forget`: asks the stack to do what an operator decides. */
import type { Done } from '../../src/contract/operate.ts';
import { confirm } from '../options/confirm.ts';
import { findJob } from '../options/find-job.ts';
import { askStack, RefusedByStackError } from '../options/operate.ts';
import { openStack, type StackOptions, stackError, stackText } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';

/** Options of every act. */
export interface ActOptions extends StackOptions {
  /** Kept with what was done. */
  reason?: string | undefined;
  /** Nothing is asked: the person has answered. */
  yes?: boolean | undefined;
  json?: boolean | undefined;
}

const JOB_ID = /^[0-9a-f]{32}$/;
/** What a person does not want after all. */
const LEFT = 'Nothing was done.';

/** @throws {CannotRunError} if the stack does not do it. */
export function cancel(named: string, options: ActOptions & { runDuplicates?: boolean }): Promise<number> {
  return onJob(named, options, async ({ stack }, { jobId, key }) => {
    const question = `Cancel job ${jobId} (${key})? What is finished is kept; the rest is not sent.`;
    if (!(await confirm(question, options))) return LEFT;
    const duplicates = options.runDuplicates ? 'run' : 'cancel';
    const answer = await askStack(stack, { action: 'cancel', jobId, duplicates, ...reasonOf(options) });
    return said(options, answer, cancelText(answer, `${jobId} (${key})`));
  });
}

function cancelText({ state, duplicates }: Done<'cancel'>, job: string): string {
  if (state === 'ended') return `${job} had ended already: nothing was cancelled.`;
  const others = duplicates.length === 0 ? '' : ` It had duplicates: ${duplicates.join(', ')}.`;
  return `${job} is being cancelled: its receipt follows once what is at OpenAI has ended.${others}`;
}

/** @throws {CannotRunError} if the stack does not do it. */
export function retry(
  named: string,
  options: ActOptions & { number?: number; mayPayTwice?: boolean },
): Promise<number> {
  return onJob(named, options, async ({ stack }, { jobId, key }) => {
    const request = {
      action: 'retry',
      jobId,
      ...(options.number === undefined ? {} : { number: options.number }),
      ...reasonOf(options),
    } as const;
    const ask = (acknowledged: boolean) =>
      askStack(stack, acknowledged ? { ...request, acknowledge: 'may_pay_twice' } : request);
    let answer: Done<'retry'>;
    try {
      answer = await ask(options.mayPayTwice ?? false);
    } catch (error) {
      if (!(error instanceof RefusedByStackError) || error.refusal.code !== 'needs_acknowledgement')
        throw error;
      // `--yes` does not answer this: it is another question.
      if (!(await confirm(`${error.message} Retry all the same?`, { answer: '--may-pay-twice' })))
        return LEFT;
      answer = await ask(true);
    }
    const { state, key: retryKey } = answer;
    const done =
      state === 'dropped'
        ? `What did not succeed of ${jobId} (${key}) was dropped as ${retryKey}`
        : `It was dropped before, as ${retryKey}. For what did not succeed of that, once it has ended: batchdrop retry ${retryKey}`;
    return said(options, answer, `${done}.`);
  });
}

/**
 * A key means another job once the newest version of its object is removed: a command that nobody looks at, which may
 * be repeated, has to name the job.
 * @throws {CannotRunError} if the stack does not do it.
 * @throws {UsageError} if the job is named by its key, and nothing is to be asked.
 */
export function forget(named: string, options: ActOptions): Promise<number> {
  return onJob(named, options, async ({ stack }, { jobId, key }) => {
    if (options.yes && !JOB_ID.test(named))
      throw new UsageError(
        `${key} is job ${jobId} at this moment, and another one once that is forgotten: with --yes, name the job: batchdrop forget ${jobId} --yes`,
      );
    const question =
      `Forget job ${jobId} (${key})? Its input, results, receipt and records are removed for good, ` +
      'with their older versions.';
    if (!(await confirm(question, options))) return LEFT;
    const answer = await askStack(stack, { action: 'forget', jobId, ...reasonOf(options) });
    const before = answer.state === 'forgotten' ? '' : ` (it was already, ${answer.forgottenAt})`;
    return said(options, answer, [`Job ${jobId} is forgotten${before}.`, ...remainsText(answer)].join('\n'));
  });
}

/** What was not removed, each with what removes it. */
function remainsText({ remains }: Done<'forget'>): string[] {
  const { retries, duplicates, options, openaiFiles } = remains;
  return [
    ...retries.map(
      ({ jobId, key }) =>
        `A retry of it has the same requests (${key}). Remove it with: batchdrop forget ${jobId}`,
    ),
    ...duplicates.map(
      ({ jobId, key }) =>
        `The receipt of its duplicate names its files (${key}). Remove it with: batchdrop forget ${jobId}`,
    ),
    ...options.map(
      (key) => `${key} was left: a file that comes next may be meant. Remove it yourself if none is.`,
    ),
    ...openaiFiles.map(
      ({ id, apiKey }) =>
        `OpenAI still had file ${id} when the job ended (API key ${apiKey}). It goes there after 30 days at the latest; at once with: ` +
        `curl -X DELETE https://api.openai.com/v1/files/${id} -H "Authorization: Bearer $OPENAI_API_KEY"`,
    ),
  ];
}

/** Pauses a route, or the whole stack. @throws {CannotRunError} if the stack does not do it. */
export function pause(route: string | undefined, options: ActOptions): Promise<number> {
  return onStack(options, async (stack) => {
    const what = route === undefined ? `all of ${stackText(stack)}` : `route ${route}`;
    const question = `Pause ${what}? Nothing new is sent until \`batchdrop unpause\`; deadlines go on.`;
    if (!(await confirm(question, options))) return LEFT;
    const answer = await askStack(stack, { action: 'pause', ...routeOf(route), ...reasonOf(options) });
    const { by, at, reason } = answer.pause;
    const why = reason === undefined ? '' : `: ${reason}`;
    const text =
      answer.state === 'paused'
        ? `Paused: ${what}. End it with: ${withFlags(`batchdrop unpause${route === undefined ? '' : ` ${route}`}`, options)}`
        : `It was paused before, by ${by} at ${at}${why}.`;
    return said(options, answer, text);
  });
}

/** @throws {CannotRunError} if the stack does not do it. */
export function unpause(route: string | undefined, options: ActOptions): Promise<number> {
  return onStack(options, async (stack) => {
    const answer = await askStack(stack, { action: 'unpause', ...routeOf(route), ...reasonOf(options) });
    const text = answer.state === 'unpaused' ? 'The next poll sends what waits.' : 'It was not paused.';
    return said(options, answer, text);
  });
}

/** Lifts a suspended scope. @returns the exit status: 0, also if it was not suspended. */
export function lift(scope: string, options: ActOptions): Promise<number> {
  return onStack(options, async (stack) => {
    const answer = await askStack(stack, { action: 'lift', scope, ...reasonOf(options) });
    const text =
      answer.state === 'lifted'
        ? `${scope} is not suspended any more: the next poll sends what waits for it.`
        : `${scope} is not suspended.`;
    return said(options, answer, text);
  });
}

/** As a request has it. */
export function reasonOf({ reason }: ActOptions): { reason?: string } {
  return reason === undefined ? {} : { reason };
}

function routeOf(route: string | undefined): { route?: string } {
  return route === undefined ? {} : { route };
}

function said({ json }: ActOptions, answer: object, text: string): string {
  return json ? JSON.stringify(answer) : text;
}

function withFlags(command: string, options: ActOptions): string {
  return `${command} ${stackFlags(options)}`.trimEnd();
}

async function onStack(
  options: ActOptions,
  act: (stack: Stores['stack']) => Promise<string>,
): Promise<number> {
  const stack = await openStack(options, process.env);
  try {
    console.log(await act(stack));
    return EXIT_SUCCEEDED;
  } catch (error) {
    throw stackError(error as Error, stack);
  } finally {
    await stack.close();
  }
}

function onJob(
  named: string,
  options: ActOptions,
  act: (stores: Stores, job: { jobId: string; key: string }) => Promise<string>,
): Promise<number> {
  return withStores(options, async (stores) => {
    // A job that was forgotten has no record: the stack knows of it by its id.
    const { jobId, key } = JOB_ID.test(named)
      ? { jobId: named, key: (await stores.jobs.getJob(named))?.input.key ?? 'no record' }
      : await findJob(stores, named);
    console.log(await act(stores, { jobId, key }));
    return EXIT_SUCCEEDED;
  });
}
