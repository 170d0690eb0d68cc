/** What a person sees who asks why a job waits: in the state of a local stack, by id and by key. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStoppedStack } from '../../../../local/stack/stopped-stack.ts';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { createDynamoDBClient, createS3Client } from '../../../../src/runtime/clients.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { batchOf, jobOf } from '../../../support/records.ts';
import { batchdrop } from '../../../support/run-script.ts';

const JOB = 'a'.repeat(32);
let state: string;

beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'batchdrop-explain-'));
  const made = await startLocalDynamoDB(join(state, 'aws', 'dynamodb'));
  await made.close();
  const stack = await openStoppedStack(state);
  const { region, credentials, endpoints } = stack;
  const s3 = createS3Client({ region, credentials, endpoint: endpoints.s3 });
  await s3.send(new CreateBucketCommand({ Bucket: 'drops' }));
  await s3
    .send(new PutObjectCommand({ Bucket: 'drops', Key: 'input/new.jsonl', Body: '{}\n' }))
    .catch(() => {});
  s3.destroy();
  const client = createDynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  const jobs = new DynamoDBJobs(client, { table: TABLE });
  await jobs.createJob(jobOf(JOB, { state: 'running' }));
  await jobs.createBatch(batchOf(JOB, 0, { hold: { at: 0, reason: 'server_error' } }));
  client.destroy();
  await stack.close();
});
afterEach(() => rm(state, { recursive: true, force: true }));

const explain = (...parameters: string[]) => batchdrop('explain', ...parameters, '--local', '--state', state);

test('a held job is explained by its id, with the command that names the stack; --json has the same as data', async () => {
  const { status, stdout } = await explain(JOB);
  expect(status).toBe(0);
  expect(stdout).toContain('held for a person: OpenAI refused it with code server_error');
  expect(stdout).toContain(`$ batchdrop resume ${JOB} --local --state ${state}`);
  const json = JSON.parse((await explain(JOB, '--json')).stdout);
  expect(json).toMatchObject({ jobId: JOB, waits: [{ code: 'held', batches: 1, requests: 3, since: 0 }] });
});

test('a key that is not there is named, and ends with 1; a key without a job says so', async () => {
  const { status, stderr } = await explain('input/none.jsonl');
  expect(status).toBe(1);
  expect(stderr).toContain(
    'there is no job input/none.jsonl in this stack, and no object of that key in bucket drops',
  );
  expect((await explain('s3://other/input/none.jsonl')).stderr).toContain(
    'not in the bucket of this stack, drops',
  );
  const unseen = await explain('input/new.jsonl');
  expect(unseen.stdout).toContain('no job is recorded for the object yet');
});
