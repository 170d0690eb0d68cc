/**
 * Variants whose behaviour differs, run whole on the local stack: a file is dropped and its results are read. Each call is held
 * against the policies of the template, those of keys included; what they refuse fails the test
 * (test/support/refused-calls.ts). That a lacking right on a key is refused: test/parts/lib/key-grants.test.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import {
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import type { LocalStack } from '../../../local/stack/local-stack.ts';
import { writeRunning } from '../../../local/stack/running-file.ts';
import type { Template } from '../../../local/stack/template.ts';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { DAY_MS, HOUR_MS } from '../../../src/contract/time.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import type { EmulatedStackOptions } from '../../support/open-emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { batchdrop } from '../../support/run-script.ts';
import { SIGNING_SECRET } from '../../support/webhooks.ts';
import { EXPORTER, synthesizeWholeVariants, TEAM } from '../../support/whole-variants.ts';
import { workerFolder } from '../../support/worker-folder.ts';

const LONG = { timeout: 240_000 };
const IDS = ['a', 'b', 'c'];
const LINES = IDS.map((id) => chatLine(id)).join('\n');
const REFUSED = /not authorized to perform: /;

const cdkOut = workerFolder('batchdrop-variants-e2e-');
beforeAll(() => synthesizeWholeVariants(cdkOut), 120_000);

async function start(stackName: string, options: EmulatedStackOptions = {}) {
  const parts = await startEmulatedStack({ synthesized: { cdkOut, stackName }, ...options });
  return {
    ...parts,
    receiptOf: async (key: string) => {
      const text = await parts.read(key);
      return text === undefined ? undefined : receiptSchema.parse(JSON.parse(text));
    },
    /** Polls until an object is there, for a day at the most. */
    async pollUntil(key: string): Promise<void> {
      for (let hours = 0; hours < 24 && (await parts.read(key)) === undefined; hours++)
        await parts.poll(HOUR_MS);
    },
    idsIn: async (key: string) =>
      ((await parts.read(key)) ?? '')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line).custom_id),
    executed: async () => (await parts.emulator.ledger.all()).length,
  };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Clients that sign with others' credentials, by the clock of the stack. */
function clientsOf({ stack, s3: own }: Started, credentials: LocalStack['credentials']) {
  const { endpoints, region } = stack();
  const access = (endpoint: string) => ({ endpoint, region, credentials, maxAttempts: 1 });
  const clients = {
    s3: new S3Client({ ...access(endpoints.s3), systemClockOffset: own.config.systemClockOffset }),
    sqs: new SQSClient(access(endpoints.sqs)),
    dynamodb: new DynamoDBClient(access(endpoints.dynamodb)),
  };
  onTestFinished(() => {
    for (const client of Object.values(clients)) client.destroy();
  });
  return clients;
}

/** What functions asked of keys: their actions by function and service. */
function keyUseOf({ stack }: Started): Record<string, string[]> {
  const use: Record<string, Set<string>> = {};
  for (const { functionName, action } of stack().calls.allowed) {
    if (!action.startsWith('kms:')) continue;
    const [, name = ''] = /Pipeline(\w+?)Function/.exec(functionName) ?? [];
    use[name] ??= new Set();
    use[name].add(action.slice('kms:'.length));
  }
  return Object.fromEntries(Object.entries(use).map(([name, actions]) => [name, [...actions].sort()]));
}

