/** Lambda's event source mapping for SQS: receives messages, runs the function, deletes what it has dealt with. */

import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { pause } from '../../../src/runtime/ambient.ts';
import { type Lineage, type LocalFunction, lineageOf, mergeLineages, runsInLineage } from './runtime-api.ts';

export interface EventSource {
  /** Batches that are being worked on. */
  readonly active: number;
  /** Stops receiving; resolves when the running batches have ended. */
  stop(): Promise<void>;
}

export interface EventSourceSettings {
  queueUrl: string;
  queueArn: string;
  deadLetterQueueUrl?: string | undefined;
  /** Messages in one event, at most; 1 to 10 here, since a receive gives no more. */
  batchSize: number;
  maxConcurrency: number;
  /** The mapping has `ReportBatchItemFailures`. */
  reportsItemFailures: boolean;
  /** The function has `RecursiveLoop: Allow`. */
  allowsRecursion: boolean;
  /**
   * What each message is given beyond AWS's promise of at least once: `once` nothing, `twice` one run after the other,
   * `at-once` two runs at the same time.
   */
  delivery: 'once' | 'twice' | 'at-once';
  /** Seconds until a failed message is visible again; default: the rest of its visibility timeout, as in AWS. */
  retryAfterSeconds?: number | undefined;
  /** The same for a message whose delivery was throttled; the delivery counts as a receive. */
  throttledForSeconds?: number | undefined;
}

/** AWS: Lambda stops a chain of calls when the function would run in it for the 17th time. */
const MAX_RUNS_IN_CHAIN = 16;
/** SQS: the longest wait of a receive. */
const LONG_POLL_SECONDS = 20;
/** While its function is throttled, a source receives less and less: AWS takes pollers away then, and says no times. */
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2_000;

/**
 * Starts polling.
 *
 * @param options.onProblem gets one sentence for each batch that failed
 */
