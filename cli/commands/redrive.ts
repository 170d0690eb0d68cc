/** `batchdrop redrive QUEUE`: sends the dead letters of a queue to it again, through SQS, or shows what they are. */
import { setTimeout as wait } from 'node:timers/promises';
import {
  ListMessageMoveTasksCommand,
  type SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import {
  NOTIFICATIONS,
  peekMessages,
  type QueueState,
  queueUrls,
  readQueue,
  readQueues,
} from '../options/queues.ts';
import { requireRunning, type StackOptions, stackText } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { withStores } from '../options/stores.ts';
import { deadLettersText, readDeadLetter } from '../view/dead-letters.ts';
import { CannotRunError, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { withStack } from '../view/explain-text.ts';
import { format } from '../view/progress.ts';
import { tableLines } from '../view/table-text.ts';
import { count, terminalWidth } from '../view/text.ts';

/** Options of `batchdrop redrive`. */
export interface RedriveOptions extends StackOptions {
  /** Show dead letters, and send none. */
  show?: boolean;
  json?: boolean;
}

/** How often SQS is asked how far it is, and for how long (ms): it goes on without us. */
const ASK_MS = 1_000;
const ASK_FOR_MS = 60_000;

/**
 * Without a name, shows the queues and their dead letters.
 * @returns the exit status.
 * @throws {UsageError} if there is no such queue, or none is named to show dead letters of.
 */
export async function redrive(name: string | undefined, options: RedriveOptions): Promise<number> {
  if (options.show && name === undefined)
    throw new UsageError('--show takes a queue: `batchdrop redrive` lists those with dead letters');
  return withStores(options, async ({ stack, openSqs }) => {
    requireRunning(stack);
    const sqs = openSqs();
    const urls = queueUrls(stack);
    if (name === undefined) {
      const queues = await readQueues(sqs, stack);
      console.log(options.json ? JSON.stringify(queues) : queuesText(queues));
      return EXIT_SUCCEEDED;
    }
    if (name === NOTIFICATIONS)
      throw new UsageError(
        'the dead letters of notifications are events that a target of a route did not take: they have no queue to go back to. docs/runbook.md, "notifications-dead-letters", says what to do',
      );
    const url = urls.get(name);
    if (url === undefined)
      throw new UsageError(
        `there is no queue ${name} in ${stackText(stack)}: name ${[...urls.keys()].join(', ')}`,
      );
    const queue = await readQueue(sqs, name, url);
    if (options.show) return show(sqs, queue, options);
    const moved = queue.deadLetters.messages === 0 ? 0 : await move(sqs, queue);
    console.log(
      options.json
        ? JSON.stringify({ queue: name, moved: moved ?? null })
        : movedText(name, moved, stackFlags(options)),
    );
    return EXIT_SUCCEEDED;
  });
}

/** Prints dead letters, and leaves them where they are. @returns the exit status. */
async function show(
  sqs: SQSClient,
  { name, deadLetters: { url, messages: all } }: QueueState,
  { json }: RedriveOptions,
): Promise<number> {
  const letters = (await peekMessages(sqs, url, all)).map((message) => readDeadLetter(name, message));
  if (json) {
    console.log(JSON.stringify({ queue: name, url, messages: all, shown: letters }));
    return EXIT_SUCCEEDED;
  }
  const width = terminalWidth(process.stdout);
  console.log(deadLettersText(letters, { queue: name, all, now: Date.now(), width }));
  return EXIT_SUCCEEDED;
}

/** @param moved how many were sent; `undefined`: SQS is still at it. */
function movedText(name: string, moved: number | undefined, flags: string): string {
  if (moved === 0) return `0 dead letters of ${name} sent again.`;
  const sent =
    moved === undefined
      ? `SQS is sending the dead letters of ${name} again; there are many, and it goes on by itself.`
      : `${count(moved, 'dead letter')} of ${name} sent again.`;
  const look = withStack(`batchdrop redrive ${name} --show`, flags);
  const why = withStack('batchdrop logs JOB', flags);
  return `${sent}\nWhat fails again comes back: \`${look}\` shows it, and \`${why}\` why.`;
}

function queuesText(queues: readonly QueueState[]): string {
  const columns = [
    { heading: 'queue', of: ({ name }: QueueState) => name },
    { heading: 'waiting', of: ({ waiting }: QueueState) => format(waiting), isNumber: true },
    { heading: 'in flight', of: ({ inFlight }: QueueState) => format(inFlight), isNumber: true },
    { heading: 'delayed', of: ({ delayed }: QueueState) => format(delayed), isNumber: true },
    {
      heading: 'dead letters',
      of: ({ deadLetters }: QueueState) => format(deadLetters.messages),
      isNumber: true,
    },
  ];
  return tableLines(columns, queues, terminalWidth(process.stdout)).join('\n');
}

/** @returns how many were moved; `undefined`: SQS is still at it. */
async function move(sqs: SQSClient, { name, arn, deadLetters }: QueueState): Promise<number | undefined> {
  // The destination is named: events that EventBridge could not deliver are dead letters without a source.
  const begin = new StartMessageMoveTaskCommand({ SourceArn: deadLetters.arn, DestinationArn: arn });
  const { TaskHandle } = await sqs.send(begin).catch((error: Error) => {
    if (error.name !== 'UnsupportedOperation' && !/already/i.test(error.message)) throw error;
    throw new CannotRunError(`the dead letters of ${name} are being sent again already: ${error.message}`);
  });
  const endsAt = Date.now() + ASK_FOR_MS;
  while (Date.now() < endsAt) {
    const { Results = [] } = await sqs.send(
      new ListMessageMoveTasksCommand({ SourceArn: deadLetters.arn, MaxResults: 1 }),
    );
    const [latest] = Results;
    // A task that has ended has no handle.
    if (latest?.Status === 'COMPLETED') return latest.ApproximateNumberOfMessagesMoved ?? 0;
    if (latest?.Status === 'FAILED')
      throw new CannotRunError(
        `SQS could not send the dead letters of ${name} again: ${latest.FailureReason}`,
      );
    if (TaskHandle === undefined) break;
    await wait(ASK_MS);
  }
  return undefined;
}
