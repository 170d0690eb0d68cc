/** What an operator does with a running local stack, command by command. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalPipeline, startLocalPipeline } from '../../../local/stack/pipeline.ts';
import { createSqsClient } from '../../../src/runtime/clients.ts';
import { batchdrop, type Finished } from '../../support/run-script.ts';

const LONG = 180_000;
let dir: string;
let state: string;
let pipeline: LocalPipeline;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'batchdrop-operating-'));
  state = join(dir, 'state');
  pipeline = await startLocalPipeline({ stateDir: state });
}, LONG);
afterAll(async () => {
  await pipeline.stop();
  await rm(dir, { recursive: true, force: true });
}, LONG);

const command = (...parameters: string[]): Promise<Finished> =>
  batchdrop(...parameters, '--local', '--state', state);

const line = (customId: string, model = 'gpt-4.1-mini'): string =>
  `${JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model, messages: [{ role: 'user', content: 'A film?' }] },
  })}\n`;

test('submit drops a folder, waits, and saves the results of all; results prints them again', {
  timeout: LONG,
}, async () => {
  const films = join(dir, 'films');
  for (const folder of ['new', 'old']) {
    await mkdir(join(films, folder), { recursive: true });
    await writeFile(join(films, folder, 'a.jsonl'), line(folder));
  }
  const out = join(dir, 'out');
  const submitted = await command('submit', films, '--out', out);
  expect(submitted.stderr).toContain(`${films}/new/a.jsonl  ->  s3://`);
  expect(submitted.status).toBe(0);
  expect(submitted.stdout).toContain('input/old/a.jsonl: succeeded');
  const saved = await readFile(join(out, 'output/new/a.jsonl'), 'utf8');
  expect(JSON.parse(saved).custom_id).toBe('new');
  const printed = await command('results', 'input/new/a.jsonl');
  expect(printed).toEqual({ status: 0, stdout: saved, stderr: '' });
  const none = await command('results', 'input/new/a.jsonl', '--file', 'errors');
  expect(none.status).toBe(1);
  expect(none.stderr).toContain('has no file of errors: give --file output or receipt, or --out for all');
});

test('standard input is dropped under a name, and watch ends with the status of its receipt', {
  timeout: LONG,
}, async () => {
  const child = execFile(process.execPath, [
    resolve('cli/main.ts'),
    ...['submit', '-', '--name', 'mixed.jsonl', '--wait', '--json', '--local', '--state', state],
  ]);
  const stdout = Array.fromAsync(child.stdout!);
  child.stdin!.end(`${line('good')}this is no JSON\n`);
  const [status] = await new Promise<[number | null]>((done) => child.once('close', (code) => done([code])));
  const receipt = JSON.parse((await stdout).join(''));
  expect(receipt).toMatchObject({ result: 'partial', input: { key: 'input/mixed.jsonl' } });
  expect(status).toBe(3);
  const watched = await command('watch', receipt.jobId);
  expect(watched.status).toBe(3);
  expect(watched.stderr).toMatch(/^\d{4}-\S+Z {2}done {2}input\/mixed\.jsonl\n$/);
  expect(watched.stdout).toContain('input/mixed.jsonl: partial');
});

test('redrive sends dead letters again by the short name of their queue, and limits tells what is known', {
  timeout: LONG,
}, async () => {
  const { resources } = pipeline.stack;
  const sqs = createSqsClient({
    region: pipeline.stack.region,
    credentials: pipeline.stack.credentials,
    endpoint: pipeline.stack.endpoints.sqs,
  });
  // One that names no job: the function drops it.
  const QueueUrl = resources.queues['collect-dead-letters']!.url;
  const MessageBody = JSON.stringify({ v: 1, jobId: 'none', batchId: '0-00000' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  expect((await command('redrive')).stdout).toMatch(/^collect +0 +0 +0 +1$/m);
  const shown = await command('redrive', 'collect', '--show');
  expect(shown.stdout).toMatch(/^\d+ \S+ ago +1 {2}jobId=none batchId=0-00000 +[0-9a-f-]{36}$/m);
  const redriven = await command('redrive', 'collect', '--json');
  expect(JSON.parse(redriven.stdout)).toEqual({ queue: 'collect', moved: 1 });
  expect((await command('redrive', 'collect')).stdout).toBe('0 dead letters of collect sent again.\n');
  const deadUrl = resources.queues['ingest-dead-letters']!.url;
  await sqs.send(new SendMessageCommand({ QueueUrl: deadUrl, MessageBody: '{"v":9,"secret":1}' }));
  for (const receives of [1, 2]) {
    const [read] = JSON.parse((await command('redrive', 'ingest', '--show', '--json')).stdout).shown;
    expect(read).toMatchObject({ receives, about: null });
  }
  const told = await command('redrive', 'ingest', '--show');
  expect(told.stdout).toContain('not understood by this release');
  expect(told.stdout).not.toContain('secret');
  expect((await command('redrive', '--show')).status).toBe(2);
  const again = await command('redrive', 'ingest');
  expect(again.stdout).toContain('1 dead letter of ingest sent again.\nWhat fails again comes back');
  expect(again.stdout).toContain('`batchdrop redrive ingest --show --local');
  // The function does not understand it either: it is a dead letter again.
  await expect.poll(() => pipeline.deadLetters(), { timeout: LONG }).toEqual(['ingest-dead-letters']);
  // As the runbook deletes it.
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: deadUrl, VisibilityTimeout: 30, WaitTimeSeconds: 1 }),
  );
  const ReceiptHandle = Messages[0]!.ReceiptHandle;
  await sqs.send(new DeleteMessageCommand({ QueueUrl: deadUrl, ReceiptHandle }));
  const emptied = await command('redrive', 'ingest', '--show');
  expect(emptied.stdout).toBe('No dead letter of ingest can be received now.\n');
  const unknown = await command('redrive', 'none');
  expect(unknown.status).toBe(2);
  expect(unknown.stderr).toContain('name ingest, submit, call, collect, finalize');
  sqs.destroy();
  const limits = JSON.parse((await command('limits', 'gpt-4.1-mini', '--json')).stdout);
  expect(limits.queues).toMatchObject([{ apiKey: 'default', model: 'gpt-4.1-mini', reserved: 0 }]);
  expect(limits.budgets[0]).toMatchObject({ of: 'the month', reserved: 0 });
});

test('doctor finds nothing wrong with a sound stack; logs tells what became of a job', {
  timeout: LONG,
}, async () => {
  const doctor = await command('doctor', '--json');
  expect(doctor.status).toBe(0);
  const { checks } = JSON.parse(doctor.stdout) as { checks: { findings: { level: string }[] }[] };
  expect(checks.flatMap(({ findings }) => findings).filter(({ level }) => level !== 'ok')).toEqual([]);
  const logs = await command('logs', 'input/mixed.jsonl');
  expect(logs.stdout).toMatch(/ingest .*A job was recorded for the file/);
  expect(logs.stdout).toMatch(/finalize .*The job has ended/);
});
