import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, ListObjectVersionsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { BusEvent } from '../../../../local/services/eventbridge/events.ts';
import type { LocalStack } from '../../../../local/stack/local-stack.ts';
import type { LocalStackOptions, ObservedCall } from '../../../../local/stack/options.ts';
import { startLocalStack } from '../../../../local/stack/start.ts';
import { pipelineTemplate, writeAssembly } from '../../../support/assembly.ts';
import { makeFolder, removeFolder, temporaryFolder } from '../../../support/temporary-folder.ts';

const WORKER = fileURLToPath(new URL('./fixtures/worker.ts', import.meta.url));
const TICKER = fileURLToPath(new URL('./fixtures/ticker.ts', import.meta.url));
const DYING_STACK = fileURLToPath(new URL('./fixtures/dying-stack.ts', import.meta.url));

let cdkOut: string;
let assets: { worker: string; ticker: string };

beforeAll(async () => {
  cdkOut = makeFolder();
  const bundle = async (entry: string) => {
    const { outputFiles } = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'node24',
      minify: true,
      mainFields: ['module', 'main'],
      banner: {
        js: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);",
      },
    });
    return outputFiles[0]!.text;
  };
  const [worker, ticker] = await Promise.all([bundle(WORKER), bundle(TICKER)]);
  assets = { worker: worker!, ticker: ticker! };
  writeAssembly(cdkOut, pipelineTemplate(), assets);
});

afterAll(() => removeFolder(cdkOut));

/** A running stack, its clients, and what it has said. */
async function start(options: Partial<LocalStackOptions> = {}) {
  const lines: { line: string; source: string }[] = [];
  const events: BusEvent[] = [];
  const watchers: { text: string; seen: () => void }[] = [];
  const stack = await startLocalStack({
    dir: temporaryFolder(),
    cdkOut,
    openai: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-of-this-run' },
    scheduleEveryMs: 'manual',
    onEvent: (event) => events.push(event),
    onLog(line, source) {
      lines.push({ line, source });
      for (const { text, seen } of watchers) if (line.includes(text)) seen();
    },
    ...options,
  });
  const { endpoints, region, credentials, resources } = stack;
  const s3 = new S3Client({ endpoint: endpoints.s3, region, credentials });
  const dynamodb = new DynamoDBClient({ endpoint: endpoints.dynamodb, region, credentials });
  let isRunning = true;
  const stop = async () => {
    if (!isRunning) return;
    isRunning = false;
    s3.destroy();
    dynamodb.destroy();
    await stack.stop();
  };
  onTestFinished(stop);
  return {
    stack,
    stop,
    events,
    /** What the stack itself said. */
    problems: () => lines.filter(({ source }) => source === 'stack').map(({ line }) => line),
    /** Resolves when a line with the text has been logged, also if it was before. */
    logged: (text: string) =>
      lines.some(({ line }) => line.includes(text))
        ? Promise.resolve()
        : new Promise<void>((seen) => watchers.push({ text, seen })),
    drop: (name: string, Body: string) =>
      s3.send(new PutObjectCommand({ Bucket: resources.bucket, Key: `input/${name}`, Body })),
    output: async (name: string) => {
      const { Body } = await s3.send(
        new GetObjectCommand({ Bucket: resources.bucket, Key: `output/${name}` }),
      );
      return Body?.transformToString();
    },
    versionsOf: async (Prefix: string) =>
      (await s3.send(new ListObjectVersionsCommand({ Bucket: resources.bucket, Prefix }))).Versions?.length,
    deliveries: async (name: string) => {
      const { Item } = await dynamodb.send(
        new GetItemCommand({ TableName: resources.table, Key: { pk: { S: `input/${name}` } } }),
      );
      return Number(Item?.deliveries?.N ?? 0);
    },
  };
}

const doneKeys = (events: BusEvent[]) =>
  events
    .filter((event) => event['detail-type'] === 'Done')
    .map(({ detail }) => (detail as { key: string }).key);