test(
  'with a key for bucket, table, queues, secrets and logs a file is run by webhooks, and operators read and redrive',
  LONG,
  async () => {
    const keys = { default: 'sk-default', 'team-a': 'sk-team-a' };
    const started = await start('with-key', {
      keys,
      webhookSecrets: { default: SIGNING_SECRET, 'team-a': SIGNING_SECRET },
      // The command signs by the clock of the machine, which that of the stack has then caught up with.
      at: Date.now() - 2 * HOUR_MS,
    });
    const { dir, emulator, stack, clock, drop, poll, receiptOf, idsIn, bucket } = started;
    const url = stack().outputs.WebhookUrl!;
    emulator.setFaults({ webhooks: [{ url, secret: SIGNING_SECRET, timestamps: 'clock' }] });
    await drop('input/films.jsonl', LINES);
    clock.advance(2 * HOUR_MS);
    await emulator.deliverWebhooks();
    const giveUpAt = Date.now() + 60_000;
    while ((await receiptOf('receipts/films.json')) === undefined && Date.now() < giveUpAt)
      await stack().idle();
    expect(await receiptOf('receipts/films.json')).toMatchObject({
      result: 'succeeded',
      counts: { requests: 3 },
    });
    expect(await idsIn('output/films.jsonl')).toEqual(IDS);
    await poll(0);
    await drop('input/now/one.jsonl', `${chatLine('one')}\nno JSON\n`);
    await poll(0);
    expect(await idsIn('output/now/one.jsonl')).toEqual(['one']);

    // A dead letter, which names no job: an operator looks at it, and collect gets it again.
    const dead = stack().resources.queues['collect-dead-letters']!;
    const { ViewerPolicyArn, OperatorPolicyArn } = stack().outputs;
    const viewer = clientsOf(started, stack().credentialsWith([ViewerPolicyArn!]));
    const operator = clientsOf(started, stack().credentialsWith([ViewerPolicyArn!, OperatorPolicyArn!]));
    const MessageBody = JSON.stringify({ v: 1, jobId: 'none', batchId: '0-00000' });
    const own = clientsOf(started, stack().credentials);
    await own.sqs.send(new SendMessageCommand({ QueueUrl: dead.url, MessageBody }));
    const look = new ReceiveMessageCommand({ QueueUrl: dead.url, VisibilityTimeout: 0 });
    expect((await operator.sqs.send(look)).Messages).toHaveLength(1);
    const collected = stack().stats.collect!.invocations;
    const DestinationArn = stack().resources.queues.collect!.arn;
    await operator.sqs.send(new StartMessageMoveTaskCommand({ SourceArn: dead.arn, DestinationArn }));
    await stack().idle();
    expect(stack().stats.collect!.invocations).toBe(collected + 1);

    // People read and drop with the rights that their policies have on the key.
    const get = (Key: string) => new GetObjectCommand({ Bucket: bucket, Key });
    const answers = await operator.s3.send(get('output/films.jsonl'));
    expect(await answers.Body!.transformToString()).toContain('"custom_id":"a"');
    await operator.s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'input/more.jsonl', Body: LINES }));
    await stack().idle();
    await viewer.s3.send(get('receipts/films.json'));
    const { jobId } = (await receiptOf('receipts/films.json'))!;
    const credentials = stack().credentialsWith([ViewerPolicyArn!, OperatorPolicyArn!]);
    writeRunning(dir, { ...stack(), credentials });
    for (const command of [
      ['retry', 'input/now/one.jsonl'],
      ['forget', jobId, '--yes'],
    ])
      expect(await batchdrop(...command, '--local', '--state', dir)).toMatchObject({ status: 0 });
    expect(await receiptOf('receipts/films.json')).toBeUndefined();
    const Item = { pk: { S: 'PAUSES' }, sk: { S: 'PAUSE' } };
    await viewer.dynamodb.send(new GetItemCommand({ TableName: stack().resources.table, Key: Item }));
    await expect(viewer.s3.send(get('output/films.jsonl'))).rejects.toThrow(REFUSED);

    const READ_WRITE = ['Decrypt', 'GenerateDataKey'];
    expect(keyUseOf(started)).toEqual({
      Ingest: READ_WRITE,
      Call: READ_WRITE,
      Submit: READ_WRITE,
      Poll: READ_WRITE,
      Collect: READ_WRITE,
      Finalize: READ_WRITE,
      Observe: READ_WRITE,
      Webhook: READ_WRITE,
      Operate: READ_WRITE,
    });
    expect(stack().calls.denied).toEqual([]);
  },
);

