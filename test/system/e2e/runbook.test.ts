/**
 * A person on call with the runbook: every kind of command of batchdrop that it names, typed for real at a stack with
 * an OpenAI behind it. `webhook` is tried in test/parts/cli/commands/webhook.test.ts.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { writeRunning } from '../../../local/stack/running-file.ts';
import { createSqsClient } from '../../../src/runtime/clients.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { batchdrop, type Finished } from '../../support/run-script.ts';

const RUNBOOK = readFileSync(join(import.meta.dirname, '../../../docs/runbook.md'), 'utf8');
/** OpenAI refuses every other key. */
const API_KEYS = { 'sk-old': 'proj_films', 'sk-new': 'proj_films' };
/** OpenAI refuses one request, for as long as this is in force. */
const REFUSED = [{ match: { custom_id: '^bad$' }, effect: { kind: 'line.status' as const, status: 400 } }];

/** Commands that read files and tables alone. */
const OF_NO_STACK = new Set(['plan', 'prices']);

/** OpenAI has revoked the key. */
const REVOKED = [
  {
    match: { key: '^sk-old$' },
    effect: {
      kind: 'http.status' as const,
      status: 401,
      body: {
        error: {
          code: 'invalid_api_key',
          type: 'invalid_request_error',
          message: 'Incorrect key',
          param: null,
        },
      },
    },
  },
];
/** OpenAI works on no batch until it is cancelled. */
const STUCK = [{ effect: { kind: 'batch.stuck' as const, state: 'in_progress' as const } }];
/** Commands sign with the machine's clock, which therefore is the stack's: OpenAI takes no time. */
const AT_ONCE = {
  validatingMs: 0,
  startMs: 0,
  perRequestMs: 0,
  perFurtherRequestMs: 0,
  finalizingMs: 0,
  cancellingMs: 0,
};

async function started() {
  const parts = await startEmulatedStack({
    apiKeys: API_KEYS,
    keys: { default: 'sk-old' },
    timings: AT_ONCE,
  });
  writeRunning(parts.dir, parts.stack());
  /** Kinds of commands that were typed. */
  const typed = new Set<string>();
  const run = async (...words: string[]): Promise<Finished> => {
    typed.add(words[0]!);
    return batchdrop(...words, ...(OF_NO_STACK.has(words[0]!) ? [] : ['--local', '--state', parts.dir]));
  };
  return {
    ...parts,
    typed,
    run,
    /** Types a command that has to end so. @returns what it printed. */
    async type(status: number, ...words: string[]): Promise<string> {
      const finished = await run(...words);
      expect(finished, words.join(' ')).toMatchObject({ status });
      return finished.stdout + finished.stderr;
    },
    /** Polls until the job has its receipt. @returns the receipt's result. */
    async untilEnded(key: string): Promise<string> {
      for (let polls = 0; polls < 24; polls++) {
        const { status, stdout } = await run('receipt', key, '--json');
        if (status !== 1) return JSON.parse(stdout).result;
        await parts.poll(0);
      }
      throw new Error(`${key} did not end in 24 polls`);
    },
    /** Drops a file of these requests as `submit` does. @returns its key. */
    async submit(name: string, ids: readonly string[]): Promise<string> {
      const file = join(parts.dir, `${name}.jsonl`);
      await writeFile(file, ids.map((id) => chatLine(id, { content: `${name} ${id}` })).join('\n'));
      const { status, stdout, stderr } = await run('submit', file);
      expect(status, stderr).toBe(0);
      expect(stdout + stderr).toContain(`input/${name}.jsonl`);
      await parts.stack().idle();
      return `input/${name}.jsonl`;
    },
  };
}
type Shift = Awaited<ReturnType<typeof started>>;

/** First looks, and what is read of a job that is in order. */
async function looksAround({ type, submit, untilEnded, poll, dir }: Shift): Promise<void> {
  await poll(0);
  expect(await type(0, 'doctor')).toContain('Nothing is wrong.');
  const key = await submit('films', ['one', 'two']);
  expect(await type(0, 'plan', join(dir, 'films.jsonl'), '--deadline', '6h')).toContain('gpt-6-luna');
  expect(await type(0, 'prices', 'gpt-6-luna')).toContain('gpt-6-luna');
  expect(await type(0, 'jobs', '--status', 'live')).toMatch(/^running .* input\/films\.jsonl /m);
  expect(await type(1, 'receipt', key)).toContain('input/films.jsonl has no receipt yet');
  expect(await untilEnded(key)).toBe('succeeded');
  expect(await type(0, 'receipt', key)).toContain('input/films.jsonl: succeeded');
  expect(await type(0, 'costs', '--by', 'route')).toMatch(/^default +\$\S+ +1 +2 +0 /m);
  expect(await type(0, 'costs', '--by', 'model')).toMatch(/^gpt-6-luna /m);
  expect(await type(0, 'logs', key)).toMatch(/ingest +A job was recorded[\s\S]* finalize +The job has ended/);
  expect(await type(0, 'limits')).toContain('the month');
}

/** Another file waits, and one sees why and by whom; then it runs. */
async function findsWhyOneWaits({ type, submit, untilEnded, poll }: Shift): Promise<void> {
  expect(await type(2, 'pause', '--reason', 'OpenAI is slow')).toContain('Give --yes');
  expect(await type(0, 'pause', '--reason', 'OpenAI is slow', '--yes')).toContain('Paused: all of ');
  const key = await submit('waits', ['three']);
  await poll(0);
  const why = await type(0, 'explain', key);
  expect(why).toMatch(/paused by arn:aws:\S+.*OpenAI is slow/s);
  expect(why).toContain('batchdrop unpause');
  expect(await type(0, 'status', key)).toContain('paused by arn:aws:');
  expect(await type(0, 'doctor')).toMatch(/^look {2}Pauses: /m);
  expect(await type(0, 'unpause')).toBe('The next poll sends what waits.\n');
  expect(await untilEnded(key)).toBe('succeeded');
  expect(await type(0, 'explain', key)).not.toContain('paused');
}

