/** The commands with the rights of a viewer and of an operator: what they need is allowed, and what is not theirs refused. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import {
  GetObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { LocalStack } from '../../../local/stack/local-stack.ts';
import { type LocalPipeline, startLocalPipeline } from '../../../local/stack/pipeline.ts';
import { writeRunning } from '../../../local/stack/running-file.ts';
import { chatLine } from '../../support/pipeline.ts';
import { forgetRefusals } from '../../support/refused-calls.ts';
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

const QUEUES = ['ingest', 'submit', 'call', 'collect', 'finalize'];

/** One dead letter, which names no job: the function drops it. */
async function addDeadLetter(queue: string): Promise<void> {
  const { region, credentials, endpoints, resources } = stack;
  const sqs = new SQSClient({ region, credentials, endpoint: endpoints.sqs });
  const QueueUrl = resources.queues[`${queue}-dead-letters`]!.url;
  const ofBatch = ['submit', 'call', 'collect'].includes(queue) ? { batchId: '0-00000' } : {};
  const MessageBody = JSON.stringify({ v: 1, jobId: 'none', ...ofBatch });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  sqs.destroy();
}

/** What a word of a command stands for. */
function named(word: string): string {
  return word === 'FILE' ? file : word === 'JOB' ? jobId : word;
}

/** What was in the files, and how keys begin. */
const CONTENT = ['PROMPT-CANARY', 'LINE-CANARY', 'id-of-a-customer', 'sk-'];
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
    if (parameters[0] === 'redrive') await addDeadLetter('collect');
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

