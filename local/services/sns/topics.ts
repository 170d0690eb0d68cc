/**
 * SNS on this machine, as far as alarms need it: a message to a topic is recorded, in memory and in a file, for each of
 * the topic's subscriptions. Nothing leaves the machine.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** A topic of a template, or one elsewhere that alarms name. */
export interface TopicPlan {
  arn: string;
  /** `PROTOCOL:ENDPOINT`, such as `email:oncall@example.com`. */
  subscriptions: readonly string[];
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
  onNotification?: ((notification: Notification) => void) | undefined;
}

/** Makes the topics. */
export function createTopics({ topics, file, now, onNotification }: TopicsOptions): Topics {
  const notifications: Notification[] = [];
  mkdirSync(dirname(file), { recursive: true });
  return {
    notifications,
    publish(topicArn, subject, message) {
      const subscriptions = topics.find(({ arn }) => arn === topicArn)?.subscriptions ?? [];
      const notification = { at: new Date(now()).toISOString(), topicArn, subject, message, subscriptions };
      notifications.push(notification);
      if (notifications.length > MAX_KEPT) notifications.shift();
      appendFileSync(file, `${JSON.stringify(notification)}\n`);
      onNotification?.(notification);
    },
  };
}
