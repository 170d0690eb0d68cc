import type { SQSClient } from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { readQueues } from '../../../../cli/options/queues.ts';

/** SQS with what it says of each queue, by its URL. */
function sqsWith(queues: Record<string, Record<string, string>>): SQSClient {
  const send = async ({ input }: { input: { QueueUrl?: string; QueueName?: string } }) =>
    input.QueueUrl === undefined
      ? { QueueUrl: `https://sqs/${input.QueueName}` }
      : { Attributes: queues[input.QueueUrl] };
  return { send } as unknown as SQSClient;
}

const counts = (visible: number, inFlight: number) => ({
  ApproximateNumberOfMessages: String(visible),
  ApproximateNumberOfMessagesNotVisible: String(inFlight),
  ApproximateNumberOfMessagesDelayed: '0',
});

test('the dead letters of work queues and of notifications are counted, also those that somebody looks at', async () => {
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:1:dead' });
  const sqs = sqsWith({
    'https://sqs/ingest': { ...counts(4, 1), QueueArn: 'arn:ingest', RedrivePolicy },
    'https://sqs/dead': counts(2, 1),
    'https://sqs/events': { ...counts(1, 2), QueueArn: 'arn:events' },
  });
  const outputs = {
    IngestQueueUrl: 'https://sqs/ingest',
    NotificationsDeadLettersUrl: 'https://sqs/events',
  };
  const found = await readQueues(sqs, { outputs });
  expect(found).toMatchObject([
    { name: 'ingest', arn: 'arn:ingest', waiting: 4, deadLetters: { messages: 3 } },
    { name: 'notifications', waiting: 0, deadLetters: { messages: 3, arn: 'arn:events' } },
  ]);
  // Nowhere to send them again to.
  expect(found[1]!.url).toBeUndefined();
});
