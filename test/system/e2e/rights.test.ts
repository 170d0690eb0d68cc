/** The commands with the rights of a viewer and of an operator: what they need is allowed, and what is not theirs refused. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient, GetItemCommand, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LocalStack } from '../../../local/stack/local-stack.ts';
import { type LocalPipeline, startLocalPipeline } from '../../../local/stack/pipeline.ts';
import { writeRunning } from '../../../local/stack/running-file.ts';
import { chatLine } from '../../support/pipeline.ts';
import { batchdrop, type Finished } from '../../support/run-script.ts';

const LONG = 180_000;
/** One line succeeds, the other one is none: the job has every file of results. */
const MIXED = `${chatLine('id-of-a-customer', { content: 'PROMPT-CANARY' })}\nLINE-CANARY is no JSON\n`;
const KEY = 'input/mixed.jsonl';

let dir: string;
let file: string;
let jobId: string;
let pipeline: LocalPipeline;
let stack: LocalStack;
let viewer: Person;
let operator: Person;

type Person = Awaited<ReturnType<typeof newPerson>>;

/** Somebody with managed policies of the stack: the command line and clients that sign with that one's credentials. */
async function newPerson(name: string, policies: readonly string[]) {
  const credentials = stack.credentialsWith(policies.map((policy) => stack.outputs[policy]!));
  const state = join(dir, name);
  await mkdir(state);
  await symlink(join(dir, 'state', 'aws'), join(state, 'aws'));
  const { stackId, region, endpoints, outputs } = stack;
  writeRunning(state, { stackId, region, endpoints, outputs, credentials });
  const access = (endpoint: string) => ({ endpoint, region, credentials });
  return {
    command: (...parameters: string[]): Promise<Finished> =>
      batchdrop(...parameters, '--local', '--state', state),
    s3: new S3Client(access(endpoints.s3)),
    dynamodb: new DynamoDBClient(access(endpoints.dynamodb)),
    sqs: new SQSClient(access(endpoints.sqs)),
    secrets: new SecretsManagerClient(access(endpoints.secretsManager)),
  };
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'batchdrop-rights-'));
  file = join(dir, 'mixed.jsonl');
  await writeFile(file, MIXED);
  pipeline = await startLocalPipeline({ stateDir: join(dir, 'state') });
  ({ stack } = pipeline);
  viewer = await newPerson('viewer', ['ViewerPolicyArn']);
  operator = await newPerson('operator', ['ViewerPolicyArn', 'OperatorPolicyArn']);
  expect(await operator.command('submit', file, '--wait')).toMatchObject({ status: 3 });
  jobId = JSON.parse((await operator.command('receipt', KEY, '--json')).stdout).jobId;
}, LONG);

afterAll(async () => {
  for (const { s3, dynamodb, sqs, secrets } of [viewer, operator])
    for (const client of [s3, dynamodb, sqs, secrets]) client.destroy();
  await pipeline.stop();
  await rm(dir, { recursive: true, force: true });
}, LONG);