test('a dropped object goes through rule, queue and function, and its results are there when the stack is idle', async () => {
  const { stack, drop, output, deliveries, events, problems } = await start();
  await drop('a b/ü.txt', 'hello');
  await stack.idle();
  expect(await output('a b/ü.txt')).toBe('HELLO');
  expect(await deliveries('a b/ü.txt')).toBe(1);
  expect(doneKeys(events)).toEqual(['input/a b/ü.txt']);
  expect(stack.stats.worker).toMatchObject({ invocations: 1, errors: 0, coldStarts: 1 });
  expect(problems()).toEqual([]);
});

test('an object outside the rule starts nothing', async () => {
  const { stack, events } = await start();
  const { endpoints, region, credentials, resources } = stack;
  const s3 = new S3Client({ endpoint: endpoints.s3, region, credentials });
  onTestFinished(() => s3.destroy());
  await s3.send(new PutObjectCommand({ Bucket: resources.bucket, Key: 'elsewhere/a.txt', Body: 'hello' }));
  await stack.idle();
  expect(events).toHaveLength(1);
  expect(stack.stats.worker?.invocations).toBe(0);
});

test('resources are found by what they are for, and outputs are what a deployment would print', async () => {
  const { stack } = await start();
  expect(stack.resources).toMatchObject({
    bucket: 'fixture-bucket',
    table: 'fixture-Table',
    queues: {
      work: { name: 'fixture-Queue', url: `${stack.endpoints.sqs}/000000000000/fixture-Queue` },
      'work-dead-letters': { name: 'fixture-DeadLetters' },
    },
    functions: { worker: { name: 'fixture-Worker' }, ticker: { name: 'fixture-Ticker' } },
  });
  expect(stack.outputs).toEqual({ Drop: 's3://fixture-bucket/input/' });
  await expect(stack.invoke('nobody', {})).rejects.toThrow(
    'no function "nobody" in the stack (there are: worker, ticker)',
  );
});

test('a function gets its synthesized environment, the key of this run and the address to use instead of OpenAI', async () => {
  const dir = temporaryFolder();
  const { stack } = await start({ dir });
  const [run] = await stack.runSchedule();
  expect(run).toMatchObject({
    ok: true,
    payload: {
      event: { 'detail-type': 'Scheduled Event' },
      secret: 'sk-of-this-run',
      openai: 'http://127.0.0.1:9/v1',
      stackId: stack.stackId.split('/').at(-1),
    },
  });
  expect(existsSync(join(dir, 'secrets.json'))).toBe(false);
});

test('with twice every event is two messages and every message is two runs: the results are the same', async () => {
  const { stack, drop, output, deliveries } = await start({ deliver: { twice: true } });
  await drop('a.txt', 'hello');
  await stack.idle();
  expect(await deliveries('a.txt')).toBe(4);
  expect(await output('a.txt')).toBe('HELLO');
});

test('with at-once both runs of a message are in the air together', async () => {
  const { stack, drop, deliveries } = await start({ deliver: { twice: 'at-once' } });
  await drop('a.txt', 'hello');
  await stack.idle();
  expect(await deliveries('a.txt')).toBe(4);
  expect(stack.stats.worker?.coldStarts).toBeGreaterThan(1);
});

test('a stack that is stopped in the middle continues with the message when it is started again, on other ports', async () => {
  const dir = temporaryFolder();
  const first = await start({ dir });
  await first.drop('done.txt', 'hello');
  await first.stack.idle();
  await first.drop('a.txt', 'hang once');
  await first.logged('working on input/a.txt');
  await first.stop();
  expect(existsSync(join(dir, 'tmp')) ? readdirSync(join(dir, 'tmp')) : []).toEqual([]);

  const second = await start({ dir });
  await second.stack.idle();
  expect(second.stack.endpoints).not.toEqual(first.stack.endpoints);
  expect(second.stack.stackId).toBe(first.stack.stackId);
  expect(await second.output('a.txt')).toBe('HANG ONCE');
  expect(await second.deliveries('a.txt')).toBe(2);
  expect(await second.output('done.txt')).toBe('HELLO');
  expect(await second.versionsOf('output/done.txt')).toBe(1);
});

