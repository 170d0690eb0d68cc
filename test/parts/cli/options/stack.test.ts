import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type OpenStack,
  openStack,
  outputOf,
  requireRunning,
  stackError,
} from '../../../../cli/options/stack.ts';
import { UsageError } from '../../../../cli/view/exit.ts';
import { readRunning, writeRunning } from '../../../../local/stack/running-file.ts';
import { openStateFolder } from '../../../../local/stack/state-folder.ts';
import { type DescribedStack, startCloudFormation } from '../../../support/cloudformation.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';

const FILMS = {
  name: 'films',
  description: 'batchdrop: OpenAI batches from dropped files',
  outputs: { TableName: 'films-table', BucketName: 'films-bucket' },
};
const BOOKS = { ...FILMS, name: 'books' };
const OTHER = { name: 'other', description: 'a web shop' };

let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'batchdrop-stack-'));
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDTEST');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(state, { recursive: true, force: true });
});

async function deployed(...stacks: DescribedStack[]): Promise<void> {
  const { endpoint, close } = await startCloudFormation(stacks);
  onTestFinished(close);
  vi.stubEnv('AWS_ENDPOINT_URL_CLOUDFORMATION', endpoint);
}

const open = (options: object = {}, env: NodeJS.ProcessEnv = {}, said: string[] = []): Promise<OpenStack> =>
  openStack({ state, region: 'eu-central-1', ...options }, env, (text) => said.push(text));

describe('a deployed stack', () => {
  test('is the only one whose description begins with "batchdrop:", however many others there are', async () => {
    await deployed(OTHER, FILMS);
    const stack = await open();
    expect(stack).toMatchObject({ name: 'films', kind: 'deployed', outputs: FILMS.outputs });
    expect(stack.connectionTo('dynamodb')).toEqual({ region: 'eu-central-1' });
    expect(outputOf(stack, 'TableName')).toBe('films-table');
    expect(() => requireRunning(stack)).not.toThrow();
  });

  test('is named by --stack, or else by BATCHDROP_STACK', async () => {
    await deployed(FILMS, BOOKS);
    expect(await open({ stack: 'books' }, { BATCHDROP_STACK: 'films' })).toMatchObject({ name: 'books' });
    expect(await open({}, { BATCHDROP_STACK: 'films' })).toMatchObject({ name: 'films' });
  });

  test('fails with the names of all if there are several and none is named', async () => {
    await deployed(FILMS, OTHER, BOOKS);
    await expect(open()).rejects.toThrow(
      new UsageError(
        'there are 2 batchdrop stacks in region eu-central-1: name one with --stack or BATCHDROP_STACK: books, films',
      ),
    );
  });

  test('fails with what to give if there is none, or none of that name', async () => {
    await deployed(OTHER);
    await expect(open()).rejects.toThrow(/^there is no batchdrop stack in region eu-central-1: name one/);
    await expect(open({ stack: 'films' })).rejects.toThrow(
      /^there is no stack films in region eu-central-1: name another with --stack/,
    );
  });

  test('fails with the output that is missing', async () => {
    await deployed(OTHER);
    const stack = await open({ stack: 'other' });
    expect(() => outputOf(stack, 'TableName')).toThrow(
      /^stack other has no output TableName: is it a batchdrop/,
    );
  });

  test('takes its region from the environment, as the AWS CLI does', async () => {
    await deployed(FILMS);
    const stack = await open({ region: undefined }, { AWS_DEFAULT_REGION: 'us-west-2' });
    expect(stack.connectionTo('s3')).toEqual({ region: 'us-west-2' });
  });

  test('fails with the error of AWS and what to check', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_CLOUDFORMATION', 'http://127.0.0.1:1');
    vi.stubEnv('AWS_MAX_ATTEMPTS', '1');
    const common = /^the stack cannot be looked up \(.*cloudformation:DescribeStacks/.source;
    await expect(open({ stack: 'films' })).rejects.toThrow(new RegExp(`${common}$`));
    // With the right to look at one stack only, it has to be named.
    await expect(open()).rejects.toThrow(new RegExp(`${common} for all stacks; with --stack, for one$`));
  });
});

