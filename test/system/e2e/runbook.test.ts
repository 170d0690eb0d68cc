/**
 * A person on call with the documents: every line of a shell in docs/runbook.md, docs/cli.md and README.md is typed as
 * it stands there in a bash at a stack with an OpenAI behind it, `aws` lines with the AWS CLI, or says that it was not
 * run. What the commands print is held against what the documents promise.
 */
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test } from 'vitest';
import { ACCOUNT_ID, REGION } from '../../../local/stack/account.ts';
import { removeRunning, writeRunning } from '../../../local/stack/running-file.ts';
import { defaultSettings } from '../../../src/contract/settings.ts';
import { createSqsClient } from '../../../src/runtime/clients.ts';
import { startCloudFormation } from '../../support/cloudformation.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { AT_ONCE } from '../../support/emulator-timings.ts';
import { chatLine } from '../../support/pipeline.ts';
import { pythonEnvironment } from '../../support/python-environment.ts';
import { startShell } from '../../support/shell.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** The AWS CLI: a client of the local stack that is not ours. */
const AWS_CLI = pythonEnvironment(join(import.meta.dirname, 'requirements.txt'));

/** A line of a shell in a document. */
interface Line {
  command: string;
  /** It says that it was not run here. */
  isMarked: boolean;
}

/** The lines of the shell blocks, without what they say beside the command. */
function linesOf(document: string): Line[] {
  const blocks = [...read(document).matchAll(/^ *```sh\n([\s\S]*?)^ *```/gm)].map(([, block]) => block!);
  return blocks
    .flatMap((block) => block.split('\n'))
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, command, comment = ''] = /^(.*?)(?:\s+#\s(.*))?$/.exec(line)!;
      return { command: command!, isMarked: /^not run here: needs (?:AWS|OpenAI)/.test(comment) };
    });
}
const LINES = ['docs/runbook.md', 'docs/cli.md', 'README.md'].flatMap(linesOf);
const COMMANDS = new Set(LINES.map(({ command }) => command));

/** Gives the stack a queue for notifications that are not delivered. */
const TOPIC = `arn:aws:sns:${REGION}:${ACCOUNT_ID}:team`;
/** OpenAI refuses every other key. */
const API_KEYS = { 'sk-old': 'proj_films', 'sk-new': 'proj_films' };
/** OpenAI refuses one request, for as long as this is in force. */
const REFUSED = [{ match: { custom_id: '^bad$' }, effect: { kind: 'line.status' as const, status: 400 } }];

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
/**
 * Where the documents' own `batchdrop` ends: `npm run` takes a second to start what this starts at once. `AT` says
 * which stack, to commands that work on one; `YES` answers what they ask.
 */
const NPM =
  'npm() { shift 4; case "$1" in plan|prices|webhook|local) node cli/main.ts "$@" ;; cancel|pause|forget) node cli/main.ts "$@" $AT $YES ;; *) node cli/main.ts "$@" $AT ;; esac; }';

type Parts = Awaited<ReturnType<typeof startEmulatedStack>>;

/** A bash as the runbook wants it, at the local stack in place of AWS and at the emulator in place of OpenAI. */
async function startedShell({ stack, emulator, dir }: Parts) {
  const { region, credentials, endpoints, outputs, resources } = stack();
  const queues = Object.values(resources.queues);
  const cloudFormation = await startCloudFormation([
    {
      name: 'batchdrop',
      outputs,
      resources: queues.map(({ url }) => ({ type: 'AWS::SQS::Queue', physicalId: url })),
    },
  ]);
  const { OPENAI_API_KEY: _, ...inherited } = process.env;
  const shell = startShell(ROOT, {
    ...inherited,
    PATH: [AWS_CLI, process.env.PATH].join(delimiter),
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_DEFAULT_REGION: region,
    AWS_REGION: region,
    // For `batchdrop webhook`.
    AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoints.secretsManager,
    AWS_PAGER: '',
    OPENAI_BASE_URL: emulator.endpoint,
    OPENAI_API_KEY: 'sk-new',
    AT: `--local --state ${dir}`,
  });
  onTestFinished(async () => {
    shell.close();
    await cloudFormation.close();
  });
  await shell.type(NPM);
  const at = {
    cloudformation: cloudFormation.endpoint,
    s3: endpoints.s3,
    secretsmanager: endpoints.secretsManager,
    sqs: endpoints.sqs,
  };
  const cases = Object.entries(at).map(([service, url]) => `${service}) at=${url} ;;`);
  await shell.type(
    `aws() { local at; case "$1" in ${cases.join(' ')} esac; command aws --endpoint-url "$at" "$@"; }`,
  );
  return shell;
}

