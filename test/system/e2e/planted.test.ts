/**
 * Texts that nobody may find where they do not belong: an API key, a signing secret, prompts, a broken line and what OpenAI answers, through every
 * tier, with webhooks, failures and commands; then everything that the stack has written is searched.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import type { BusEvent } from '../../../local/services/eventbridge/events.ts';
import { writeRunning } from '../../../local/stack/running-file.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { createSqsClient } from '../../../src/runtime/clients.ts';
import { responseLine } from '../../support/background.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { batchdrop } from '../../support/run-script.ts';
import { SIGNING_SECRET } from '../../support/webhooks.ts';

const API_KEY = 'sk-proj-PLANTEDKEY0123456789abcdef';
const PROMPT = 'PLANTED-PROMPT';
const BROKEN = 'PLANTED-BROKEN-LINE';
/** In a message, and so in the queues. */
const MESSAGE = 'PLANTED-MESSAGE';
const CUSTOM_ID = 'planted-customer';
/** What the emulator's answers begin with. */
const ANSWER = '[emulated] Answer';
const TIERS = ['batch', 'flex', 'background-8h', 'background-2h', 'standard'] as const;
const SETTINGS = settingsSchema.parse({
  routes: TIERS.map((tier) => ({
    name: tier,
    prefix: `input/${tier}/`,
    tiers: [tier],
    budget: { perJobUsd: '500' },
  })),
  webhooks: { apiKeys: ['default'] },
});
const line = (id: string): string =>
  responseLine(`${CUSTOM_ID}-${id}`, { input: `${PROMPT}-${id}`, instructions: PROMPT });

/** OpenAI is out of order and repeats what it was sent, for each call once the request and once the key. */
const ECHOES = [
  'POST /v1/files',
  'POST /v1/batches',
  'GET /v1/batches/*',
  'GET /v1/files/*/content',
  'POST /v1/responses',
].flatMap((route) =>
  [`Failed at {"input": "${PROMPT}"}`, `Failed with ${API_KEY}`].map((message) => ({
    match: { route },
    times: 1,
    effect: {
      kind: 'http.status' as const,
      status: 500,
      body: { error: { code: null, type: 'server_error', param: null, message } },
    },
  })),
);

