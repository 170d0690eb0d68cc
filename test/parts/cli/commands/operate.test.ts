/** What a person sees who decides something about a job or a stack: the question, what was done, and why not. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { cancel, forget, lift, pause, retry, unpause } from '../../../../cli/commands/operate.ts';
import { RefusedByStackError } from '../../../../cli/options/operate.ts';
import { CannotRunError, UsageError } from '../../../../cli/view/exit.ts';
import { DynamoDBJobGraves } from '../../../../src/adapters/dynamodb/job-graves.ts';
import { DynamoDBJobIndex } from '../../../../src/adapters/dynamodb/job-index.ts';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import type { Receipt } from '../../../../src/contract/receipt.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { jobIdOf } from '../../../../src/core/model/job-id.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { startCloudFormation } from '../../../support/cloudformation.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { noHeartbeat } from '../../../support/memory/heartbeat.ts';
import { MemoryObjects } from '../../../support/memory/objects.ts';
import { MemoryOutbox } from '../../../support/memory/outbox.ts';
import { MemoryPauses } from '../../../support/memory/pauses.ts';
import { MemorySuspensions } from '../../../support/memory/suspensions.ts';
import { CALLER, startOperateUrl } from '../../../support/operate-url.ts';
import { receiptOf } from '../../../support/receipts.ts';
import { batchOf, jobOf } from '../../../support/records.ts';
import { runScript } from '../../../support/run-script.ts';
import { printed } from '../../../support/stopped-state.ts';

const [LIVE, DONE, NONE] = ['a', 'b', 'c'].map((digit) => digit.repeat(32)) as [string, string, string];
const KEY = 'input/films.jsonl';
const OPTIONS = { stack: 'films', state: '/nowhere' };
const YES = { ...OPTIONS, yes: true };

let stop: (() => Promise<void>)[];
let jobs: DynamoDBJobs;
let objects: MemoryObjects;
let env: Record<string, string>;
beforeEach(async () => {
  const database = await startLocalDynamoDB();
  const names = { table: TABLE };
  jobs = new DynamoDBJobs(database.client, names);
  const ambient = { now: Date.now, nonce: () => 'n' };
  objects = new MemoryObjects({ bucket: 'b' }, ambient);
  const operateUrl = await startOperateUrl({
    bucket: 'b',
    settings: defaultSettings(),
    rules: OPENAI_RULES,
    jobs,
    graves: new DynamoDBJobGraves(database.client, names),
    index: new DynamoDBJobIndex(database.client, names),
    pauses: new MemoryPauses(),
    suspensions: new MemorySuspensions(),
    objects,
    inputs: objects,
    erasure: objects,
    outbox: new MemoryOutbox(),
    heartbeat: noHeartbeat,
    ambient,
  });
  const cloudFormation = await startCloudFormation([
    {
      name: 'films',
      description: 'batchdrop: films',
      outputs: { TableName: TABLE, BucketName: 'b', OperateUrl: operateUrl.url },
    },
    { name: 'old', description: 'batchdrop: old', outputs: { TableName: TABLE, BucketName: 'b' } },
  ]);
  stop = [cloudFormation.close, operateUrl.close, database.close];
  env = {
    AWS_ACCESS_KEY_ID: 'AKIDTEST',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL_CLOUDFORMATION: cloudFormation.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: database.endpoint,
  };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const each of stop) await each();
});

async function liveJob(): Promise<void> {
  const job = jobOf(LIVE, { state: 'running' });
  await jobs.createJob({ ...job, input: { ...job.input, key: KEY } });
  await jobs.createBatch(batchOf(LIVE));
}

/** A job that has ended, of which some requests did not succeed. */
async function endedJob(changes: Partial<Job> = {}, stated: Partial<Receipt> = {}): Promise<void> {
  const files = { retry: 'retry/films.jsonl', receipt: 'receipts/films.json' };
  const { input } = jobOf(DONE);
  const ended = { state: 'completed', result: 'partial', receiptKey: files.receipt } as const;
  await jobs.createJob(jobOf(DONE, { input: { ...input, bucket: 'b', key: KEY }, ...ended, ...changes }));
  await objects.put(files.retry, Buffer.from('{"custom_id":"a"}\n'), { contentType: 'application/jsonl' });
  const receipt = receiptOf({ jobId: DONE, result: 'partial', files, ...stated });
  await objects.put(files.receipt, Buffer.from(JSON.stringify(receipt)), { contentType: 'application/json' });
}

