/** `local up` as README.md says it: a process of its own, used from other processes, and ended by Ctrl-C. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ListQueuesCommand } from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createSqsClient } from '../../../src/runtime/clients.ts';
import { chatLine } from '../../support/pipeline.ts';
import { batchdrop } from '../../support/run-script.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const LONG = 400_000;
/** What happens by itself happens within seconds; machines that test may be slow. */
const PATIENCE = { timeout: 60_000, interval: 50 };

/** Starts it and waits until it is up. */
async function up(state: string) {
  const { OPENAI_API_KEY: _, OPENAI_BASE_URL: __, ...env } = process.env;
  const words = 'run -s batchdrop -- local up'.split(' ');
  // A group of its own, which gets the interrupt as a whole, as the foreground of a terminal does.
  const child = spawn('npm', [...words, '--state', state], { cwd: ROOT, env, detached: true });
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  let printed = '';
  let news = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  child.stderr.on('data', (chunk) => {
    news += chunk;
  });
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL');
    await ended;
  });
  await vi.waitFor(() => expect(printed).toContain('What it does:'), { ...PATIENCE, timeout: 120_000 });
  return {
    printed,
    /** Waits for a line of what it says that it does. */
    says: (line: RegExp) => vi.waitFor(() => expect(news).toMatch(line), PATIENCE),
    /** Ctrl-C, which npm gets as well. Waits until nothing of it runs. @returns whether the stack has ended in order. */
    async interrupt(): Promise<boolean> {
      process.kill(-child.pid!, 'SIGINT');
      await ended;
      return !existsSync(join(state, 'running.json'));
    },
  };
}

/** What it printed of a service, an environment variable or the bucket. */
function found(printed: string, pattern: RegExp): string {
  return pattern.exec(printed)![1]!;
}

test('local up says what begins, waits, ends, is rejected, ignored or suspended, and others work with it until Ctrl-C', {
  timeout: LONG,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-up-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const state = join(dir, 'state');
  const stack = await up(state);
  const { printed, says } = stack;
  const command = (...words: string[]) => batchdrop(...words, '--local', '--state', state);
  const credentials = {
    accessKeyId: found(printed, /AWS_ACCESS_KEY_ID=(\S+)/),
    secretAccessKey: found(printed, /AWS_SECRET_ACCESS_KEY=(\S+)/),
  };
  const region = found(printed, /AWS_DEFAULT_REGION=(\S+)/);
  const endpoint = found(printed, /S3 +(http:\S+)/);
  const s3 = new S3Client({ endpoint, region, credentials });
  onTestFinished(() => s3.destroy());
  const Bucket = found(printed, /bucket (\S+)/);
  const put = (Key: string, Body: string) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from(Body) }));
  const openai = found(printed, /OpenAI +(http:\S+?)\/?v1? /);
  const faults = (rules: object[]) =>
    fetch(new URL('/emulator/faults', openai), { method: 'POST', body: JSON.stringify({ rules }) });

  // Where everything is.
  const sqs = createSqsClient({ region, credentials, endpoint: found(printed, /SQS +(http:\S+)/) });
  const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({}));
  sqs.destroy();
  expect(QueueUrls.length).toBeGreaterThan(5);
  expect(await readdir(found(printed, /Logs +(\S+)/))).not.toEqual([]);

  // A job begins and ends; another process drops it and waits for it.
  const file = join(dir, 'films.jsonl');
  await writeFile(file, chatLine('a'));
  const submitted = await command('submit', file, '--wait');
  expect(submitted).toMatchObject({ status: 0 });
  await says(/^\d\d:\d\d:\d\d {2}input\/films\.jsonl {2}began \(route default, \d+ bytes\)$/m);
  await says(/input\/films\.jsonl {2}ended, succeeded: 1 of 1 request succeeded$/m);
  expect((await command('jobs')).stdout).toMatch(/^succeeded .*input\/films\.jsonl/m);

  // One waits, for a person.
  expect(await command('pause', '--reason', 'a look', '--yes')).toMatchObject({ status: 0 });
  await says(/the stack is paused by arn:aws:\S+: nothing new of it is sent until `batchdrop unpause`$/m);
  await put('input/waits.jsonl', chatLine('b'));
  await says(/1 batch waits for the end of a pause \(`batchdrop unpause`\)$/m);
  expect((await command('explain', 'input/waits.jsonl')).stdout).toContain('a look');
  expect(await command('unpause')).toMatchObject({ status: 0 });
  await says(/input\/waits\.jsonl {2}ended, succeeded/);

  // What is not run says why.
  await put('input/broken.jsonl', '');
  await says(/input\/broken\.jsonl {2}rejected \(\w+\): nothing of it is sent; its receipt says why$/m);
  await put('input/_draft.jsonl', chatLine('c'));
  await says(/input\/_draft\.jsonl {2}ignored: it matches a glob in ignore of route "default"$/m);
  await put('elsewhere/a.jsonl', chatLine('c'));
  await says(/elsewhere\/a\.jsonl {2}ignored: routes take keys below input\/$/m);
  expect((await command('jobs', '--ignored')).stdout).toMatch(/^ignored .*input\/_draft\.jsonl/m);

  // OpenAI refuses the key.
  const body = {
    error: { code: 'invalid_api_key', type: 'invalid_request_error', message: 'no', param: null },
  };
  await faults([{ effect: { kind: 'http.status', status: 401, body } }]);
  await put('input/refused.jsonl', chatLine('d'));
  await says(/default {2}suspended \(invalid_api_key\): its batches wait until a person has fixed this$/m);
  await faults([]);
  expect(await command('resume', '--scope', 'default')).toMatchObject({ status: 0 });
  await says(/input\/refused\.jsonl {2}ended, succeeded/);

  // It ends in good order, and what it has stored can still be read; the next one is at the same ports.
  expect(await stack.interrupt()).toBe(true);
  const stopped = await command('jobs');
  expect(stopped.stdout).toMatch(/^succeeded .*input\/refused\.jsonl/m);
  expect((await command('pause', '--yes')).stderr).toContain(
    'is not running: start it with `batchdrop local up`',
  );
  const again = await up(state);
  expect(found(again.printed, /S3 +(http:\S+)/)).toBe(endpoint);
  expect(await again.interrupt()).toBe(true);
});