/** Every file below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('planted keys, signing secrets, prompts and answers are found in objects and at OpenAI alone', {
  timeout: 400_000,
}, async () => {
  const events: BusEvent[] = [];
  const p = await startEmulatedStack({
    settings: SETTINGS,
    keys: { default: API_KEY },
    webhookSecrets: { default: SIGNING_SECRET },
    onEvent: (event) => events.push(event),
    // What fails comes to the dead letters in seconds.
    deliver: { retryAfterSeconds: 0 },
  });
  const { stackId, region, endpoints, outputs, credentials } = p.stack();
  p.emulator.setFaults({
    rules: ECHOES,
    webhooks: [{ url: outputs.WebhookUrl!, secret: SIGNING_SECRET, timestamps: 'clock' }],
  });
  for (const tier of TIERS)
    await p.drop(`input/${tier}/a.jsonl`, `${line('one')}\n${line('two')}\n{"${BROKEN}": ${PROMPT}\n`);
  await p.drop('input/batch/rejected.jsonl', `${BROKEN} ${PROMPT}\n`);
  await p.drop('input/batch/odd.jsonl.options.json', '{"budget":"free"}');
  await p.drop('input/batch/odd.jsonl', line('odd'));
  const names = TIERS.map((tier) => `receipts/${tier}/a.json`);
  const isDone = async () =>
    (await Promise.all(names.map((name) => p.read(name)))).every((text) => text !== undefined);
  for (let polls = 0; polls < 150 && !(await isDone()); polls++) await p.poll(20 * MINUTE_MS);
  expect(await isDone()).toBe(true);

  // A job whose intermediate files are not what was written, which messages of parsers like to quote.
  await p.drop('input/batch/corrupt.jsonl', line('corrupt'));
  await p.stack().idle();
  const { Contents: intermediate = [] } = await p.s3.send(
    new ListObjectsV2Command({ Bucket: p.bucket, Prefix: 'work/' }),
  );
  for (const { Key } of intermediate)
    await p.s3.send(new PutObjectCommand({ Bucket: p.bucket, Key, Body: `${PROMPT} ${BROKEN}` }));
  for (let polls = 0; polls < 8; polls++) await p.poll(20 * MINUTE_MS);
  // A message that no function understands, until it is a dead letter.
  const sqs = createSqsClient({ region, credentials, endpoint: endpoints.sqs });
  const QueueUrl = p.stack().resources.queues.submit!.url;
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ jobId: MESSAGE }) }));
  sqs.destroy();
  await p.stack().idle();
  expect(p.stack().queueDepth('submit-dead-letters').ready).toBe(1);

  writeRunning(p.dir, { stackId, region, endpoints, outputs, credentials });
  const flags = ['--local', '--state', p.dir];
  const printed: string[] = [];
  for (const parameters of [
    ['jobs'],
    ['jobs', '--ignored'],
    ['status', 'input/batch/a.jsonl'],
    ['explain', 'input/flex/a.jsonl'],
    ['logs', 'input/standard/a.jsonl'],
    ['receipt', 'input/background-8h/a.jsonl'],
    ['limits'],
    ['costs'],
    ['doctor'],
    ['cancel', 'input/batch/a.jsonl', '--yes'],
    ['resume', '--json'],
    ['status', 'input/none.jsonl'],
  ]) {
    const { stdout, stderr } = await batchdrop(...parameters, ...flags);
    printed.push(`${parameters.join(' ')}:\n${stdout}\n${stderr}`);
  }

  const objects = new Map<string, string>();
  const { Contents = [] } = await p.s3.send(new ListObjectsV2Command({ Bucket: p.bucket }));
  for (const { Key } of Contents) {
    const { Body } = await p.s3.send(new GetObjectCommand({ Bucket: p.bucket, Key }));
    objects.set(Key!, Buffer.from(await Body!.transformToByteArray()).toString('latin1'));
  }
  // They were there to be found.
  const all = [...objects.values()].join('\n');
  for (const planted of [PROMPT, BROKEN, CUSTOM_ID, ANSWER]) expect(all).toContain(planted);

  const dynamodb = new DynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  const { Items = [], LastEvaluatedKey } = await dynamodb.send(
    new ScanCommand({ TableName: p.stack().resources.table }),
  );
  dynamodb.destroy();
  expect(LastEvaluatedKey).toBeUndefined();
  expect(Items.length).toBeGreaterThan(20);
  const aws = join(p.dir, 'aws');
  // Logs with their metrics, queues with what was ever on them, alarms, crash reports: all that is no object and no secret.
  const written = filesBelow(aws).filter((path) => !/^(s3|secrets?)\b/.test(relative(aws, path)));
  expect(written.some((path) => relative(aws, path).startsWith('logs'))).toBe(true);
  const receipts = [...objects].filter(([key]) => key.startsWith('receipts/'));
  expect(receipts.length).toBeGreaterThanOrEqual(TIERS.length + 2);
  const elsewhere: (readonly [string, string])[] = [
    ['the table', JSON.stringify(Items)],
    ['events', JSON.stringify(events)],
    ...receipts,
    ...printed.map((text) => [`the command ${text.split('\n')[0]}`, text] as const),
    ...written.map((path) => [relative(aws, path), readFileSync(path, 'latin1')] as const),
  ];
  const found = (planted: string, places: Iterable<readonly [string, string]>) =>
    [...places].filter(([, text]) => text.includes(planted)).map(([place]) => place);
  // Errors and metrics are among it.
  for (const logged of ['step.failed', '"_aws"']) expect(found(logged, elsewhere), logged).not.toEqual([]);
  for (const planted of [PROMPT, BROKEN, CUSTOM_ID, ANSWER])
    expect(found(planted, elsewhere), planted).toEqual([]);
  expect(
    found(
      MESSAGE,
      elsewhere.filter(([place]) => !place.startsWith('sqs')),
    ),
  ).toEqual([]);
  for (const secret of [API_KEY, SIGNING_SECRET, SIGNING_SECRET.slice(6)])
    expect(found(secret, [...elsewhere, ...objects]), secret.slice(0, 12)).toEqual([]);
});