/** One request of the job failed without a sure answer. */
const UNSURE: Partial<Receipt> = {
  errorsByCode: { no_answer: 1 },
  counts: { requests: 2, succeeded: 1, failed: 1, invalid: 0 },
  cost: { ...receiptOf().cost, possibleUsd: '0.02' },
};

/** A person at a terminal, who answers each question so. @returns what they were asked. */
function person(answer: string): () => string {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  let asked = '';
  const spies = [
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(stdin as unknown as typeof process.stdin),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      if (`${text}`.includes('[y/N]')) stdin.write(`${answer}\n`);
      asked += text;
      return true;
    }),
  ];
  onTestFinished(() => spies.forEach((spy) => void spy.mockRestore()));
  return () => asked;
}

/** S3, as far as it says which version of an object is the newest. @returns its URL. */
async function startHead(version: () => string): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, {
      etag: '"e"',
      'last-modified': new Date(0).toUTCString(),
      'x-amz-version-id': version(),
    });
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stop.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a job is cancelled for a reason once the person says yes, and what was done is kept with it', async () => {
  await liveJob();
  const [asked, lines] = [person('y'), printed()];
  expect(await cancel(LIVE, { ...OPTIONS, reason: 'wrong file' })).toBe(0);
  expect(asked()).toContain(
    `Cancel job ${LIVE} (${KEY})? What is finished is kept; the rest is not sent. [y/N] `,
  );
  expect(lines).toEqual([
    `${LIVE} (${KEY}) is being cancelled: its receipt follows once what is at OpenAI has ended.`,
  ]);
  const job = await jobs.getJob(LIVE);
  expect(job?.acts).toMatchObject([{ action: 'cancel', by: CALLER, reason: 'wrong file' }]);
});

test('without a yes nothing is changed', async () => {
  await liveJob();
  await endedJob();
  person('n');
  const lines = printed();
  expect(await cancel(LIVE, OPTIONS)).toBe(0);
  expect(await forget(DONE, OPTIONS)).toBe(0);
  expect(await pause(undefined, OPTIONS)).toBe(0);
  expect(lines).toEqual(['Nothing was done.', 'Nothing was done.', 'Nothing was done.']);
  expect((await jobs.getJob(LIVE))?.cancelledAt).toBeUndefined();
  expect(await jobs.getJob(DONE)).toBeDefined();
  expect(await unpause(undefined, OPTIONS)).toBe(0);
  expect(lines.at(-1)).toBe('It was not paused.');
});

test('where nobody can answer, --yes is asked for, and nothing is done', async () => {
  await liveJob();
  await endedJob();
  for (const act of [
    () => cancel(LIVE, OPTIONS),
    () => forget(DONE, OPTIONS),
    () => pause('default', OPTIONS),
  ]) {
    const error = await act().catch((refused: unknown) => refused);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(/\? .* Give --yes, since nobody is there to answer\.$/);
  }
  expect((await jobs.getJob(LIVE))?.acts).toBeUndefined();
});

test('a job that has ended is not cancelled, and a program reads so as JSON', async () => {
  await endedJob();
  const lines = printed();
  expect(await cancel(DONE, YES)).toBe(0);
  expect(lines).toEqual([`${DONE} (${KEY}) had ended already: nothing was cancelled.`]);
  lines.length = 0;
  expect(await cancel(DONE, { ...YES, json: true })).toBe(0);
  expect(JSON.parse(lines[0]!)).toEqual({
    v: 1,
    ok: true,
    action: 'cancel',
    state: 'ended',
    duplicates: [],
  });
});