async function cancelsOne({ type, submit, untilEnded, emulator }: Shift): Promise<void> {
  emulator.setFaults({ rules: STUCK });
  const key = await submit('cancelled', ['four']);
  expect(await type(0, 'cancel', key, '--reason', 'wrong file', '--yes')).toContain('is being cancelled');
  expect(await untilEnded(key)).toBe('failed');
  emulator.setFaults({ rules: [] });
  expect(await type(3, 'receipt', key)).toContain('cancelled 1');
  expect(await type(0, 'status', key)).toMatch(/act {7}cancel by arn:aws:[\s\S]*wrong file/);
  expect(await type(0, 'jobs', '--status', 'failed')).toMatch(/^failed .* input\/cancelled\.jsonl /m);
  expect(await type(0, 'cancel', key, '--yes')).toContain('had ended already');
}

async function retriesOne({ type, submit, untilEnded, emulator, stack }: Shift): Promise<void> {
  emulator.setFaults({ rules: REFUSED });
  const key = await submit('partly', ['good', 'bad']);
  expect(await untilEnded(key)).toBe('partial');
  emulator.setFaults({ rules: [] });
  const dropped = await type(0, 'retry', key);
  const retryKey = /was dropped as (\S+)\.\n/.exec(dropped)![1]!;
  expect(retryKey).toMatch(/^input\/partly\.retry-1-of-[0-9a-f]{32}\.jsonl$/);
  expect(await type(0, 'retry', key)).toContain(`It was dropped before, as ${retryKey}`);
  await stack().idle();
  expect(await untilEnded(retryKey)).toBe('succeeded');
  expect(await type(0, 'receipt', retryKey)).toMatch(/retry of {2}job [0-9a-f]{32}/);
  expect(JSON.parse(await type(0, 'results', retryKey)).custom_id).toBe('bad');
}

/** OpenAI refuses the key; a new one is set, as `aws secretsmanager put-secret-value` does. */
async function rotatesTheKey({
  type,
  submit,
  untilEnded,
  poll,
  setKey,
  stack,
  emulator,
}: Shift): Promise<void> {
  const [role] = Object.keys(stack().resources.secrets);
  emulator.setFaults({ rules: REVOKED });
  const key = await submit('refused', ['five']);
  await poll(0);
  expect(await type(0, 'explain', key)).toContain('secretsmanager put-secret-value');
  expect(await type(1, 'doctor')).toMatch(/^BAD {3}Suspensions: /m);
  await setKey(role!, 'sk-new');
  expect(await type(0, 'resume', '--scope', 'default')).toContain('default is not suspended any more');
  expect(await untilEnded(key)).toBe('succeeded');
  expect(await type(0, 'resume', '--all')).toBe('Nothing is held.\n');
  expect(await type(0, 'resume', key)).toMatch(/^[0-9a-f]{32}: nothing is held\n$/);
  expect(await type(1, 'resume', 'input/none.jsonl')).toContain('there is no job input/none.jsonl');
  expect(await type(0, 'doctor')).toContain('Nothing is wrong.');
}

/** A message is among the dead letters of a queue; it is of a job whose work is done. */
async function redrivesDeadLetters({ type, stack }: Shift): Promise<void> {
  const { region, credentials, endpoints, resources } = stack();
  const sqs = createSqsClient({ region, credentials, endpoint: endpoints.sqs });
  const QueueUrl = resources.queues['collect-dead-letters']!.url;
  const MessageBody = JSON.stringify({ v: 1, jobId: 'none', batchId: '0-00000' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  sqs.destroy();
  const sick = await type(1, 'doctor');
  expect(sick).toMatch(/^BAD {3}Queues: /m);
  expect(sick).toContain('batchdrop redrive collect');
  expect(await type(0, 'redrive', 'collect', '--show')).toContain('jobId=none batchId=0-00000');
  expect(await type(0, 'redrive', 'collect')).toMatch(/^1 dead letter of collect sent again\.\n/);
  await stack().idle();
  expect(await type(0, 'redrive')).toMatch(/^collect +0 +0 +0 +0$/m);
}

async function forgetsOne({ type }: Shift): Promise<void> {
  const { jobId } = JSON.parse(await type(0, 'receipt', 'input/films.jsonl', '--json'));
  expect(await type(0, 'forget', jobId, '--yes')).toBe(`Job ${jobId} is forgotten.\n`);
  expect(await type(1, 'receipt', jobId)).toContain('there is no job');
}

test('whoever is on call finds, waits, cancels, retries, rotates, redrives and forgets by the commands of the runbook', {
  timeout: 300_000,
}, async () => {
  const shift = await started();
  await looksAround(shift);
  await findsWhyOneWaits(shift);
  await cancelsOne(shift);
  await retriesOne(shift);
  await rotatesTheKey(shift);
  await redrivesDeadLetters(shift);
  await forgetsOne(shift);
  const named = [...RUNBOOK.matchAll(/^batchdrop ([a-z]+)/gm)].map(([, command]) => command!);
  expect([...new Set(named)].filter((command) => !shift.typed.has(command))).toEqual(['webhook']);
});
