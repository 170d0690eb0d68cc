/** Lambda's event source mapping for SQS: receives messages, runs the function, deletes what it has dealt with. */

import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { type Backoff, waitAfter } from '../../../src/core/base/backoff.ts';
import { sleep } from '../../../src/runtime/ambient.ts';
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
const THROTTLED_BACKOFF: Backoff = { firstMs: 100, maxMs: 2_000 };

/** What an event source is started with. */
export interface EventSourceOptions {
  /** With the credentials of the function, by whose role Lambda receives and deletes. */
  sqs: SQSClient;
  /** What Lambda and SQS do by themselves: hide, and move to dead letters. */
  ownSqs: SQSClient;
  target: LocalFunction;
  settings: EventSourceSettings;
  /** Gets one sentence for each batch that failed. */
  onProblem: (text: string) => void;
}

/** Starts polling. */
export function startEventSource(options: EventSourceOptions): EventSource {
  return new QueuePoller(options);
}

class QueuePoller implements EventSource {
  readonly #options: EventSourceOptions;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #polling: Promise<void>;
  /** Deliveries in a row that were throttled: the source waits before it receives again. */
  #throttled = 0;

  constructor(options: EventSourceOptions) {
    this.#options = options;
    this.#polling = this.#poll().catch((error: Error) => {
      options.onProblem(`event source ${options.settings.queueArn} stopped: ${error.message}`);
    });
  }

  get active(): number {
    return this.#running.size;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#polling;
    await Promise.all(this.#running);
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #poll(): Promise<void> {
    const { settings, onProblem } = this.#options;
    while (!this.#isStopping) {
      if (this.#running.size >= settings.maxConcurrency) {
        await Promise.race(this.#running);
        continue;
      }
      if (this.#throttled > 0)
        await sleep(waitAfter(THROTTLED_BACKOFF, this.#throttled), this.#stopping.signal);
      const messages = await this.#receive();
      if (messages.length === 0) continue;
      const work = this.#handle(messages).catch((error: Error) => {
        if (!this.#isStopping) onProblem(`event source ${settings.queueArn}: ${error.message}`);
      });
      this.#running.add(work);
      void work.finally(() => this.#running.delete(work));
    }
  }

  async #receive(): Promise<Message[]> {
    const { sqs, settings } = this.#options;
    try {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: settings.queueUrl,
          MaxNumberOfMessages: settings.batchSize,
          MessageAttributeNames: ['All'],
          MessageSystemAttributeNames: ['All'],
          WaitTimeSeconds: LONG_POLL_SECONDS,
        }),
        { abortSignal: this.#stopping.signal },
      );
      return Messages;
    } catch (error) {
      if (this.#isStopping) return [];
      throw error;
    }
  }

  async #handle(messages: Message[]): Promise<void> {
    const { target, settings, onProblem } = this.#options;
    const lineage = mergeLineages(messages.map(({ Attributes }) => lineageOf(Attributes?.AWSTraceHeader)));
    if (!settings.allowsRecursion && runsInLineage(lineage, target.name) >= MAX_RUNS_IN_CHAIN) {
      await this.#stopLoop(messages);
      return;
    }
    const event = { Records: messages.map((message) => messageToRecord(message, settings.queueArn)) };
    const { failures, isThrottled } = await this.#runDeliveries(event, lineage);
    this.#noteThrottling(isThrottled);
    const failed = messages.filter(({ MessageId }) => failures.has(MessageId!));
    await this.#remove(messages.filter(({ MessageId }) => !failures.has(MessageId!)));
    // When the stack stops, its functions are killed: no failure of theirs.
    if (failed.length === 0 || this.#isStopping) return;
    if (!isThrottled) onProblem(`${target.name} failed ${failed.length} of ${messages.length} messages`);
    const afterSeconds = isThrottled ? settings.throttledForSeconds : settings.retryAfterSeconds;
    if (afterSeconds !== undefined) await this.#showAgain(failed, afterSeconds);
  }

  #noteThrottling(isThrottled: boolean): void {
    const { target, onProblem } = this.#options;
    // Once, not for each message that finds no room.
    if (isThrottled && this.#throttled === 0 && !this.#isStopping)
      onProblem(`${target.name} is throttled: no concurrency is left; its messages come back later`);
    this.#throttled = isThrottled ? this.#throttled + 1 : 0;
  }

  /** Ids of the messages that the last delivery did not deal with, and whether it was throttled. */
  async #runDeliveries(event: { Records: { messageId: string }[] }, lineage: Lineage) {
    const { target, settings } = this.#options;
    const run = async () => {
      const invocation = await target.invoke(event, lineage);
      const isThrottled = !invocation.ok && invocation.isThrottled === true;
      return { failures: this.#failuresOf(invocation, event.Records), isThrottled };
    };
    if (settings.delivery === 'at-once') return (await Promise.all([run(), run()]))[1];
    if (settings.delivery === 'twice') await run();
    return run();
  }

  #failuresOf(
    invocation: Awaited<ReturnType<LocalFunction['invoke']>>,
    records: { messageId: string }[],
  ): Set<string> {
    const { target, settings, onProblem } = this.#options;
    const all = new Set(records.map(({ messageId }) => messageId));
    if (!invocation.ok) {
      const { errorType, errorMessage } = invocation.error;
      if (!this.#isStopping && invocation.isThrottled !== true)
        onProblem(`${target.name}: ${errorType}: ${errorMessage}`);
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

  async #stopLoop(messages: Message[]): Promise<void> {
    const { ownSqs, target, settings, onProblem } = this.#options;
    onProblem(
      `${target.name} ran ${MAX_RUNS_IN_CHAIN} times in one chain of calls: Lambda stops such a loop. ` +
        'A function that re-queues to itself needs recursiveLoop: Allow.',
    );
    if (settings.deadLetterQueueUrl !== undefined) {
      for (const { Body } of messages) {
        await ownSqs.send(
          new SendMessageCommand({ QueueUrl: settings.deadLetterQueueUrl, MessageBody: Body }),
        );
      }
    }
    await this.#remove(messages);
  }

  async #showAgain(messages: Message[], afterSeconds: number): Promise<void> {
    await this.#options.ownSqs.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: this.#options.settings.queueUrl,
        Entries: messages.map(({ ReceiptHandle }, index) => ({
          Id: String(index),
          ReceiptHandle,
          VisibilityTimeout: afterSeconds,
        })),
      }),
    );
  }

  async #remove(messages: Message[]): Promise<void> {
    if (messages.length === 0) return;
    await this.#options.sqs.send(
      new DeleteMessageBatchCommand({
        QueueUrl: this.#options.settings.queueUrl,
        Entries: messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
      }),
    );
  }
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
            stringValue: StringValue,
            binaryValue: BinaryValue && Buffer.from(BinaryValue).toString('base64'),
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
