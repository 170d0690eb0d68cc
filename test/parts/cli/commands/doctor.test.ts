/** What a person sees of a stack in which something is wrong: in the state of a local stack that does not run. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import { openStoppedStack } from '../../../../local/stack/stopped-stack.ts';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { DynamoDBSuspensions } from '../../../../src/adapters/dynamodb/suspensions.ts';
import { createDynamoDBClient, createS3Client } from '../../../../src/runtime/clients.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { batchOf, jobOf } from '../../../support/records.ts';
import { batchdrop } from '../../../support/run-script.ts';

const JOB = 'a'.repeat(32);

test('what is wrong is said with its command and ends with 1; what a stopped stack does not serve is only looked at', async () => {
  const state = await mkdtemp(join(tmpdir(), 'batchdrop-doctor-'));
  onTestFinished(() => rm(state, { recursive: true, force: true }));
  const made = await startLocalDynamoDB(join(state, 'aws', 'dynamodb'));
  await made.close();
  const stack = await openStoppedStack(state);
  const { region, credentials, endpoints } = stack;
  const s3 = createS3Client({ region, credentials, endpoint: endpoints.s3 });
  await s3.send(new CreateBucketCommand({ Bucket: 'drops' }));
  s3.destroy();
  const client = createDynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  const jobs = new DynamoDBJobs(client, { table: TABLE });
  await jobs.createJob(jobOf(JOB, { state: 'running' }));
  await jobs.createBatch(batchOf(JOB, 0, { hold: { at: 0, reason: 'server_error' } }));
  const suspensions = new DynamoDBSuspensions(client, { table: TABLE });
  await suspensions.suspend('default/gpt-6-luna', 'model_not_found', 'created', Date.now());
  client.destroy();
  await stack.close();

  const { status, stdout } = await batchdrop('doctor', '--local', '--state', state);
  expect(status).toBe(1);
  const flags = `--local --state ${state}`;
  expect(stdout).toContain('BAD   Bucket notifications: bucket drops does not tell EventBridge');
  expect(stdout).toContain('BAD   Suspensions: default/gpt-6-luna is suspended since');
  expect(stdout).toContain(`$ batchdrop resume --scope default/gpt-6-luna ${flags}`);
  expect(stdout).toContain(`BAD   Held batches: 1 batch held for a person, of job ${JOB}: server_error`);
  expect(stdout).toContain(`$ batchdrop explain ${JOB} ${flags}`);
  expect(stdout).toMatch(/look {2}Queues: could not be looked at/);
  const json = JSON.parse((await batchdrop('doctor', '--json', '--local', '--state', state)).stdout);
  expect(json).toMatchObject({
    kind: 'stopped',
    checks: expect.arrayContaining([expect.objectContaining({ check: 'held' })]),
  });
});

test('a record of a newer version is a finding of its own: upgrade the CLI', async () => {
  const state = await mkdtemp(join(tmpdir(), 'batchdrop-doctor-'));
  onTestFinished(() => rm(state, { recursive: true, force: true }));
  const made = await startLocalDynamoDB(join(state, 'aws', 'dynamodb'));
  await made.close();
  const stack = await openStoppedStack(state);
  const { region, credentials, endpoints } = stack;
  const s3 = createS3Client({ region, credentials, endpoint: endpoints.s3 });
  await s3.send(new CreateBucketCommand({ Bucket: 'drops' }));
  s3.destroy();
  const client = createDynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  const jobs = new DynamoDBJobs(client, { table: TABLE });
  await jobs.createJob(jobOf(JOB, { state: 'running' }));
  await jobs.createBatch({ ...batchOf(JOB), v: 2 as never });
  client.destroy();
  await stack.close();

  const { status, stdout } = await batchdrop('doctor', '--local', '--state', state);
  expect(status).toBe(1);
  expect(stdout).toContain('BAD   Versions of records: a newer version of batchdrop is deployed');
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('has version 2, this deployment reads version 1');
});
