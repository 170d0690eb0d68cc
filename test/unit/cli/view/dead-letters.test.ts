import { expect, test } from 'vitest';
import { deadLettersText, readDeadLetter } from '../../../../cli/view/dead-letters.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const JOB = 'a'.repeat(32);
const ID = '11111111-2222-3333-4444-555555555555';

const letter = (queue: string, body: unknown, receives = 50) =>
  readDeadLetter(queue, {
    MessageId: ID,
    Body: typeof body === 'string' ? body : JSON.stringify(body),
    Attributes: { SentTimestamp: String(NOW - 7_200_000), ApproximateReceiveCount: String(receives) },
  });

test.each([
  ['submit', { v: 1, jobId: JOB, batchId: '0-00000' }, { jobId: JOB, batchId: '0-00000' }],
  ['finalize', { v: 1, jobId: JOB }, { jobId: JOB }],
  ['ingest', { v: 1, jobId: JOB }, { jobId: JOB }],
  ['ingest', { v: 1, bucket: 'b', key: 'input/a.jsonl' }, { bucket: 'b', key: 'input/a.jsonl' }],
  [
    'ingest',
    {
      'detail-type': 'Object Created',
      source: 'aws.s3',
      detail: { bucket: { name: 'b' }, object: { key: 'input/a.jsonl', 'version-id': 'v' } },
    },
    { bucket: 'b', key: 'input/a.jsonl', versionId: 'v' },
  ],
  [
    'observe',
    {
      v: 1,
      webhookId: 'wh_1',
      type: 'batch.completed',
      objectId: 'batch_1',
      apiKey: 'default',
      receivedAt: NOW,
    },
    { type: 'batch.completed', objectId: 'batch_1', apiKey: 'default' },
  ],
])('a dead letter of %s is shown by what it is about', (queue, body, about) => {
  expect(letter(queue, body)).toEqual({ messageId: ID, sentAt: NOW - 7_200_000, receives: 50, about });
});

test.each([
  ['ingest', '{"v":9,"jobId":"a"}'],
  ['ingest', '{"prompt":"PROMPT-CANARY"}'],
  ['submit', 'PROMPT-CANARY'],
  ['submit', { v: 1, jobId: JOB }],
  ['later', { v: 1, jobId: JOB }],
  ['ingest', ''],
])('of a message of %s that is not understood, %j, nothing is shown', (queue, body) => {
  const read = letter(queue, body);
  expect(read.about).toBeNull();
  const text = deadLettersText([read], { queue, all: 1, now: NOW, width: 80 });
  expect(text).toContain('docs/runbook.md, "Delete a dead letter"');
  expect(text).not.toContain('PROMPT-CANARY');
});

test('age, receives, ids and the id of the message are shown, those of no use with what to do, as wide as the terminal', () => {
  const letters = [
    letter('submit', { v: 1, jobId: JOB, batchId: '0-00000' }),
    letter('submit', 'not ours', 3),
  ];
  const text = deadLettersText(letters, { queue: 'submit', all: 12, now: NOW, width: 120 });
  expect(text.split('\n').slice(0, 5)).toEqual([
    'SENT     RECEIVES  MESSAGE                                                 ID',
    `2 h ago        50  jobId=${JOB} batchId=0-00000  ${ID}`,
    `2 h ago         3  not understood by this release                          ${ID}`,
    '',
    'These are 2 of about 12 dead letters.',
  ]);
  expect(text).toContain('1 message not understood by this release');
  const narrow = deadLettersText(letters, { queue: 'submit', all: 12, now: NOW, width: 80 });
  expect(Math.max(...narrow.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
  expect(narrow).toContain(ID);
});

test('where none can be received, it says whether others are looking at them', () => {
  const none = (all: number) => deadLettersText([], { queue: 'ingest', all, now: NOW, width: 80 });
  expect(none(0)).toBe('No dead letter of ingest can be received now.');
  expect(none(2)).toContain('2 are being looked at');
});