test(
  'with an existing bucket that has a key of its own, functions use that key for the bucket and none for the rest',
  LONG,
  async () => {
    const started = await start('existing-bucket');
    const { stack, bucket, drop, pollUntil, receiptOf, idsIn } = started;
    expect(bucket).toBe('our-prompts');
    await drop('input/films.jsonl', LINES);
    await pollUntil('receipts/films.json');
    expect(await receiptOf('receipts/films.json')).toMatchObject({ result: 'succeeded' });
    expect(await idsIn('output/films.jsonl')).toEqual(IDS);
    const keys = new Set(
      stack()
        .calls.allowed.filter(({ action }) => action.startsWith('kms:'))
        .map(({ resource }) => resource),
    );
    expect(keys.size).toBe(1);
    expect(Object.keys(keyUseOf(started)).sort()).toEqual([
      'Collect',
      'Finalize',
      'Ingest',
      'Poll',
      'Submit',
    ]);
  },
);

test(
  'without versions a job reads its own copy: deleting and overwriting the input while it runs changes nothing of it',
  LONG,
  async () => {
    const {
      s3: client,
      bucket,
      drop,
      pollUntil,
      receiptOf,
      idsIn,
      read,
      executed,
    } = await start('unversioned');
    await drop('input/films.jsonl', LINES);
    await drop('input/gone.jsonl', chatLine('gone'));
    await drop('input/films.jsonl', chatLine('later'));
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'input/gone.jsonl' }));
    const { Versions = [] } = await client.send(
      new ListObjectVersionsCommand({ Bucket: bucket, Prefix: 'input/' }),
    );
    expect(Versions.map(({ VersionId }) => VersionId)).toEqual(['null']);
    await pollUntil('receipts/films.json');
    await pollUntil('receipts/gone.json');
    expect(await read('input/gone.jsonl')).toBeUndefined();
    expect(await receiptOf('receipts/gone.json')).toMatchObject({ result: 'succeeded' });
    expect(await idsIn('output/gone.jsonl')).toEqual(['gone']);
    // The newest drop has the plain names.
    expect(await idsIn('output/films.jsonl')).toEqual(['later']);
    expect(await executed()).toBe(IDS.length + 2);
  },
);

/** What the account of a dropper allows it. */
const MAY_DROP = [
  {
    Effect: 'Allow' as const,
    Action: ['s3:PutObject', 's3:GetObject', 'kms:GenerateDataKey', 'kms:Decrypt'],
    Resource: '*',
  },
];
/** The same without the key, as who forgot it. */
const WITHOUT_KEY = [{ ...MAY_DROP[0]!, Action: ['s3:PutObject', 's3:GetObject'] }];
const ONLY_WHOLE = [{ ...MAY_DROP[0]!, Action: ['s3:PutObject', 'kms:GenerateDataKey'] }];

interface LifecycleRule {
  Prefix?: string;
  ExpirationInDays?: number;
  NoncurrentVersionExpiration?: { NoncurrentDays: number };
}

/** Does to a bucket what S3 would once a day by the rules of the template. @param now epoch ms */
async function expire(client: S3Client, Bucket: string, now: number): Promise<void> {
  const template: Template = JSON.parse(readFileSync(join(cdkOut, 'shared.template.json'), 'utf8'));
  const { LifecycleConfiguration } = Object.values(template.Resources).find(
    ({ Type }) => Type === 'AWS::S3::Bucket',
  )!.Properties as { LifecycleConfiguration: { Rules: LifecycleRule[] } };
  const age = (date: Date | undefined) => (now - date!.getTime()) / DAY_MS;
  for (const { Prefix, ExpirationInDays, NoncurrentVersionExpiration } of LifecycleConfiguration.Rules) {
    if (Prefix === undefined) continue;
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket, Prefix }));
    for (const { Key, VersionId, IsLatest, LastModified } of Versions) {
      if (IsLatest === true && ExpirationInDays !== undefined && age(LastModified) >= ExpirationInDays)
        await client.send(new DeleteObjectCommand({ Bucket, Key }));
      // Its age as a version that is not current would be less; each is given a day more than that.
      const days = NoncurrentVersionExpiration?.NoncurrentDays;
      if (IsLatest !== true && days !== undefined && age(LastModified) >= days + (ExpirationInDays ?? 0) + 1)
        await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
    }
  }
}