/** Runs a stack in a process of its own until it dies by SIGKILL at the moment. */
async function runUntilKilled(moment: 'event' | 'work', dir: string, text: string): Promise<void> {
  const signal = await new Promise((resolve) => {
    execFile(process.execPath, [DYING_STACK, moment, cdkOut, dir, 'input/a.txt', text], (error) =>
      resolve((error as { signal?: string } | null)?.signal),
    );
  });
  expect(signal).toBe('SIGKILL');
}

test('an object whose event had not left S3 when the stack was killed is delivered at the next start', async () => {
  const dir = temporaryFolder();
  await runUntilKilled('event', dir, 'hello');
  const { stack, output } = await start({ dir });
  await stack.idle();
  expect(await output('a.txt')).toBe('HELLO');
});

test('when the stack is killed its functions end too, and the next start does their work again', async () => {
  const dir = temporaryFolder();
  await runUntilKilled('work', dir, 'hang once');
  const pid = Number(readFileSync(join(dir, 'last-line'), 'utf8').split(' ').at(-1));
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'), { timeout: 10_000 });
  const { stack, output, deliveries } = await start({ dir });
  await stack.idle();
  expect(await output('a.txt')).toBe('HANG ONCE');
  expect(await deliveries('a.txt')).toBe(2);
});

test('a killed function fails its message, which is delivered again', async () => {
  const { stack, drop, logged, output, deliveries, problems } = await start({
    deliver: { retryAfterSeconds: 0 },
  });
  await drop('a.txt', 'hang once');
  await logged('working on input/a.txt');
  await stack.killFunctions('worker');
  await stack.idle();
  expect(await output('a.txt')).toBe('HANG ONCE');
  expect(await deliveries('a.txt')).toBe(2);
  expect(stack.stats.worker).toMatchObject({ invocations: 2, errors: 1, coldStarts: 2 });
  expect(problems()[0]).toContain('Runtime.ExitError');
});

test.each([
  ['that always throws', 'fail', 'cannot do this'],
  ['that is always reported as failed', 'report', 'failed 1 of 1 messages'],
])(
  'a message %s is a dead letter after its receives, and the stack is idle',
  async (_sentence, text, problem) => {
    const { stack, drop, deliveries, problems } = await start({ deliver: { retryAfterSeconds: 0 } });
    await drop('a.txt', text);
    await stack.idle();
    expect(await deliveries('a.txt')).toBe(2);
    expect(stack.queueDepth('work-dead-letters').ready).toBe(1);
    expect(problems().join('\n')).toContain(problem);
  },
);

test('a failed message waits for its visibility timeout, and idle says what it waits for', async () => {
  const { stack, drop, logged } = await start();
  await drop('a.txt', 'fail');
  await logged('failed 1 of 1 messages');
  expect(stack.queueDepth('work')).toEqual({ ready: 0, delayed: 0, inFlight: 1 });
  await expect(stack.idle(AbortSignal.abort())).rejects.toThrow(
    /The local stack is not idle: .*queue fixture-Queue has 0 ready, 0 delayed, 1 in flight\./,
  );
});

test('a delivery above the concurrency of the account is throttled and counts as a receive, so that a message which never finds room is a dead letter', async () => {
  const { stack, drop, problems, logged, deliveries } = await start({
    concurrency: 1,
    deliver: { throttledForSeconds: 0 },
  });
  await drop('a.txt', 'hang once');
  await logged('working on input/a.txt');
  await drop('b.txt', 'text');
  await expect.poll(() => stack.queueDepth('work-dead-letters').ready, { timeout: 10_000 }).toBe(1);
  expect(await deliveries('b.txt')).toBe(0);
  // As often as the queue allows, see assembly.ts.
  expect(stack.stats.worker).toMatchObject({ invocations: 1, throttles: 2 });
  expect(stack.concurrency).toMatchObject({ limit: 1, running: 1, peak: 1 });
  expect(problems().join('\n')).toContain(
    'is throttled: no concurrency is left; its messages come back later',
  );
});