async function started() {
  const parts = await startEmulatedStack({
    apiKeys: API_KEYS,
    keys: { default: 'sk-old' },
    // Commands sign with the machine's clock, which therefore is the stack's.
    timings: AT_ONCE,
    settings: {
      routes: defaultSettings().routes.map((route) => ({ ...route, notify: TOPIC })),
      webhooks: { apiKeys: ['default'] },
    },
  });
  writeRunning(parts.dir, parts.stack());
  const shell = await startedShell(parts);
  /** Lines of the documents that were typed. */
  const typed = new Set<string>();
  const run = async (...words: string[]) => {
    const { status, text } = await shell.type(`npm run -s batchdrop -- ${words.join(' ')}`);
    expect({ status, text }, text).toMatchObject({ status: 0 });
    return text;
  };
  return {
    ...parts,
    typed,
    /** Runs a command that no document has in this form, and that has to succeed. @returns what it printed. */
    run,
    /**
     * Types a line as a document has it, which has to end so.
     * @param filled what stands in it for a person to fill in, and what that is here.
     * @returns what it printed.
     */
    async type(status: number, line: string, filled: Record<string, string> = {}): Promise<string> {
      expect(COMMANDS, 'no document has this line').toContain(line);
      typed.add(line);
      let whole = line;
      for (const [name, value] of Object.entries(filled)) whole = whole.replace(name, value);
      const ended = await shell.type(whole);
      expect(ended, `${whole}\n${ended.text}`).toMatchObject({ status });
      return ended.text;
    },
    /** Sets what the shell answers to questions. */
    answer: (yes: boolean) => shell.type(`YES=${yes ? '--yes' : ''}`),
    /** Polls until the job has its receipt. @returns the receipt's result. */
    async untilEnded(key: string): Promise<string> {
      for (let polls = 0; polls < 24; polls++) {
        const receipt = await parts.read(key.replace(/^input\/(.*)l$/, 'receipts/$1'));
        if (receipt !== undefined) return JSON.parse(receipt).result;
        await parts.poll(0);
      }
      throw new Error(`${key} did not end in 24 polls`);
    },
    /** Drops a file of these requests as `submit` does. @returns its key. */
    async submit(name: string, ids: readonly string[]): Promise<string> {
      const file = join(parts.dir, `${name}.jsonl`);
      await writeFile(file, ids.map((id) => chatLine(id, { content: `${name} ${id}` })).join('\n'));
      expect(await run('submit', file)).toContain(`input/${name}.jsonl`);
      await parts.stack().idle();
      return `input/${name}.jsonl`;
    },
    /** A message among the dead letters of a queue. */
    async failed(queue: string, body: object): Promise<void> {
      const { region, credentials, endpoints, resources } = parts.stack();
      const sqs = createSqsClient({ region, credentials, endpoint: endpoints.sqs });
      const QueueUrl = resources.queues[`${queue}-dead-letters`]!.url;
      await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify(body) }));
      sqs.destroy();
    },
  };
}
type Shift = Awaited<ReturnType<typeof started>>;

/** What a shell needs once, as the runbook begins. */
async function preparesTheShell({ type }: Shift): Promise<void> {
  for (const { command } of linesOf('docs/runbook.md').slice(0, 4)) await type(0, command);
}