test('with a job its duplicates are named', async () => {
  await liveJob();
  await jobs.createJob(jobOf(NONE, { state: 'duplicate', duplicateOf: LIVE }));
  await jobs.addDuplicate(LIVE, NONE);
  const lines = printed();
  expect(await cancel(LIVE, { ...YES, runDuplicates: true })).toBe(0);
  expect(lines[0]).toMatch(new RegExp(` It had duplicates: ${NONE}\\.$`));
  expect((await jobs.getJob(LIVE))?.duplicatesRun).toBe(true);
});

test('a retry says what it was dropped as; the same number again makes no second one', async () => {
  await endedJob();
  const lines = printed();
  const key = (number: number) => `input/films.retry-${number}-of-${DONE}.jsonl`;
  expect(await retry(DONE, OPTIONS)).toBe(0);
  expect(await retry(DONE, OPTIONS)).toBe(0);
  await expect(retry(DONE, { ...OPTIONS, number: 2 })).rejects.toThrow(
    `Retry 1 of job ${DONE} was dropped before, as ${key(1)}, with the same requests`,
  );
  expect(await retry(DONE, { ...OPTIONS, number: 2, mayPayTwice: true, json: true })).toBe(0);
  expect(lines.slice(0, 2)).toEqual([
    `What did not succeed of ${DONE} (${KEY}) was dropped as ${key(1)}.`,
    `It was dropped before, as ${key(1)}. For what did not succeed of that, once it has ended: batchdrop retry ${key(1)}.`,
  ]);
  expect(JSON.parse(lines[2]!)).toMatchObject({ action: 'retry', state: 'dropped', key: key(2), number: 2 });
});

test('what may have been charged is retried only for a person who says so, and --yes does not', async () => {
  await endedJob({}, UNSURE);
  const lines = printed();
  const asked = person('n');
  expect(await retry(DONE, YES)).toBe(0);
  expect(asked()).toContain(
    '1 request of job ' +
      `${DONE} failed without a sure answer and may have been charged (at most 0.02 USD): a retry pays for it again. ` +
      'Say that this is meant. Retry all the same? [y/N] ',
  );
  expect(lines).toEqual(['Nothing was done.']);
  expect((await jobs.getJob(DONE))?.retries).toBeUndefined();
  vi.restoreAllMocks();
  await expect(retry(DONE, YES)).rejects.toThrow(/Retry all the same\? Give --may-pay-twice, since nobody/);
});

test('what may have been charged is retried with --may-pay-twice, or after a yes', async () => {
  await endedJob({}, UNSURE);
  const lines = printed();
  expect(await retry(DONE, { ...OPTIONS, mayPayTwice: true })).toBe(0);
  person('yes');
  expect(await retry(DONE, { ...OPTIONS, number: 2 })).toBe(0);
  expect(lines.map((line) => /retry-(\d)-of/.exec(line)?.[1])).toEqual(['1', '2']);
});

test('a route or the stack is paused by somebody for a reason, once, and the command that ends it is named', async () => {
  const lines = printed();
  expect(await pause('default', { ...YES, reason: 'OpenAI is slow' })).toBe(0);
  expect(await pause('default', YES)).toBe(0);
  expect(await unpause('default', OPTIONS)).toBe(0);
  expect(await unpause('default', OPTIONS)).toBe(0);
  expect(await pause(undefined, YES)).toBe(0);
  expect(await unpause(undefined, { ...OPTIONS, json: true })).toBe(0);
  expect(lines).toEqual([
    'Paused: route default. End it with: batchdrop unpause default --stack films',
    expect.stringMatching(`^It was paused before, by ${CALLER} at \\d{4}-.*Z: OpenAI is slow\\.$`),
    'The next poll sends what waits.',
    'It was not paused.',
    'Paused: all of stack films. End it with: batchdrop unpause --stack films',
    '{"v":1,"ok":true,"action":"unpause","state":"unpaused"}',
  ]);
});

test('a pause asks with what it does', async () => {
  const asked = person('y');
  const lines = printed();
  expect(await pause('default', { ...OPTIONS, json: true })).toBe(0);
  expect(asked()).toContain(
    'Pause route default? Nothing new is sent until `batchdrop unpause`; deadlines go on. [y/N] ',
  );
  expect(JSON.parse(lines[0]!)).toMatchObject({ state: 'paused', pause: { route: 'default', by: CALLER } });
});