test('a message whose delivery is throttled is hidden for the visibility timeout, as in AWS', async () => {
  const { stack, drop, logged } = await start({ concurrency: 1 });
  await drop('a.txt', 'hang once');
  await logged('working on input/a.txt');
  await drop('b.txt', 'text');
  await logged('is throttled');
  expect(stack.queueDepth('work')).toEqual({ ready: 0, delayed: 0, inFlight: 2 });
});

test('a call that the role does not allow is refused in the words of AWS and recorded', async () => {
  const { stack, drop, problems } = await start({ deliver: { retryAfterSeconds: 0 } });
  await drop('a.txt', 'forbidden');
  await stack.idle();
  const call = {
    functionName: 'fixture-Worker',
    action: 'dynamodb:GetItem',
    resource: 'arn:aws:dynamodb:us-east-1:000000000000:table/fixture-Table',
  };
  expect(stack.calls.denied).toEqual([call]);
  expect(stack.calls.allowed.map(({ action }) => action)).toContain('dynamodb:UpdateItem');
  expect(problems().join('\n')).toContain(
    'User: arn:aws:sts::000000000000:assumed-role/fixture-Role/fixture-Worker is not authorized to perform: dynamodb:GetItem',
  );
});

describe('with a key of the account', () => {
  const KEY = 'arn:aws:kms:us-east-1:000000000000:key/0b1c2d3e';
  /** Of a key that is in no template: what its account, and EventBridge, may do. */
  const keyPolicies = {
    [KEY]: [{ AWS: 'arn:aws:iam::000000000000:root' }, { Service: 'events.amazonaws.com' }].map(
      (Principal) => ({ Effect: 'Allow' as const, Principal, Action: 'kms:*', Resource: '*' }),
    ),
  };
  const ENCRYPTED = {
    Bucket: {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          { ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: KEY } },
        ],
      },
    },
    Table: { SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: KEY } },
    Queue: { KmsMasterKeyId: KEY },
  };
  /** Runs an object, whose function may do these things with the key. */
  const run = async (encrypted: keyof typeof ENCRYPTED, actions: string[]) => {
    const template = pipelineTemplate();
    Object.assign(template.Resources[encrypted]!.Properties!, ENCRYPTED[encrypted]);
    const { PolicyDocument } = template.Resources.Policy!.Properties as {
      PolicyDocument: { Statement: object[] };
    };
    PolicyDocument.Statement.push({ Effect: 'Allow', Action: actions, Resource: KEY });
    const folder = temporaryFolder();
    writeAssembly(folder, template, assets);
    const started = await start({ cdkOut: folder, keyPolicies, deliver: { retryAfterSeconds: 0 } });
    await started.drop('a.txt', 'again 4');
    await started.stack.idle();
    const { denied } = started.stack.calls;
    return { ...started, denied: denied.map(({ action, resource }) => `${action} ${resource}`) };
  };

  test.each([
    ['Bucket', ['kms:Decrypt', 'kms:GenerateDataKey']],
    ['Table', ['kms:Decrypt']],
    ['Queue', ['kms:Decrypt', 'kms:GenerateDataKey']],
  ] as const)('for its %s, a function that may %j does its work', async (encrypted, actions) => {
    const { output, denied, problems } = await run(encrypted, [...actions]);
    expect(await output('a.txt')).toBe('AGAIN 4');
    expect(denied).toEqual([]);
    expect(problems()).toEqual([]);
  });

  test.each([
    ['Bucket', ['kms:GenerateDataKey'], 'kms:Decrypt'],
    ['Bucket', ['kms:Decrypt'], 'kms:GenerateDataKey'],
    ['Table', ['kms:GenerateDataKey'], 'kms:Decrypt'],
    ['Queue', ['kms:Decrypt'], 'kms:GenerateDataKey'],
  ] as const)(
    'for its %s, a function that may only %j is refused %s, and its message becomes a dead letter',
    async (encrypted, actions, lacking) => {
      const { stack, output, denied, problems } = await run(encrypted, [...actions]);
      expect(denied).toEqual([`${lacking} ${KEY}`]);
      await expect(output('a.txt')).rejects.toThrow('does not exist');
      expect(stack.queueDepth('work-dead-letters').ready).toBe(1);
      expect(problems().join('\n')).toContain(
        `User: arn:aws:sts::000000000000:assumed-role/fixture-Role/fixture-Worker is not authorized to perform: ${lacking} on resource: ${KEY}`,
      );
    },
  );
});