test(
  'droppers of other accounts drop where their route is, with the key of the bucket; what expires is not run again',
  LONG,
  async () => {
    const started = await start('shared');
    const {
      stack,
      s3: own,
      bucket: Bucket,
      clock,
      poll,
      pollUntil,
      receiptOf,
      idsIn,
      read,
      executed,
    } = started;
    const other = (arn: string, policy: typeof MAY_DROP) =>
      clientsOf(started, stack().credentialsOfOther({ arn, policy })).s3;
    const exporter = other(EXPORTER, MAY_DROP);
    const put = (client: S3Client, Key: string) =>
      client.send(new PutObjectCommand({ Bucket, Key, Body: chatLine(Key) }));

    await put(exporter, 'input/films.jsonl');
    const inParts = async (client: S3Client) => {
      const at = { Bucket, Key: 'input/parts.jsonl' };
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
      const part = { ...at, UploadId, PartNumber: 1 };
      const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: chatLine('parts') }));
      const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
      await client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload }));
    };
    await inParts(exporter);
    await put(other(`arn:aws:iam::${TEAM}:user/nightly`, MAY_DROP), 'input/a/films.jsonl');

    const refused = async (client: S3Client, key: string, message: string | RegExp) =>
      expect(put(client, key), key).rejects.toThrow(message);
    const explicit = 'with an explicit deny in a resource-based policy';
    const notByBucket = 'because no resource-based policy allows the s3:PutObject action';
    await refused(exporter, 'input/a/films.jsonl', explicit);
    for (const key of ['output/films.jsonl', 'receipts/films.json', '.batchdrop/owners.json', 'in.jsonl'])
      await refused(exporter, key, notByBucket);
    await refused(other(`arn:aws:iam::${TEAM}:user/nightly`, MAY_DROP), 'input/b.jsonl', notByBucket);
    await refused(other('arn:aws:iam::444455556666:role/other', MAY_DROP), 'input/b.jsonl', notByBucket);
    const get = new GetObjectCommand({ Bucket, Key: 'input/films.jsonl' });
    await expect(exporter.send(get)).rejects.toThrow(REFUSED);
    // Their own account has to allow the key, too; in parts also to decrypt.
    const noKey = (action: string) => `because no identity-based policy allows the kms:${action} action`;
    await refused(other(EXPORTER, WITHOUT_KEY), 'input/b.jsonl', noKey('GenerateDataKey'));
    await expect(inParts(other(EXPORTER, ONLY_WHOLE))).rejects.toThrow(noKey('Decrypt'));

    await stack().idle();
    for (const receipt of ['receipts/films.json', 'receipts/parts.json', 'r/a/films.json'])
      await pollUntil(receipt);
    expect(await receiptOf('receipts/films.json')).toMatchObject({ result: 'succeeded' });
    expect(await idsIn('output/films.jsonl')).toEqual(['input/films.jsonl']);
    expect(await idsIn('output/parts.jsonl')).toEqual(['parts']);
    expect(await idsIn('answers/a/films.jsonl')).toEqual(['input/a/films.jsonl']);

    // Days go by: what lifecycle rules remove is gone, the rest is there, and nothing is bought again.
    const afterDays = async (days: number) => {
      clock.advance(days * DAY_MS);
      await expire(own, Bucket, clock.now());
      for (let hours = 0; hours < 3; hours++) await poll(HOUR_MS);
    };
    const there = async () => {
      const keys = [
        'input/films.jsonl',
        'output/films.jsonl',
        'answers/a/films.jsonl',
        'receipts/films.json',
        'r/a/films.json',
      ];
      const texts = await Promise.all(keys.map(read));
      return keys.filter((_, index) => texts[index] !== undefined);
    };
    await afterDays(29);
    expect(await there()).toHaveLength(5);
    await afterDays(2);
    expect(await there()).toEqual(['input/films.jsonl', 'receipts/films.json', 'r/a/films.json']);
    await afterDays(60);
    expect(await there()).toEqual(['receipts/films.json', 'r/a/films.json']);
    expect(await executed()).toBe(3);

    await put(other(EXPORTER, MAY_DROP), 'input/films.jsonl');
    await stack().idle();
    await pollUntil('output/films.jsonl');
    expect(await idsIn('output/films.jsonl')).toEqual(['input/films.jsonl']);
    expect(await executed()).toBe(4);
    for (const role of Object.keys(stack().resources.queues).filter((name) => name.endsWith('dead-letters')))
      expect(stack().queueDepth(role).ready, role).toBe(0);
  },
);
