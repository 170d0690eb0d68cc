/** `batchdrop redrive QUEUE`: sends the dead letters of a queue to it again, through SQS. */
import { setTimeout as wait } from 'node:timers/promises';
import {
  ListMessageMoveTasksCommand,
  type SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { NOTIFICATIONS, type QueueState, queueUrls, readQueue, readQueues } from '../options/queues.ts';
import { requireRunning, type StackOptions, stackText } from '../options/stack.ts';
import { withStores } from '../options/stores.ts';
import { CannotRunError, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { format } from '../view/progress.ts';
import { tableLines } from '../view/table-text.ts';
import { count, terminalWidth } from '../view/text.ts';

/** Options of `batchdrop redrive`. */
export interface RedriveOptions extends StackOptions {
  json?: boolean;
}

/** How often SQS is asked how far it is, and for how long (ms): it goes on without us. */
const ASK_MS = 1_000;
const ASK_FOR_MS = 60_000;

/**
 * Without a name, shows the queues and their dead letters.
 * @returns the exit status.
 * @throws {UsageError} if there is no such queue.
 */
export async function redrive(name: string | undefined, options: RedriveOptions): Promise<number> {
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
    const moved = queue.deadLetters.messages === 0 ? 0 : await move(sqs, queue);
    const text =
      moved === undefined
        ? `SQS is sending the dead letters of ${name} again; there are many, and it goes on by itself.`
        : `${count(moved, 'dead letter')} of ${name} sent again.`;
    console.log(options.json ? JSON.stringify({ queue: name, moved: moved ?? null }) : text);
    return EXIT_SUCCEEDED;
  });
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