test('a function that sends to its own queue for ever is stopped after 16 runs, as Lambda does', async () => {
  const { stack, drop, deliveries, problems } = await start();
  await drop('a.txt', 'again');
  await stack.idle();
  expect(await deliveries('a.txt')).toBe(16);
  expect(stack.queueDepth('work-dead-letters').ready).toBe(1);
  expect(problems().join('\n')).toContain('Lambda stops such a loop');
});

test('a function whose RecursiveLoop is Allow may continue for 40 runs', async () => {
  const template = pipelineTemplate();
  Object.assign(template.Resources.Worker!.Properties!, { RecursiveLoop: 'Allow' });
  const allowing = temporaryFolder();
  writeAssembly(allowing, template, assets);
  const { stack, drop, output, deliveries, problems } = await start({ cdkOut: allowing });
  await drop('a.txt', 'again 40');
  await stack.idle();
  expect(await deliveries('a.txt')).toBe(40);
  expect(await output('a.txt')).toBe('AGAIN 40');
  expect(stack.queueDepth('work-dead-letters').ready).toBe(0);
  expect(problems()).toEqual([]);
});

test.each([
  ['hello', 'before', 'GetObject', 's3', { runs: 1, outputs: 1, events: 1 }],
  ['hello', 'after', 'GetObject', 's3', { runs: 1, outputs: 1, events: 1 }],
  ['hello', 'before', 'UpdateItem', 'dynamodb', { runs: 1, outputs: 1, events: 1 }],
  ['hello', 'after', 'UpdateItem', 'dynamodb', { runs: 2, outputs: 1, events: 1 }],
  ['hello', 'before', 'PutObject', 's3', { runs: 2, outputs: 1, events: 1 }],
  ['hello', 'after', 'PutObject', 's3', { runs: 2, outputs: 2, events: 1 }],
  ['hello', 'before', 'PutEvents', 'eventbridge', { runs: 2, outputs: 2, events: 1 }],
  ['hello', 'after', 'PutEvents', 'eventbridge', { runs: 2, outputs: 2, events: 2 }],
  ['again 2', 'before', 'SendMessage', 'sqs', { runs: 2, outputs: 1, events: 1 }],
  // Its own message and the one that it has sent.
  ['again 2', 'after', 'SendMessage', 'sqs', { runs: 3, outputs: 2, events: 2 }],
] as const)(
  'a process that works on "%s" can be killed %s the effect of %s, and the message is worked on again',
  async (text, moment, operation, service, expected) => {
    const killed: ObservedCall[] = [];
    const { stack, drop, output, deliveries, versionsOf, events, problems } = await start({
      deliver: { retryAfterSeconds: 0 },
      onCall(call) {
        if (killed.length > 0 || call.operation !== operation || call.moment !== moment) return undefined;
        killed.push(call);
        return 'kill';
      },
    });
    await drop('a.txt', text);
    await stack.idle();
    expect(killed).toMatchObject([{ functionName: 'worker', service, operation, moment }]);
    expect(await output('a.txt')).toBe(text.toUpperCase());
    // A run counts itself with its UpdateItem.
    expect(await deliveries('a.txt')).toBe(expected.runs);
    expect(await versionsOf('output/a.txt')).toBe(expected.outputs);
    expect(doneKeys(events)).toHaveLength(expected.events);
    expect(stack.stats.worker?.errors).toBe(1);
    expect(problems()[0]).toContain('signal: killed');
  },
);

