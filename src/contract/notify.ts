/** The topic, queue or event bus that a route notifies. */
import * as z from 'zod';

/** Where a route's notifications go. */
export interface NotifyTarget {
  service: 'sns' | 'sqs' | 'events';
  partition: string;
  region: string;
  account: string;
  /** Of the topic, the queue or the event bus. */
  name: string;
}

const NOTIFY_ARN =
  /^arn:(aws(?:-[a-z]+)*):(?:(sns|sqs):([a-z0-9-]+):(\d{12}):([\w-]{1,256})|(events):([a-z0-9-]+):(\d{12}):event-bus\/([\w./-]{1,256}))$/;

/** `undefined`: it is not the ARN of a topic, a queue or an event bus that may be notified. */
export function readNotifyArn(arn: string): NotifyTarget | undefined {
  const parts = NOTIFY_ARN.exec(arn);
  if (parts === null) return undefined;
  const [service, region, account, name] = parts[2] === undefined ? parts.slice(6) : parts.slice(2, 6);
  // JobCompleted is on this bus anyway.
  if (service === 'events' && name === 'default') return undefined;
  return {
    service: service as NotifyTarget['service'],
    partition: parts[1]!,
    region: region!,
    account: account!,
    name: name!,
  };
}

/** ARN of what a route notifies. */
export const notifySchema = z.string().refine((arn) => readNotifyArn(arn) !== undefined, {
  error: ({ input }) =>
    'notify is the ARN of an SNS topic, an SQS queue (neither of them FIFO) or an EventBridge bus other than the default one, ' +
    'where every JobCompleted event is anyway, such as "arn:aws:sqs:us-east-1:123456789012:done"; ' +
    `read ${JSON.stringify(input)}`,
});
