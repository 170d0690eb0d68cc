import type { SQSClient } from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { peekMessages, readQueues } from '../../../../cli/options/queues.ts';

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

/** SQS that answers these ids, one answer after the other, and notes what it was asked. */
function sqsAnswering(answers: readonly string[][]) {
  const asked: object[] = [];
  const send = async ({ input }: { input: object }) => {
    asked.push(input);
    return { Messages: answers[asked.length - 1]?.map((MessageId) => ({ MessageId })) };
  };
  return { sqs: { send } as unknown as SQSClient, asked };
}

const idsOf = async (answers: string[][], all = 20) => {
  const { sqs, asked } = sqsAnswering(answers);
  return { ids: (await peekMessages(sqs, 'url', all)).map(({ MessageId }) => MessageId), asked };
};

test('messages that are looked at stay visible, and are asked for again as long as there are new ones', async () => {
  const { ids, asked } = await idsOf([['a', 'b'], ['b', 'c'], ['a']]);
  expect(ids).toEqual(['a', 'b', 'c']);
  expect(asked).toHaveLength(3);
  for (const each of asked) expect(each).toMatchObject({ QueueUrl: 'url', VisibilityTimeout: 0 });
  expect((await idsOf([['a'], ['a'], ['b']])).ids).toEqual(['a']);
  expect(await idsOf([])).toMatchObject({ ids: [], asked: [{}] });
});

test('each look counts as a receive: where all that there are were given, it is not asked again', async () => {
  expect((await idsOf([['a', 'b'], ['a']], 2)).asked).toHaveLength(1);
  expect((await idsOf([], 0)).asked).toEqual([]);
});

test('ten are shown at most', async () => {
  const many = (from: number) => Array.from({ length: 6 }, (_, index) => String(from + index));
  const { ids, asked } = await idsOf([many(0), many(6), many(12)]);
  expect(ids).toHaveLength(10);
  expect(asked).toHaveLength(2);
});