test('a job is forgotten once the person says yes; again, it is said since when it is', async () => {
  await endedJob();
  const [asked, lines] = [person('y'), printed()];
  expect(await forget(DONE, OPTIONS)).toBe(0);
  expect(asked()).toContain(
    `Forget job ${DONE} (${KEY})? Its input, results, receipt and records are removed for good, with their older versions. [y/N] `,
  );
  expect(await forget(DONE, YES)).toBe(0);
  expect(await forget(DONE, { ...YES, json: true })).toBe(0);
  expect(lines.slice(0, 2)).toEqual([
    `Job ${DONE} is forgotten.`,
    expect.stringMatching(`^Job ${DONE} is forgotten \\(it was already, \\d{4}-.*Z\\)\\.$`),
  ]);
  expect(JSON.parse(lines[2]!)).toMatchObject({ action: 'forget', state: 'forgotten_before' });
  expect(objects.keys()).toEqual([]);
});

test('what is not removed with a job is named, each with what removes it', async () => {
  const retry = 'retry-1-of-x.jsonl';
  await endedJob({
    retries: [{ number: 1, key: retry, at: 1 }],
    filesLeft: [{ id: 'file-1', apiKey: 'ads' }],
  });
  await objects.put(retry, Buffer.from('{}'));
  await objects.put(`${KEY}.options.json`, Buffer.from('{}'));
  await jobs.addDuplicate(DONE, NONE);
  await jobs.createJob(jobOf(NONE, { state: 'duplicate', result: 'duplicate', receiptKey: 'r' }));
  const lines = printed();
  expect(await forget(DONE, YES)).toBe(0);
  const retried = jobIdOf((await objects.head('b', retry))!);
  expect(lines[0]!.split('\n')).toEqual([
    `Job ${DONE} is forgotten.`,
    `A retry of it has the same requests (${retry}). Remove it with: batchdrop forget ${retried}`,
    `The receipt of its duplicate names its files (${(await jobs.getJob(NONE))!.input.key}). Remove it with: batchdrop forget ${NONE}`,
    `${KEY}.options.json was left: a file that comes next may be meant. Remove it yourself if none is.`,
    'OpenAI still had file file-1 when the job ended (API key ads). It goes there after 30 days at the latest; at once with: curl -X DELETE https://api.openai.com/v1/files/file-1 -H "Authorization: Bearer $OPENAI_API_KEY"',
  ]);
});

test('by its key a job is forgotten only if a person is asked, who reads its id: repeated, the key means an older job', async () => {
  const input = { ...jobOf(NONE).input, bucket: 'b', key: KEY };
  const ended = { state: 'completed', result: 'succeeded', receiptKey: 'receipts/films.json' } as const;
  const versions = ['v2', 'v1'];
  const newest = jobIdOf({ ...input, versionId: 'v2' });
  const older = jobIdOf({ ...input, versionId: 'v1' });
  for (const jobId of [newest, older]) await jobs.createJob(jobOf(jobId, { input, ...ended }));
  vi.stubEnv('AWS_ENDPOINT_URL_S3', await startHead(() => versions[0]!));
  const refused = await forget(KEY, YES).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(UsageError);
  expect((refused as Error).message).toContain(`batchdrop forget ${newest} --yes`);
  expect(await jobs.getJob(newest)).toBeDefined();
  const [asked, lines] = [person('y'), printed()];
  expect(await forget(KEY, OPTIONS)).toBe(0);
  expect(asked()).toContain(`Forget job ${newest} (${KEY})?`);
  // The older version is current now: what was typed before is refused, and the id repeated touches nothing of it.
  versions.shift();
  await expect(forget(KEY, YES)).rejects.toThrow(`batchdrop forget ${older} --yes`);
  expect(await forget(newest, YES)).toBe(0);
  expect(lines).toEqual([`Job ${newest} is forgotten.`, expect.stringContaining('it was already')]);
  expect(await jobs.getJob(older)).toBeDefined();
});

test('a scope that is not suspended is said to be none', async () => {
  const lines = printed();
  expect(await lift('ads', OPTIONS)).toBe(0);
  expect(lines).toEqual(['ads is not suspended.']);
});

