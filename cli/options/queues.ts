/** The queues of a stack by their short names, and the dead letters behind them. */
import {
  GetQueueAttributesCommand,
  type GetQueueAttributesCommandOutput,
  GetQueueUrlCommand,
  type Message,
  type QueueAttributeName,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { OpenStack } from './stack.ts';

/** A queue with dead letters: a work queue, or {@link NOTIFICATIONS}. */
export interface QueueState {
  /** What it is for: `ingest`, `submit`, … */
  name: string;
  /** Absent: its dead letters come from EventBridge, and have no queue to go back to. */
  url?: string | undefined;
  arn?: string | undefined;
  /** Messages that wait, are worked on, and are delayed. About. */
  waiting: number;
  inFlight: number;
  delayed: number;
  /** Where what failed too often goes. */
  deadLetters: { url: string; arn: string; messages: number };
}

/** Short names and URLs of the work queues, as the stack's outputs give them: `IngestQueueUrl` is `ingest`. */
export function queueUrls({ outputs }: Pick<OpenStack, 'outputs'>): Map<string, string> {
  const urls = Object.entries(outputs).flatMap(([output, url]): [string, string][] => {
    const name = /^([A-Z][A-Za-z]*)QueueUrl$/.exec(output)?.[1];
    return name === undefined ? [] : [[name.toLowerCase(), url]];
  });
  return new Map(urls);
}

/** What the dead letters of notifications go by: events of ended jobs that no target took. */
export const NOTIFICATIONS = 'notifications';

/** All queues of the stack with dead letters. @throws as {@link readQueue}. */
export function readQueues(sqs: SQSClient, stack: Pick<OpenStack, 'outputs'>): Promise<QueueState[]> {
  const url = stack.outputs.NotificationsDeadLettersUrl;
  return Promise.all([
    ...[...queueUrls(stack)].map(([name, url]) => readQueue(sqs, name, url)),
    ...(url === undefined ? [] : [readNotifications(sqs, url)]),
  ]);
}

async function readNotifications(sqs: SQSClient, url: string): Promise<QueueState> {
  const { QueueArn = '', ...attributes } = await attributesOf(sqs, url);
  const deadLetters = { url, arn: QueueArn, messages: messagesOf(attributes) };
  return { name: NOTIFICATIONS, waiting: 0, inFlight: 0, delayed: 0, deadLetters };
}

/** Asks SQS how a queue and its dead letters are. @throws what SQS answers, such as that it is not allowed. */
export async function readQueue(sqs: SQSClient, name: string, url: string): Promise<QueueState> {
  const attributes = await attributesOf(sqs, url);
  const { deadLetterTargetArn = '' } = JSON.parse(attributes.RedrivePolicy ?? '{}') as {
    deadLetterTargetArn?: string;
  };
  const { QueueUrl = '' } = await sqs.send(
    new GetQueueUrlCommand({ QueueName: deadLetterTargetArn.split(':').at(-1)! }),
  );
  const dead = await attributesOf(sqs, QueueUrl);
  return {
    name,
    url,
    arn: attributes.QueueArn ?? '',
    waiting: Number(attributes.ApproximateNumberOfMessages),
    inFlight: Number(attributes.ApproximateNumberOfMessagesNotVisible),
    delayed: Number(attributes.ApproximateNumberOfMessagesDelayed),
    deadLetters: {
      url: QueueUrl,
      arn: deadLetterTargetArn,
      messages: messagesOf(dead),
    },
  };
}

/** SQS gives so many messages at a time at most. */
const MAX_RECEIVED = 10;
/** An answer may lack messages that are there: it is asked again while it gives new ones, so many times in all. */
const MAX_ASKS = 3;

/**
 * Messages of a queue, ten at most, which stay where they are and can be received by others at once. To SQS, each answer
 * is a receive of its messages.
 *
 * @param all how many there are, about: it is not asked for more than those.
 */
export async function peekMessages(sqs: SQSClient, url: string, all: number): Promise<Message[]> {
  const found = new Map<string, Message>();
  const most = Math.min(all, MAX_RECEIVED);
  for (let asks = 0; asks < MAX_ASKS && found.size < most; asks++) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: MAX_RECEIVED,
        VisibilityTimeout: 0,
        // All servers of SQS are asked, not a few of them.
        WaitTimeSeconds: 1,
        MessageSystemAttributeNames: ['SentTimestamp', 'ApproximateReceiveCount'],
      }),
    );
    const before = found.size;
    // Of one that is received again, the first answer has the lower count of receives.
    for (const message of Messages)
      if (!found.has(message.MessageId!)) found.set(message.MessageId!, message);
    if (found.size === before) break;
  }
  return [...found.values()].slice(0, MAX_RECEIVED);
}

function messagesOf(attributes: Partial<Record<QueueAttributeName, string>>): number {
  const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible } = attributes;
  return Number(ApproximateNumberOfMessages) + Number(ApproximateNumberOfMessagesNotVisible);
}

async function attributesOf(
  sqs: SQSClient,
  QueueUrl: string,
): Promise<NonNullable<GetQueueAttributesCommandOutput['Attributes']>> {
  const { Attributes = {} } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
  );
  return Attributes;
}