/** First looks, and what is read of a job that is in order. */
async function looksAround({ type, submit, untilEnded, poll, dir }: Shift): Promise<void> {
  await poll(0);
  expect(await type(0, 'batchdrop doctor')).toContain('Nothing is wrong.');
  const KEY = await submit('films', ['one', 'two']);
  const FILE = join(dir, 'films.jsonl');
  expect(await type(0, 'batchdrop plan FILE --deadline 6h', { FILE })).toContain('gpt-6-luna');
  await type(3, 'npm run -s batchdrop -- plan examples/three-films.jsonl --deadline 3h');
  const local = 'npm run -s batchdrop -- local process examples/three-films.jsonl --out out/films';
  const elsewhere = { 'out/films': `${join(dir, 'films')} --state ${join(dir, 'another')}` };
  expect(await type(3, local, elsewhere)).toContain('input/three-films.jsonl: partial');
  await isWhatTheReadmeShows(join(dir, 'films'));
  expect(await type(0, 'batchdrop prices')).toContain('gpt-6-luna');
  expect(await type(0, 'batchdrop jobs --status live')).toMatch(/^running .* input\/films\.jsonl /m);
  expect(await type(1, 'batchdrop receipt KEY', { KEY })).toContain('input/films.jsonl has no receipt yet');
  expect(await untilEnded(KEY)).toBe('succeeded');
  expect(await type(0, 'batchdrop receipt KEY', { KEY })).toContain('input/films.jsonl: succeeded');
  expect(JSON.parse(await type(0, 'batchdrop receipt input/films.jsonl --json')).result).toBe('succeeded');
  expect(await type(0, 'batchdrop status input/films.jsonl')).toContain('succeeded');
  expect(await type(0, 'batchdrop costs --by route')).toMatch(/^default +\$\S+ +1 +2 +0 /m);
  expect(await type(0, 'batchdrop costs --by model')).toMatch(/^gpt-6-luna /m);
  await type(0, 'batchdrop costs --month 2026-10 --by key --json');
  expect(await type(0, 'batchdrop logs KEY', { KEY })).toMatch(
    /ingest +A job was recorded[\s\S]* finalize +The job has ended/,
  );
  expect(await type(0, 'batchdrop limits')).toContain('the month');
}

