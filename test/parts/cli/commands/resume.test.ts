/** What a person sees who releases what is held: in a table over the network, and in the state of a local stack. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStateFolder } from '../../../../local/stack/state-folder.ts';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { startCloudFormation } from '../../../support/cloudformation.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { CALLER, startOperateUrl } from '../../../support/operate-url.ts';
import { batchdrop, type Finished, runScript } from '../../../support/run-script.ts';

const NOW = Date.UTC(2026, 10, 29);
const HEAD = { bucket: 'bucket', key: 'input/a.jsonl', etag: '"e"', lastModified: NOW, size: 1 };
const JOB: Job = {
  v: 1,
  jobId: 'job-1',
  input: HEAD,
  source: { bucket: 'bucket', key: 'input/a.jsonl' },
  route: defaultSettings().routes[0]!,
  state: 'running',
  createdAt: NOW,
  updatedAt: NOW,
};
const BATCH: BatchRecord = {
  v: 1,
  jobId: 'job-1',
  batchId: '0-00000',
  round: 0,
  state: 'planned',
  endpoint: '/v1/responses',
  model: 'm',
  manifestKey: 'work/m',
  requests: 2_000,
  bytes: 10,
  createdAt: NOW,
  updatedAt: NOW,
};
const HELD = { hold: { at: NOW, reason: 'server_error' }, history: { resends: 4 } };

let state: string;
let database: Awaited<ReturnType<typeof startLocalDynamoDB>>;
let jobs: DynamoDBJobs;
let operateUrl: Awaited<ReturnType<typeof startOperateUrl>>;
let cloudFormation: Awaited<ReturnType<typeof startCloudFormation>>;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'batchdrop-resume-'));
  database = await startLocalDynamoDB(join(state, 'aws', 'dynamodb'));
  jobs = new DynamoDBJobs(database.client, { table: TABLE });
  await jobs.createJob(JOB);
  await jobs.createBatch({ ...BATCH, ...HELD });
  await jobs.createBatch({ ...BATCH, batchId: '0-00001' });
  operateUrl = await startOperateUrl({ jobs, ambient: { now: Date.now, nonce: () => 'n' } });
  const stackOf = (name: string, table: string) => ({
    name,
    description: 'batchdrop: films',
    outputs: { TableName: table, BucketName: 'bucket', OperateUrl: operateUrl.url },
  });
  cloudFormation = await startCloudFormation([stackOf('films', TABLE), stackOf('gone', 'other')]);
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKIDTEST', AWS_SECRET_ACCESS_KEY: 'secret' });
});
afterEach(async () => {
  await cloudFormation.close();
  await operateUrl.close();
  await database.close().catch(() => {});
  await rm(state, { recursive: true, force: true });
});

/** The table as that of a deployed stack. */
const deployed = (...parameters: string[]): Promise<Finished> =>
  runScript('cli/main.ts', ['resume', ...parameters], {
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL_CLOUDFORMATION: cloudFormation.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: database.endpoint,
  });

test('without a job shows what is held, and releases nothing; a job releases its own, once', async () => {
  expect(await deployed('--stack', 'films')).toEqual({
    status: 0,
    stdout:
      'job-1  batch 0-00000  2,000 requests  server_error  held since 2026-11-29T00:00:00.000Z\n' +
      'Nothing was released: name jobs to release theirs, or give --all.\n',
    stderr: '',
  });
  expect(await jobs.getBatch('job-1', '0-00000')).toMatchObject(HELD);
  expect(await deployed('job-1', '--stack', 'films')).toMatchObject({
    status: 0,
    stdout: 'job-1: 1 batch released\n',
  });
  expect((await jobs.getJob('job-1'))?.acts).toMatchObject([{ action: 'resume', by: CALLER }]);
  const released = await jobs.getBatch('job-1', '0-00000');
  for (const name of Object.keys(HELD)) expect(released).not.toHaveProperty(name);
  expect(await deployed('job-1', '--stack', 'films')).toMatchObject({
    status: 0,
    stdout: 'job-1: nothing is held\n',
  });
});

test('lost batches are shown beside those that are held, and --all gives them up only where that is acknowledged', async () => {
  const hold = { reason: 'lost_batch' };
  const lost = { ...BATCH, jobId: 'job-2', batchId: '0-00002', state: 'submitted', hold } as const;
  await jobs.createJob({ ...JOB, jobId: 'job-2' });
  await jobs.createBatch({
    ...lost,
    remote: { openaiBatchId: 'batch_1', status: 'in_progress', submittedAt: NOW, statusAt: NOW },
  });
  expect((await deployed('--stack', 'films')).stdout).toBe(
    'job-1  batch 0-00000  2,000 requests  server_error  held since 2026-11-29T00:00:00.000Z\n' +
      'job-2  batch 0-00002  2,000 requests  lost_batch\n' +
      'Nothing was released: name jobs to release theirs, or give --all.\n' +
      'OpenAI does not end lost batches any more, and may have charged for them: only --may-pay-twice gives them up.\n',
  );
  expect((await deployed('--all', '--stack', 'films')).stdout).toBe(
    'job-1: 1 batch released\n' +
      'job-2: nothing is held\n' +
      '  batch 0-00002 will not end at OpenAI any more: --may-pay-twice runs its requests again, which may have been charged\n',
  );
  expect(await jobs.getBatch('job-2', '0-00002')).toMatchObject(lost);
});

test('a job or a table that does not exist is named, and ends with 1', async () => {
  const noJob = await deployed('job-2', '--stack', 'films');
  expect(noJob).toMatchObject({ status: 1, stdout: '' });
  expect(noJob.stderr).toContain('There is no job job-2 in this stack');
  const noTable = await deployed('--stack', 'gone');
  expect(noTable).toMatchObject({ status: 1, stdout: '' });
  expect(noTable.stderr).toContain('stack gone cannot be used (ResourceNotFoundException)');
});

test('--local shows what the state of a stopped local stack holds, and says that one has to run to release it', async () => {
  // One process at a time uses the folder.
  await database.close();
  const running = openStateFolder(join(state, 'aws'));
  const busy = await batchdrop('resume', '--all', '--local', '--state', state);
  expect(busy.status).toBe(1);
  expect(busy.stderr).toContain('is in use by another local stack');
  running.release();
  const stopped = await batchdrop('resume', '--all', '--local', '--state', state);
  expect(stopped.status).toBe(2);
  expect(stopped.stderr).toContain('is not running: start it with `batchdrop local up`');
  expect((await batchdrop('resume', '--local', '--state', state)).stdout).toContain('job-1  batch 0-00000');
});

test.each([
  [['--local', '--stack', 'x'], '--local is the stack of --state: leave --stack and --region out'],
  [['job-1', '--all', '--stack', 'x'], 'name jobs, or give --all, not both'],
  [['--local', '--state', '/nowhere'], 'no local stack has run there'],
])('%j is not understood', async (parameters, message) => {
  const { status, stderr } = await batchdrop('resume', ...parameters);
  expect(status).toBe(2);
  expect(stderr).toContain(message);
});