/** One dead letter, which names no job: the function drops it. */
async function addDeadLetter(): Promise<void> {
  const { region, credentials, endpoints, resources } = stack;
  const sqs = new SQSClient({ region, credentials, endpoint: endpoints.sqs });
  const QueueUrl = resources.queues['collect-dead-letters']!.url;
  const MessageBody = JSON.stringify({ v: 1, jobId: 'none', batchId: '0-00000' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  sqs.destroy();
}

/** What a word of a command stands for. */
function named(word: string): string {
  return word === 'FILE' ? file : word === 'JOB' ? jobId : word;
}

const REFUSED = /not authorized to perform: /;

function getObject({ s3 }: Person, Key: string) {
  return s3.send(new GetObjectCommand({ Bucket: stack.resources.bucket, Key }));
}

function putObject({ s3 }: Person, Key: string) {
  return s3.send(new PutObjectCommand({ Bucket: stack.resources.bucket, Key, Body: MIXED }));
}

/** What neither may do: the secret's value, and records. */
async function expectNoSecretsAndNoWrites({ secrets, dynamodb, sqs }: Person): Promise<void> {
  const SecretId = stack.resources.secrets['api-key']!.arn;
  await expect(secrets.send(new GetSecretValueCommand({ SecretId }))).rejects.toThrow(REFUSED);
  const put = new PutSecretValueCommand({ SecretId, SecretString: 'sk-other' });
  await expect(secrets.send(put)).rejects.toThrow(REFUSED);
  const Item = { pk: { S: 'PAUSES' }, sk: { S: 'PAUSE' } };
  const TableName = stack.resources.table;
  await expect(dynamodb.send(new PutItemCommand({ TableName, Item }))).rejects.toThrow(REFUSED);
  await dynamodb.send(new GetItemCommand({ TableName, Key: Item }));
  const QueueUrl = stack.resources.queues.submit!.url;
  await expect(sqs.send(new ReceiveMessageCommand({ QueueUrl }))).rejects.toThrow(REFUSED);
}

describe('a viewer', () => {
  test.each([
    [3, ['receipt', KEY]],
    [3, ['watch', KEY]],
    [0, ['status', KEY]],
    [0, ['explain', KEY]],
    [0, ['jobs']],
    [0, ['costs']],
    [0, ['limits', 'gpt-4.1-mini']],
    [0, ['logs', KEY]],
    [0, ['redrive']],
    [0, ['resume']],
    [0, ['doctor']],
  ])('exits with %i from %j, with every right', { timeout: LONG }, async (status, parameters) => {
    const ended = await viewer.command(...parameters);
    expect(ended).toMatchObject({ status });
    expect(`${ended.stdout}${ended.stderr}`).not.toMatch(/authorized|AccessDenied|cannot be/i);
  });

  test.each([
    [['submit', 'FILE']],
    [['results', KEY]],
    [['results', KEY, '--file', 'retry']],
    [['cancel', KEY, '--yes']],
    [['retry', KEY]],
    [['forget', 'JOB', '--yes']],
    [['pause', '--yes']],
    [['unpause']],
    [['resume', '--scope', 'default']],
    [['redrive', 'collect']],
    [['redrive', 'collect', '--show']],
  ])('is refused %j, and nothing happens', { timeout: LONG }, async (parameters) => {
    if (parameters[0] === 'redrive') await addDeadLetter();
    const before = stack.stats.operate!.invocations;
    const ended = await viewer.command(...parameters.map(named));
    expect(ended).toMatchObject({ status: 1, stdout: '' });
    expect(ended.stderr).toMatch(/not authorized|AccessDenied|403/);
    expect(stack.stats.operate!.invocations).toBe(before);
  });

  test('reads no prompt, no answer, no intermediate and no secret, and writes nothing', async () => {
    for (const key of [
      KEY,
      'output/mixed.jsonl',
      'errors/mixed.jsonl',
      'retry/mixed.jsonl',
      'work/a/plan.json',
    ])
      await expect(getObject(viewer, key), key).rejects.toThrow(REFUSED);
    for (const key of ['input/b.jsonl', 'receipts/b.json'])
      await expect(putObject(viewer, key), key).rejects.toThrow(REFUSED);
    await expectNoSecretsAndNoWrites(viewer);
  });
});

test('what a viewer may read, the table, receipts and log lines, holds no prompt, answer, line or custom id', async () => {
  const { region, credentials, endpoints, resources } = stack;
  const dynamodb = new DynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  const { Items = [], LastEvaluatedKey } = await dynamodb.send(
    new ScanCommand({ TableName: resources.table }),
  );
  dynamodb.destroy();
  expect(LastEvaluatedKey).toBeUndefined();
  expect(Items.length).toBeGreaterThan(5);
  const textOf = async (key: string) => (await getObject(operator, key)).Body!.transformToString();
  const answer = JSON.parse(await textOf('output/mixed.jsonl')).response.body.choices[0].message.content;
  expect(answer.length).toBeGreaterThan(8);
  expect(await textOf(KEY)).toContain('PROMPT-CANARY');
  const logs = join(dir, 'state', 'aws', 'logs');
  const seen = [
    JSON.stringify(Items),
    await textOf('receipts/mixed.json'),
    ...(await Promise.all((await readdir(logs)).map((name) => readFile(join(logs, name), 'utf8')))),
  ].join('\n');
  expect(seen).toContain(KEY);
  for (const content of ['PROMPT-CANARY', 'LINE-CANARY', 'id-of-a-customer', answer, 'sk-'])
    expect(seen).not.toContain(content);
});

describe('an operator', () => {
  test.each([
    [0, ['redrive', 'collect', '--show']],
    [0, ['redrive', 'collect']],
    [3, ['results', KEY]],
    [3, ['results', KEY, '--file', 'retry']],
    [0, ['cancel', KEY, '--yes']],
    [0, ['pause', '--yes', '--reason', 'a look first']],
    [0, ['unpause']],
    [0, ['resume', '--scope', 'default']],
    [0, ['retry', KEY]],
    [0, ['status', KEY]],
    [0, ['doctor']],
    [2, ['forget', KEY, '--yes']],
    [0, ['forget', 'JOB', '--yes']],
  ])('exits with %i from %j', { timeout: LONG }, async (status, parameters) => {
    if (parameters[0] === 'redrive') await addDeadLetter();
    const ended = await operator.command(...parameters.map(named));
    expect(ended).toMatchObject({ status });
    if (parameters[0] === 'status') expect(ended.stdout).toContain('OperatorPolicy');
  });

  test('reaches no API key, writes no record and no result, and reads no intermediate', async () => {
    await expect(getObject(operator, 'work/a/plan.json')).rejects.toThrow(REFUSED);
    for (const key of ['output/b.jsonl', 'receipts/b.json', 'work/b', '.batchdrop/owners.json'])
      await expect(putObject(operator, key), key).rejects.toThrow(REFUSED);
    await expectNoSecretsAndNoWrites(operator);
  });
});