/** One call of CloudWatch's API, as the console makes them for the pages of the alarms and of the dashboard. */
async function cloudWatch(operation: string, input: object, accessKeyId: string) {
  const response = await fetch(stack.endpoints.cloudwatch, {
    method: 'POST',
    headers: {
      'x-amz-target': `GraniteServiceVersion20100801.${operation}`,
      'content-type': 'application/x-amz-json-1.0',
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/20261130/${stack.region}/monitoring/aws4_request`,
    },
    body: JSON.stringify(input),
  });
  return { status: response.status, body: await response.text() };
}

test('a viewer sees the alarms, the dashboard and its numbers, and nothing of what was in the files', async () => {
  const { accessKeyId } = stack.credentialsWith([stack.outputs.ViewerPolicyArn!]);
  const stackName = stack.stackId.split('/')[1]!;
  const seen = [];
  for (const [operation, input] of [
    ['DescribeAlarms', {}],
    ['GetDashboard', { DashboardName: `${stackName}-${stack.region}` }],
    ['GetMetricData', metricQuery('JobsCompleted', stackName)],
  ] as const) {
    const { status, body } = await cloudWatch(operation, input, accessKeyId);
    expect(status, body).toBe(200);
    seen.push(body);
  }
  const [alarms, dashboard, numbers] = seen.map((body) => JSON.parse(body));
  expect(alarms.MetricAlarms.length).toBeGreaterThan(10);
  expect(JSON.parse(dashboard.DashboardBody).widgets.length).toBeGreaterThan(5);
  expect(numbers.MetricDataResults[0].Values.length).toBeGreaterThan(0);
  for (const content of CONTENT) expect(seen.join('\n')).not.toContain(content);
  const other = await cloudWatch('GetDashboard', { DashboardName: 'of-another-team' }, accessKeyId);
  expect(other.body).toContain('not authorized to perform: cloudwatch:GetDashboard');
});

function metricQuery(MetricName: string, stackName: string) {
  const Metric = { Namespace: 'batchdrop', MetricName, Dimensions: [{ Name: 'Stack', Value: stackName }] };
  const now = Date.now() / 1_000;
  return {
    StartTime: now - 3_600,
    EndTime: now + 60,
    MetricDataQueries: [{ Id: 'a', MetricStat: { Metric, Period: 60, Stat: 'Sum' } }],
  };
}

describe('the functions', () => {
  afterEach(forgetRefusals);

  /** A client that signs as a function. */
  const as = (role: string) => {
    const access = (endpoint: string) => ({
      endpoint,
      region: stack.region,
      credentials: stack.credentialsOf(role),
      maxAttempts: 1,
    });
    const clients = {
      s3: new S3Client(access(stack.endpoints.s3)),
      dynamodb: new DynamoDBClient(access(stack.endpoints.dynamodb)),
      sqs: new SQSClient(access(stack.endpoints.sqs)),
    };
    onTestFinished(() => {
      for (const client of Object.values(clients)) client.destroy();
    });
    return clients;
  };
  const ROLES = ['ingest', 'submit', 'call', 'poll', 'collect', 'finalize', 'operate'];

  test.each(ROLES)(
    '%s lists nothing outside of the prefixes of the layout, and not the whole bucket',
    async (role) => {
      const { s3 } = as(role);
      const Bucket = stack.resources.bucket;
      for (const Prefix of [undefined, '', 'of-another-team/', 'inp', 'receipt', '.batchdrop/'])
        for (const command of [
          new ListObjectsV2Command({ Bucket, Prefix }),
          new ListObjectVersionsCommand({ Bucket, Prefix }),
        ])
          await expect(s3.send(command as ListObjectsV2Command), `${Prefix}`).rejects.toThrow(REFUSED);
    },
  );

  test('operate deletes the items of jobs, and nothing else of the table', async () => {
    const { dynamodb } = as('operate');
    const remove = (pk: string) =>
      dynamodb.send(
        new DeleteItemCommand({
          TableName: stack.resources.table,
          Key: { pk: { S: pk }, sk: { S: 'none' } },
        }),
      );
    await remove('JOB#none');
    for (const pk of [
      'PAUSES',
      'LEDGER#usd/day',
      'RESERVATION#a',
      'MONTH#2026-11',
      'LEASE#poll',
      'SUSPENSION#default',
      'JOBSUITE',
    ])
      await expect(remove(pk), pk).rejects.toThrow(REFUSED);
  });

  test.each([
    ['submit', 'PAUSES'],
    ['collect', 'MONTH#2026-11'],
    ['ingest', 'MONTH#2026-11'],
    ['submit', 'TOMBSTONE#a'],
    ['operate', 'MONTH#2026-11'],
    ['finalize', 'LISTING'],
  ])('%s writes no item of %s', async (role, pk) => {
    const { dynamodb } = as(role);
    const Item = { pk: { S: pk }, sk: { S: 'a' } };
    const TableName = stack.resources.table;
    await expect(dynamodb.send(new PutItemCommand({ TableName, Item }))).rejects.toThrow(REFUSED);
    const inTransaction = new TransactWriteItemsCommand({ TransactItems: [{ Put: { TableName, Item } }] });
    await expect(dynamodb.send(inTransaction)).rejects.toThrow(REFUSED);
  });

  test('calls without TLS are refused by the bucket and the queues, whoever makes them', async () => {
    const { s3, sqs } = as('ingest');
    for (const client of [s3, sqs])
      (client.middlewareStack as S3Client['middlewareStack']).add(
        (next) => (args) => {
          (args.request as { headers: Record<string, string> }).headers['x-forwarded-proto'] = 'http';
          return next(args);
        },
        { step: 'build' },
      );
    const explicit = /with an explicit deny in a resource-based policy/;
    const get = new GetObjectCommand({ Bucket: stack.resources.bucket, Key: KEY });
    await expect(s3.send(get)).rejects.toThrow(explicit);
    const QueueUrl = stack.resources.queues.submit!.url;
    await expect(sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: '{}' }))).rejects.toThrow(explicit);
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
  for (const content of [...CONTENT, answer]) expect(seen).not.toContain(content);
});

describe('an operator', () => {
  test.each([
    ...QUEUES.flatMap((queue): [number, string[]][] => [
      [0, ['redrive', queue, '--show']],
      [0, ['redrive', queue]],
    ]),
    [3, ['results', KEY]],
    [3, ['results', KEY, '--file', 'errors']],
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
    if (parameters[0] === 'redrive') await addDeadLetter(parameters[1]!);
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