/** The lines that the README shows of the results, shortened at each "…", are in the files of the same names. */
async function isWhatTheReadmeShows(folder: string): Promise<void> {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const shown = [...readme.matchAll(/^\{"id":.*$/gm)].map(([line]) => line.split('…'));
  expect(shown).toHaveLength(3);
  const files = ['output', 'errors'].map((area) => readFile(join(folder, area, 'three-films.jsonl'), 'utf8'));
  const lines = (await Promise.all(files)).join('').trimEnd().split('\n');
  for (const [index, pieces] of shown.entries())
    expect(pieces.filter((piece) => !lines[index]!.includes(piece))).toEqual([]);
}

/** Another file waits, and one sees why and by whom; then it runs. */
async function findsWhyOneWaits({ type, answer, submit, untilEnded, poll }: Shift): Promise<void> {
  const pause = "batchdrop pause --reason 'OpenAI is slow'";
  expect(await type(2, pause)).toContain('Give --yes');
  await answer(true);
  expect(await type(0, pause)).toContain('Paused: all of ');
  for (const reason of ['restore', 'moving'])
    expect(await type(0, `batchdrop pause --reason '${reason}'`)).toContain(
      'It was paused before, by arn:aws:',
    );
  await answer(false);
  const KEY = await submit('waits', ['three']);
  await poll(0);
  const why = await type(0, 'batchdrop explain KEY', { KEY });
  expect(why).toMatch(/paused by arn:aws:\S+.*OpenAI is slow/s);
  expect(why).toContain('batchdrop unpause');
  expect(await type(0, 'batchdrop status KEY', { KEY })).toContain('paused by arn:aws:');
  expect(await type(0, 'batchdrop doctor')).toMatch(/^look {2}Pauses: /m);
  expect(await type(0, 'batchdrop unpause')).toBe('The next poll sends what waits.\n');
  expect(await untilEnded(KEY)).toBe('succeeded');
  expect(await type(0, 'batchdrop explain KEY', { KEY })).not.toContain('paused');
}

async function cancelsOne({ type, answer, submit, untilEnded, emulator }: Shift): Promise<void> {
  emulator.setFaults({ rules: STUCK });
  const KEY = await submit('cancelled', ['four']);
  await answer(true);
  expect(await type(0, 'batchdrop cancel KEY', { KEY })).toContain('is being cancelled');
  expect(await untilEnded(KEY)).toBe('failed');
  emulator.setFaults({ rules: [] });
  expect(await type(3, 'batchdrop receipt KEY', { KEY })).toContain('cancelled 1');
  expect(await type(0, 'batchdrop status KEY', { KEY })).toMatch(/act {7}cancel by arn:aws:/);
  for (const line of ['batchdrop jobs --status failed', 'batchdrop jobs --status failed --since 7d'])
    expect(await type(0, line)).toMatch(/^failed .* input\/cancelled\.jsonl /m);
  expect(await type(0, 'batchdrop cancel KEY', { KEY })).toContain('had ended already');
  await answer(false);
}

async function retriesOne({ type, submit, untilEnded, emulator, stack, run }: Shift): Promise<void> {
  emulator.setFaults({ rules: REFUSED });
  const KEY = await submit('partly', ['good', 'bad']);
  expect(await untilEnded(KEY)).toBe('partial');
  emulator.setFaults({ rules: [] });
  const dropped = await type(0, 'batchdrop retry KEY', { KEY });
  const retryKey = /was dropped as (\S+)\.\n/.exec(dropped)![1]!;
  expect(retryKey).toMatch(/^input\/partly\.retry-1-of-[0-9a-f]{32}\.jsonl$/);
  expect(await type(0, 'batchdrop retry KEY', { KEY })).toContain(`It was dropped before, as ${retryKey}`);
  await stack().idle();
  expect(await untilEnded(retryKey)).toBe('succeeded');
  expect(await type(0, 'batchdrop receipt KEY', { KEY: retryKey })).toMatch(/retry of {2}job [0-9a-f]{32}/);
  expect(JSON.parse(await run('results', retryKey)).custom_id).toBe('bad');
}

/** OpenAI refuses the key; a new one is set. */
async function rotatesTheKey({ type, submit, untilEnded, poll, emulator, stack }: Shift): Promise<void> {
  emulator.setFaults({ rules: REVOKED });
  const KEY = await submit('refused', ['five']);
  await poll(0);
  expect(await type(0, 'batchdrop explain KEY', { KEY })).toContain('secretsmanager put-secret-value');
  expect(await type(1, 'batchdrop doctor')).toMatch(/^BAD {3}Suspensions: /m);
  await type(
    0,
    'printf %s "$OPENAI_API_KEY" | aws secretsmanager put-secret-value --secret-id "$(out ApiKeySecretArn)" --secret-string file:///dev/stdin',
  );
  await type(
    0,
    'printf %s "$OPENAI_API_KEY" | aws secretsmanager put-secret-value --secret-id <ApiKeySecretArn> --secret-string file:///dev/stdin',
    { '<ApiKeySecretArn>': stack().outputs.ApiKeySecretArn! },
  );
  expect(await type(0, 'batchdrop resume --scope default')).toContain('default is not suspended any more');
  expect(await type(0, 'batchdrop resume --scope default/MODEL', { MODEL: 'gpt-6-luna' })).toContain(
    'not suspended',
  );
  expect(await untilEnded(KEY)).toBe('succeeded');
  expect(await type(0, 'batchdrop resume KEY', { KEY })).toMatch(/^[0-9a-f]{32}: nothing is held\n$/);
  expect(await type(1, 'batchdrop resume KEY', { KEY: 'input/none.jsonl' })).toContain(
    'there is no job input/none.jsonl',
  );
  expect(await type(0, 'batchdrop resume JOB --may-pay-twice', { JOB: KEY })).toContain('nothing is held');
  expect(await type(0, 'batchdrop doctor')).toContain('Nothing is wrong.');
}

/** Messages of each queue are among its dead letters; they are of a job whose work is done. */
async function redrivesDeadLetters({ type, stack, failed, run }: Shift): Promise<void> {
  await failed('collect', { v: 1, jobId: 'none', batchId: '0-00000' });
  const sick = await type(1, 'batchdrop doctor');
  expect(sick).toMatch(/^BAD {3}Queues: /m);
  expect(sick).toContain('batchdrop redrive collect');
  expect(await type(0, 'batchdrop redrive collect --show')).toContain('jobId=none batchId=0-00000');
  expect(await type(0, 'batchdrop redrive collect')).toMatch(/^1 dead letter of collect sent again\.\n/);
  await stack().idle();
  expect(await run('redrive')).toMatch(/^collect +0 +0 +0 +0$/m);
  for (const queue of ['ingest', 'submit', 'call', 'finalize', 'observe']) {
    expect(await type(0, `batchdrop redrive ${queue} --show`)).toContain(`No dead letter of ${queue}`);
    expect(await type(0, `batchdrop redrive ${queue}`)).toBe(`0 dead letters of ${queue} sent again.\n`);
  }
}

/** A message that no release understands is read, and deleted. */
async function deletesADeadLetter({ type, failed }: Shift): Promise<void> {
  await failed('ingest', { v: 9, of: 'tomorrow' });
  const shown = await type(0, 'batchdrop redrive ingest --show');
  const id = /not understood by this release.* ([0-9a-f-]{36})$/m.exec(shown)![1]!;
  const lines = linesOf('docs/runbook.md').map(({ command }) => command);
  const first = lines.findIndex((line) => line.startsWith('DEAD_LETTERS='));
  const [queue, paste, receive, look, take, remove] = lines.slice(first, first + 6);
  for (const line of [queue!, receive!]) await type(0, line);
  await type(0, paste!, { PASTE_THE_ID_HERE: id });
  expect(await type(0, look!)).toContain('tomorrow');
  await type(0, take!);
  await type(0, remove!);
  expect(await type(0, 'batchdrop redrive ingest --show')).toContain('No dead letter of ingest');
}

/** What the files of the stack are copied with, and notifications that nobody got. */
async function usesAws({ type, dir, bucket, read: readKey, stack }: Shift): Promise<void> {
  await writeFile(join(dir, 'a.jsonl'), chatLine('a'));
  await type(0, 'aws s3 cp a.jsonl s3://BUCKET/input/nightly/a.jsonl', {
    BUCKET: bucket,
    'a.jsonl': join(dir, 'a.jsonl'),
  });
  await stack().idle();
  expect(await readKey('input/nightly/a.jsonl')).toBe(chatLine('a'));
  const sync = 'aws s3 sync "s3://$(out BucketName)/output/" s3://NEW-BUCKET/output/';
  expect(await type(0, sync, { 'NEW-BUCKET/output/': `${bucket}/old-output/` })).toContain('copy: ');
  expect(await readKey('old-output/films.jsonl')).toBe(await readKey('output/films.jsonl'));
  await type(0, 'TABLE=$(out TableName)');
  const notifications = [...COMMANDS].filter((line) => line.includes('NotificationsDeadLetters'));
  expect(notifications).toHaveLength(2);
  for (const line of notifications) await type(0, line);
}

async function setsUpWebhooks({ type }: Shift): Promise<void> {
  const at = 'webhook register --url "$(out WebhookUrl)" --secret "$(out WebhookSecretArn)"';
  expect(await type(0, `batchdrop ${at}`)).toContain('its signing secret is kept');
  expect(await type(0, 'batchdrop webhook test --url "$(out WebhookUrl)"')).toContain('202');
  await type(0, `batchdrop ${at.replace('register', 'rotate')}`);
}

/** A file that no route takes says so. */
async function findsWhatIsIgnored({ type, drop }: Shift): Promise<void> {
  await drop('input/films-notes.txt', 'no requests');
  await type(0, 'batchdrop jobs --ignored --prefix input/films');
}

async function forgetsOne({ run, answer, type }: Shift): Promise<void> {
  const { jobId } = JSON.parse(await run('receipt', 'input/films.jsonl', '--json'));
  await answer(true);
  expect(await run('forget', jobId)).toBe(`Job ${jobId} is forgotten.\n`);
  await answer(false);
  expect(await type(1, 'batchdrop receipt KEY', { KEY: jobId })).toContain('there is no job');
}

/** A stack is let run dry and goes; all that it kept can still be read. */
async function removesTheStack(shift: Shift): Promise<void> {
  const { type, run, answer, submit, untilEnded, poll, read: readKey, stack, dir } = shift;
  await type(0, 'BUCKET=$(out BucketName)');
  const sent = await submit('sent', ['six']);
  await answer(true);
  await type(0, "batchdrop pause --reason 'removal'");
  const waiting = await submit('waiting', ['seven']);
  expect(await untilEnded(sent)).toBe('succeeded');
  const live = await type(0, 'batchdrop jobs --status live');
  expect(live).toContain(waiting);
  expect(live).not.toContain(sent);
  expect(await type(0, 'batchdrop status KEY', { KEY: waiting })).toContain('waiting');
  await type(0, 'batchdrop cancel KEY', { KEY: waiting });
  // The sweep comes to what it has looked at before in five minutes.
  await poll(5 * 60_000);
  expect(await untilEnded(waiting)).toBe('failed');
  expect(await readKey('retry/waiting.jsonl')).toContain('"seven"');
  expect(await type(0, 'batchdrop jobs --status live')).not.toContain('input/');
  await type(0, 'batchdrop doctor');
  const sync = 'aws s3 sync "s3://$BUCKET/output/" output/';
  await type(0, sync, { '" output/': `" ${join(dir, 'saved')}/` });
  const answers = await readKey('output/sent.jsonl');
  expect(await readFile(join(dir, 'saved/sent.jsonl'), 'utf8')).toBe(answers);
  await stack().stop();
  removeRunning(dir);
  expect((await run('results', sent)).trim()).toBe(answers!.trim());
  expect(await run('jobs', '--status', 'succeeded')).toContain(sent);
}

/** Lines that other tests run, or CI itself. */
const RUN_ELSEWHERE: Readonly<Record<string, string>> = {
  'npm ci && npm run demo': '.ci/run',
  'npm ci && npm test': '.ci/run',
  'npm ci': '.ci/run',
  'npx cdk synth --quiet': 'package.json',
  'npm run -s batchdrop -- local up': 'test/system/e2e/local-up.test.ts',
};

/** What can be typed only once something is published; `npm run test:packages` installs what would be. */
const NOT_YET: ReadonlySet<string> = new Set([
  'npm install PATH/dist/batchdrop-0.1.0.tgz aws-cdk-lib constructs',
]);

test('each line that the documents say to type is typed here, or says that it was not run', {
  timeout: 600_000,
}, async () => {
  const shift = await started();
  await preparesTheShell(shift);
  await looksAround(shift);
  await findsWhyOneWaits(shift);
  await cancelsOne(shift);
  await retriesOne(shift);
  await rotatesTheKey(shift);
  await redrivesDeadLetters(shift);
  await deletesADeadLetter(shift);
  await findsWhatIsIgnored(shift);
  await usesAws(shift);
  await forgetsOne(shift);
  await setsUpWebhooks(shift);
  await removesTheStack(shift);
  const left = LINES.filter(
    ({ command, isMarked }) =>
      !isMarked && !shift.typed.has(command) && !(command in RUN_ELSEWHERE) && !NOT_YET.has(command),
  );
  expect(left.map(({ command }) => command)).toEqual([]);
});

test('lines that are typed elsewhere are there', () => {
  for (const command of NOT_YET) expect(COMMANDS).toContain(command);
  for (const [command, file] of Object.entries(RUN_ELSEWHERE)) {
    expect(COMMANDS).toContain(command);
    const text = read(file);
    const parts = file === '.ci/run' ? command.split(' && ') : [command.replace(/^npx |^.* -- /, '')];
    for (const part of parts) expect(text, file).toContain(part);
  }
});