export function startEventSource(options: {
  sqs: SQSClient;
  target: LocalFunction;
  settings: EventSourceSettings;
  onProblem: (text: string) => void;
}): EventSource {
  const { sqs, target, settings } = options;
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  /** How long the source rests before it receives again; 0 while its function is not throttled. */
  let backoffMs = 0;

  async function poll(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (running.size >= settings.maxConcurrency) {
        await Promise.race(running);
        continue;
      }
      if (backoffMs > 0) await pause(backoffMs, stopping.signal);
      const messages = await receive();
      if (messages.length === 0) continue;
      const work = handle(messages).catch((error: Error) => {
        if (!stopping.signal.aborted)
          options.onProblem(`event source ${settings.queueArn}: ${error.message}`);
      });
      running.add(work);
      void work.finally(() => running.delete(work));
    }
  }

  async function receive(): Promise<Message[]> {
    try {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: settings.queueUrl,
          MaxNumberOfMessages: settings.batchSize,
          MessageAttributeNames: ['All'],
          MessageSystemAttributeNames: ['All'],
          WaitTimeSeconds: LONG_POLL_SECONDS,
        }),
        { abortSignal: stopping.signal },
      );
      return Messages;
    } catch (error) {
      if (stopping.signal.aborted) return [];
      throw error;
    }
  }

  async function handle(messages: Message[]): Promise<void> {
    const lineage = mergeLineages(messages.map(({ Attributes }) => lineageOf(Attributes?.AWSTraceHeader)));
    if (!settings.allowsRecursion && runsInLineage(lineage, target.name) >= MAX_RUNS_IN_CHAIN) {
      await stopLoop(messages);
      return;
    }
    const event = { Records: messages.map((message) => messageToRecord(message, settings.queueArn)) };
    const { failures, isThrottled } = await runDeliveries(event, lineage);
    noteThrottling(isThrottled);
    const failed = messages.filter(({ MessageId }) => failures.has(MessageId!));
    await remove(messages.filter(({ MessageId }) => !failures.has(MessageId!)));
    // When the stack stops, its functions are killed: no failure of theirs.
    if (failed.length === 0 || stopping.signal.aborted) return;
    if (!isThrottled)
      options.onProblem(`${target.name} failed ${failed.length} of ${messages.length} messages`);
    const afterSeconds = isThrottled ? settings.throttledForSeconds : settings.retryAfterSeconds;
    if (afterSeconds === undefined) return;
    await sqs.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: settings.queueUrl,
        Entries: failed.map(({ ReceiptHandle }, index) => ({
          Id: String(index),
          ReceiptHandle,
          VisibilityTimeout: afterSeconds,
        })),
      }),
    );
  }

  function noteThrottling(isThrottled: boolean): void {
    if (!isThrottled) {
      backoffMs = 0;
      return;
    }
    // Once, not for each message that finds no room.
    if (backoffMs === 0 && !stopping.signal.aborted)
      options.onProblem(`${target.name} is throttled: no concurrency is left; its messages come back later`);
    backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, backoffMs * 2));
  }

  /** Ids of the messages that the last delivery did not deal with, and whether it was throttled. */
  async function runDeliveries(event: { Records: { messageId: string }[] }, lineage: Lineage) {
    const run = async () => {
      const invocation = await target.invoke(event, lineage);
      const isThrottled = !invocation.ok && invocation.isThrottled === true;
      return { failures: failuresOf(invocation, event.Records), isThrottled };
    };
    if (settings.delivery === 'at-once') return (await Promise.all([run(), run()]))[1];
    if (settings.delivery === 'twice') await run();
    return run();
  }

  function failuresOf(
    invocation: Awaited<ReturnType<LocalFunction['invoke']>>,
    records: { messageId: string }[],
  ): Set<string> {
    const all = new Set(records.map(({ messageId }) => messageId));
    if (!invocation.ok) {
      const { errorType, errorMessage } = invocation.error;
      if (!stopping.signal.aborted && invocation.isThrottled !== true)
        options.onProblem(`${target.name}: ${errorType}: ${errorMessage}`);
      return all;
    }
    if (!settings.reportsItemFailures) return new Set();
    const { batchItemFailures } = (invocation.payload ?? {}) as {
      batchItemFailures?: { itemIdentifier?: string }[] | null;
    };
    const failed = new Set((batchItemFailures ?? []).map(({ itemIdentifier }) => itemIdentifier ?? ''));
    // AWS: an identifier that is empty or not in the batch fails the whole batch.
    return failed.isSubsetOf(all) ? failed : all;
  }

  async function stopLoop(messages: Message[]): Promise<void> {
    options.onProblem(
      `${target.name} ran ${MAX_RUNS_IN_CHAIN} times in one chain of calls: Lambda stops such a loop. ` +
        'A function that re-queues to itself needs recursiveLoop: Allow.',
    );
    if (settings.deadLetterQueueUrl !== undefined) {
      for (const { Body } of messages) {
        await sqs.send(new SendMessageCommand({ QueueUrl: settings.deadLetterQueueUrl, MessageBody: Body }));
      }
    }
    await remove(messages);
  }

  async function remove(messages: Message[]): Promise<void> {
    if (messages.length === 0) return;
    await sqs.send(
      new DeleteMessageBatchCommand({
        QueueUrl: settings.queueUrl,
        Entries: messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
      }),
    );
  }

  const polling = poll().catch((error: Error) => {
    options.onProblem(`event source ${settings.queueArn} stopped: ${error.message}`);
  });
  return {
    get active() {
      return running.size;
    },
    async stop() {
      stopping.abort();
      await polling;
      await Promise.all(running);
    },
  };
}

/** SQS's message as Lambda's record. */
function messageToRecord(message: Message, queueArn: string) {
  return {
    messageId: message.MessageId!,
    receiptHandle: message.ReceiptHandle!,
    body: message.Body!,
    attributes: message.Attributes ?? {},
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(
        ([name, { StringValue, BinaryValue, DataType }]) => [
          name,
          {
            ...(StringValue === undefined ? {} : { stringValue: StringValue }),
            ...(BinaryValue === undefined
              ? {}
              : { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
            stringListValues: [],
            binaryListValues: [],
            dataType: DataType,
          },
        ],
      ),
    ),
    md5OfBody: message.MD5OfBody!,
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: 'us-east-1',
  };
}