test.each<[string, () => Promise<void>, () => Promise<number>, string, RegExp]>([
  ['cancel of no job', liveJob, () => cancel(NONE, YES), 'no_such_job', /There is no job c+ in this stack/],
  [
    'retry of a live job',
    liveJob,
    () => retry(LIVE, YES),
    'job_is_live',
    /is running and has no receipt yet/,
  ],
  [
    'retry of one that succeeded',
    () => endedJob({ result: 'succeeded' }),
    () => retry(DONE, YES),
    'nothing_to_retry',
    /succeeded: there is nothing to retry/,
  ],
  [
    'retry of one that was rejected whole',
    () => endedJob({ state: 'rejected', result: 'rejected' }),
    () => retry(DONE, YES),
    'nothing_to_retry',
    /was rejected whole: fix the file/,
  ],
  [
    'retry of a duplicate',
    () => endedJob({ state: 'duplicate', result: 'duplicate', duplicateOf: NONE }),
    () => retry(DONE, YES),
    'nothing_to_retry',
    /is a duplicate and ran nothing: retry job c+/,
  ],
  [
    'retry of one whose results are another job’s',
    () => endedJob({}, { jobId: NONE }),
    () => retry(DONE, YES),
    'results_replaced',
    /retry file of job b+ is not there any more/,
  ],
  [
    'retry of one that is being removed',
    () => endedJob({ forgettingAt: 1 }),
    () => retry(DONE, YES),
    'job_is_forgotten',
    /is being removed/,
  ],
  ['forget of a live job', liveJob, () => forget(LIVE, YES), 'job_is_live', /cancel it, and forget it once/],
  [
    'forget of one that a worker has',
    () => endedJob({ lease: { until: Date.now() + 60_000, holder: 'other' } }),
    () => forget(DONE, YES),
    'busy',
    /repeat this in three minutes/,
  ],
  [
    'pause of no route',
    liveJob,
    () => pause('ads', YES),
    'no_such_route',
    /no route "ads".*there are: default/,
  ],
])('%s is refused with what the stack says of it', async (_what, given, act, code, message) => {
  await given();
  const lines = printed();
  const error = await act().catch((refused: unknown) => refused);
  expect(error).toBeInstanceOf(RefusedByStackError);
  expect((error as RefusedByStackError).refusal.code).toBe(code);
  expect((error as Error).message).toMatch(message);
  expect(lines).toEqual([]);
});

test('a stack of a release without the function of operators, and other credentials, are named', async () => {
  await expect(unpause(undefined, { ...OPTIONS, stack: 'old' })).rejects.toThrow(
    new UsageError(
      'stack old has no output OperateUrl: is it a batchdrop stack, and deployed with a version that has it?',
    ),
  );
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong');
  await expect(unpause(undefined, OPTIONS)).rejects.toThrow(
    /^stack films cannot be used: AWS refused the call \(403: .*\): it takes lambda:InvokeFunctionUrl/,
  );
});

test('a key that the stack does not know is refused before the stack is asked', async () => {
  await expect(cancel('s3://other/films.jsonl', YES)).rejects.toThrow(CannotRunError);
});

test('the exit status is 0 for what was done, 1 for what is refused, 2 for what nobody answers', async () => {
  await liveJob();
  const run = async (...parameters: string[]) => {
    const { status, stdout, stderr } = await runScript(
      'cli/main.ts',
      [...parameters, '--stack', 'films'],
      env,
    );
    return [status, stdout, stderr];
  };
  expect(await run('retry', LIVE)).toEqual([
    1,
    '',
    `batchdrop: Job ${LIVE} is running and has no receipt yet: wait for it, or cancel it first.\n`,
  ]);
  expect(await run('forget', LIVE)).toEqual([2, '', expect.stringContaining('Give --yes')]);
  expect(await run('pause', '--yes')).toEqual([0, expect.stringContaining('Paused: all of'), '']);
  expect(await run('unpause', '--json')).toEqual([0, expect.stringContaining('"unpaused"'), '']);
  expect(await run('cancel', LIVE, '--yes')).toEqual([0, expect.stringContaining('is being cancelled'), '']);
});