test('calls of the person at the machine are not those of a function', async () => {
  const seen: string[] = [];
  const { stack, drop } = await start({
    onCall({ functionName, operation, resource, moment }) {
      if (moment === 'before') seen.push(`${functionName} ${operation} ${resource}`);
      return undefined;
    },
  });
  await drop('a.txt', 'hello');
  await stack.idle();
  expect(seen).toEqual([
    'worker GetObject input/a.txt',
    'worker UpdateItem fixture-Table',
    'worker PutObject output/a.txt',
    'worker PutEvents ',
  ]);
});

test('a test can cut the time and the memory of a function and give it variables', async () => {
  const { stack, drop, problems } = await start({
    deliver: { retryAfterSeconds: 0 },
    functions: { worker: { timeoutMs: 300 }, ticker: { memoryMb: 300, environment: { STACK_ID: 'mine' } } },
  });
  await drop('a.txt', 'hang once');
  await stack.idle();
  expect(problems()[0]).toContain('Task timed out after 0.30 seconds');
  expect(await stack.runSchedule()).toMatchObject([{ payload: { stackId: 'mine' } }]);
});

test('functions, objects and their events take the time from the clock of the stack, which may leap ahead', async () => {
  let ahead = 0;
  const now = () => Date.now() + ahead;
  const { stack, drop, output, events } = await start({ now });
  await drop('a.txt', 'hello');
  await stack.idle();
  ahead = 48 * 3_600_000;
  const leaptAt = now();
  const [tick] = await stack.runSchedule();
  const { nowMs, remainingMs } = (tick as unknown as { payload: { nowMs: number; remainingMs: number } })
    .payload;
  expect(nowMs).toBeGreaterThanOrEqual(leaptAt);
  expect(nowMs).toBeLessThan(leaptAt + 3_600_000);
  expect(remainingMs).toBeLessThanOrEqual(10_000);
  await drop('b.txt', 'later');
  await stack.idle();
  expect(await output('b.txt')).toBe('LATER');
  const created = events.filter(({ source }) => source === 'aws.s3').map(({ time }) => Date.parse(time));
  expect(created[2]! - created[0]!).toBeGreaterThanOrEqual(47 * 3_600_000);
});

test('fails when a test changes a function that is not there', async () => {
  await expect(start({ functions: { nobody: { timeoutMs: 300 } } })).rejects.toThrow(
    'no function "nobody" in the stack (there are: worker, ticker)',
  );
});

test('what a function writes is in a log file of its own', async () => {
  const dir = temporaryFolder();
  const { stack, drop, stop } = await start({ dir });
  await drop('a.txt', 'hello');
  await stack.idle();
  await stop();
  expect(readFileSync(join(dir, 'logs', 'worker.log'), 'utf8')).toContain('working on input/a.txt');
});

test('fails for a folder that another stack uses, and can be started there when that one has stopped', async () => {
  const dir = temporaryFolder();
  const first = await start({ dir });
  await expect(start({ dir })).rejects.toThrow(`${dir} is in use by another local stack`);
  await first.stop();
  await expect(start({ dir })).resolves.toBeDefined();
});

test('fails for a template whose table differs from the one in the folder, and says what to do', async () => {
  const dir = temporaryFolder();
  await (await start({ dir })).stop();
  const template = pipelineTemplate();
  Object.assign(template.Resources.Table!.Properties!, {
    AttributeDefinitions: [{ AttributeName: 'other', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'other', KeyType: 'HASH' }],
  });
  const other = temporaryFolder();
  writeAssembly(other, template, { worker: '', ticker: '' });
  const starting: Promise<{ stack: LocalStack }> = start({ dir, cdkOut: other });
  await expect(starting).rejects.toThrow('has other keys or indexes than the synthesized template');
});
