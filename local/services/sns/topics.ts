/**
 * SNS on this machine, as far as alarms need it: a message to a topic is recorded, in memory and in a file, with the
 * topic's subscriptions, and delivered to queues of the stack. Nothing leaves the machine.
 *
 * Source of a delivery's shape: Amazon SNS Developer Guide, "Amazon SNS message delivery formats" and "raw message
 * delivery". Signatures are left out.
 */
import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** A topic of a template, or one elsewhere that alarms name. */
export interface TopicPlan {
  arn: string;
  /** `PROTOCOL:ENDPOINT`, such as `email:oncall@example.com`. */
  subscriptions: readonly string[];
  /** Queues of the stack among them. `isRaw`: they get the message alone. */
  queues: readonly { name: string; isRaw: boolean }[];
}

/** A message to a topic. */
export interface Notification {
  /** ISO 8601, by the stack's clock. */
  at: string;
  topicArn: string;
  subject: string;
  /** JSON, as CloudWatch writes it. */
  message: string;
  /** Who would have got it in AWS. */
  subscriptions: readonly string[];
}

/** The topics of a stack. */
export interface Topics {
  /** The latest messages, the first first. */
  readonly notifications: readonly Notification[];
  publish(topicArn: string, subject: string, message: string): void;
}

/** So many messages are kept in memory; the file has all. */
const MAX_KEPT = 1_000;

/** What the topics are made with. */
export interface TopicsOptions {
  topics: readonly TopicPlan[];
  /** One line of JSON for each message. */
  file: string;
  now: () => number;
  sendToQueue: (queueName: string, body: string) => void;
  onNotification?: ((notification: Notification) => void) | undefined;
}

/** Makes the topics. */
export function createTopics({ topics, file, now, sendToQueue, onNotification }: TopicsOptions): Topics {
  const notifications: Notification[] = [];
  mkdirSync(dirname(file), { recursive: true });
  return {
    notifications,
    publish(topicArn, subject, message) {
      const { subscriptions = [], queues = [] } = topics.find(({ arn }) => arn === topicArn) ?? {};
      const notification = { at: new Date(now()).toISOString(), topicArn, subject, message, subscriptions };
      notifications.push(notification);
      if (notifications.length > MAX_KEPT) notifications.shift();
      appendFileSync(file, `${JSON.stringify(notification)}\n`);
      onNotification?.(notification);
      for (const { name, isRaw } of queues) sendToQueue(name, isRaw ? message : envelopeOf(notification));
    },
  };
}

/** What a queue gets of a message that is not delivered raw. */
function envelopeOf({ at, topicArn, subject, message }: Notification): string {
  return JSON.stringify({
    Type: 'Notification',
    MessageId: randomUUID(),
    TopicArn: topicArn,
    Subject: subject,
    Message: message,
    Timestamp: at,
  });
}