describe('a local stack', () => {
  const LOCAL = {
    stackId: 'arn:aws:cloudformation:us-east-1:000000000000:stack/batchdrop/1',
    region: 'us-east-1',
    credentials: { accessKeyId: 'A', secretAccessKey: 'B' },
    outputs: { TableName: 'local-table', BucketName: 'local-bucket' },
    endpoints: {
      s3: 'http://127.0.0.1:2',
      dynamodb: 'http://127.0.0.1:3',
      sqs: 'http://127.0.0.1:4',
      events: 'http://127.0.0.1:5',
      secretsManager: 'http://127.0.0.1:6',
      cloudwatch: 'http://127.0.0.1:7',
      functionUrls: 'http://127.0.0.1:8',
    },
  };
  const openLocal = (said: string[] = []): Promise<OpenStack> =>
    open({ local: true, region: undefined }, {}, said);

  test('that runs is found through its state folder, with endpoints and credentials', async () => {
    await mkdir(join(state, 'aws'));
    writeRunning(state, LOCAL);
    const stack = await openLocal();
    expect(stack).toMatchObject({ name: `local stack of ${state}`, kind: 'local', outputs: LOCAL.outputs });
    expect(stack.connectionTo('sqs')).toEqual({
      region: 'us-east-1',
      credentials: LOCAL.credentials,
      endpoint: 'http://127.0.0.1:4',
    });
  });

  test('that was stopped is served from its state; what needs it running says so', async () => {
    const database = await startLocalDynamoDB(join(state, 'aws', 'dynamodb'));
    await database.close();
    const stack = await openLocal();
    onTestFinished(stack.close);
    expect(stack).toMatchObject({ kind: 'stopped', outputs: { TableName: TABLE } });
    expect(stack.connectionTo('dynamodb').endpoint).toMatch(/^http/);
    expect(() => stack.connectionTo('sqs')).toThrow(/is not running: start it with `batchdrop local up`/);
    expect(() => requireRunning(stack)).toThrow(/is not running: start it with `batchdrop local up`/);
    expect(() => outputOf(stack, 'BucketName')).toThrow(/has no BucketName: no local stack has run there/);
  });

  test('whose process is gone is named as such, once, and served from its state', async () => {
    await mkdir(join(state, 'aws'));
    writeRunning(state, LOCAL);
    // No process has a number as high.
    vi.spyOn(process, 'kill').mockImplementationOnce(() => {
      throw Object.assign(new Error('kill ESRCH'), { code: 'ESRCH' });
    });
    const said: string[] = [];
    const stack = await openLocal(said);
    await stack.close();
    expect(said).toEqual([
      `the local stack of ${state} did not end in good order: its process ${process.pid} is gone. This is what it left; \`batchdrop local up\` continues it.`,
    ]);
    expect(readRunning(state)).toBeUndefined();
    const again = await openLocal(said);
    await again.close();
    expect(said).toHaveLength(1);
  });

  test('that is not up yet keeps its state to itself', async () => {
    const folder = openStateFolder(join(state, 'aws'));
    onTestFinished(folder.release);
    await expect(openLocal()).rejects.toThrow(/is in use by another local stack/);
  });

  test('is refused if none has run there, or if a deployed one is named too', async () => {
    await expect(openLocal()).rejects.toThrow(
      new UsageError(`--state ${state}: no local stack has run there`),
    );
    await expect(open({ local: true, stack: 'films' })).rejects.toThrow(/^--local is the stack of --state/);
  });
});

test('an error of a stack names it, and what the user did wrong stays as it is', () => {
  const films = { name: 'films', kind: 'deployed' } as const;
  const missing = Object.assign(new Error('no table'), { name: 'ResourceNotFoundException' });
  expect(stackError(missing, films).message).toBe(
    'stack films cannot be used (ResourceNotFoundException): no table',
  );
  const usage = new UsageError('no');
  expect(stackError(usage, films)).toBe(usage);
});
