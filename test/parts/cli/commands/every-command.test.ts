/**
 * Every command of the program has a test of its success and one of its failure: this file holds the tree of commands
 * against a table of both, and runs the failures.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, CommanderError } from 'commander';
import { expect, onTestFinished, test, vi } from 'vitest';
import { program } from '../../../../cli/main.ts';
import { CannotRunError, UsageError } from '../../../../cli/view/exit.ts';
import { stoppedState } from '../../../support/stopped-state.ts';

const ROOT = join(import.meta.dirname, '../../../..');
/** A job that no stack has. */
const NONE = 'f'.repeat(32);

const NO_JOB = new RegExp(
  `^there is no job ${NONE} in this stack, and no object of that key in bucket drops: name`,
);
const NOT_RUNNING = /is not running: start it with `batchdrop local up`, then repeat this$/;
const NO_KEY = /^set OPENAI_API_KEY to a key of the project whose webhooks are meant$/;

/** How a command fails, and which test has it succeed. */
interface Row {
  /** What it is called with; a command of a stack gets a local one that does not run. */
  args: readonly string[];
  says: RegExp;
  /** Test file that runs it to its success; of `local up`, what it prints of a stack that is up. */
  succeedsIn: string;
  /** It takes no stack. */
  isAlone?: true;
}

/** Failures whose text is all that is printed; the exit status is 2 of a usage and 1 of what cannot be done. */
const KINDS = [UsageError, CannotRunError, CommanderError];

const OPERATING = 'test/system/e2e/operating.test.ts';
const RUNBOOK = 'test/system/e2e/runbook.test.ts';
const ACTS = 'test/parts/cli/commands/operate.test.ts';
const parts = (name: string) => `test/parts/cli/commands/${name}.test.ts`;

const ROWS: Readonly<Record<string, Row>> = {
  plan: {
    args: ['none.jsonl'],
    says: /^none\.jsonl: there is no such file$/,
    succeedsIn: parts('plan'),
    isAlone: true,
  },
  audit: {
    args: ['none.jsonl'],
    says: /^none\.jsonl: there is no such file$/,
    succeedsIn: parts('audit'),
    isAlone: true,
  },
  prices: {
    args: ['--compare', 'none.json'],
    says: /^--compare none\.json: a price file is expected, but it cannot be read \(ENOENT\)$/,
    succeedsIn: parts('prices'),
    isAlone: true,
  },
  explain: { args: [NONE], says: NO_JOB, succeedsIn: parts('explain') },
  watch: { args: [NONE], says: NO_JOB, succeedsIn: OPERATING },
  jobs: {
    args: ['--status', 'none'],
    says: /^--status none: there is live, ended, cancelled, /,
    succeedsIn: parts('jobs'),
  },
  status: { args: [NONE], says: NO_JOB, succeedsIn: parts('status') },
  receipt: { args: [NONE], says: NO_JOB, succeedsIn: RUNBOOK },
  costs: {
    args: ['--month', 'none'],
    says: /^--month none: a month such as \d{4}-\d{2} is expected$/,
    succeedsIn: parts('costs'),
  },
  cancel: { args: [NONE, '--yes'], says: NOT_RUNNING, succeedsIn: ACTS },
  retry: { args: [NONE], says: NOT_RUNNING, succeedsIn: ACTS },
  pause: {
    args: ['--reason', 'a test'],
    says: /Give --yes, since nobody is there to answer\.$/,
    succeedsIn: ACTS,
  },
  unpause: { args: [], says: NOT_RUNNING, succeedsIn: ACTS },
  forget: { args: [NONE, '--yes'], says: NOT_RUNNING, succeedsIn: ACTS },
  resume: { args: [NONE], says: NOT_RUNNING, succeedsIn: parts('resume') },
  submit: { args: ['package.json'], says: NOT_RUNNING, succeedsIn: OPERATING },
  results: { args: [NONE], says: NO_JOB, succeedsIn: OPERATING },
  limits: {
    args: ['--local', '--state', 'none'],
    isAlone: true,
    says: /^--state none: no local stack has run there$/,
    succeedsIn: OPERATING,
  },
  redrive: { args: ['none'], says: NOT_RUNNING, succeedsIn: OPERATING },
  logs: { args: [NONE], says: NO_JOB, succeedsIn: OPERATING },
  doctor: {
    args: ['--openai'],
    says: /^set OPENAI_API_KEY to a key of the project that is to be looked at/,
    succeedsIn: OPERATING,
  },
  'webhook register': {
    args: ['--url', 'https://x.example', '--secret', 'arn'],
    says: NO_KEY,
    succeedsIn: parts('webhook'),
    isAlone: true,
  },
  'webhook test': {
    args: ['--url', 'https://x.example'],
    says: NO_KEY,
    succeedsIn: parts('webhook'),
    isAlone: true,
  },
  'webhook rotate': {
    args: ['--url', 'https://x.example', '--secret', 'arn'],
    says: NO_KEY,
    succeedsIn: parts('webhook'),
    isAlone: true,
  },
  'local process': {
    args: ['none.jsonl'],
    says: /^none\.jsonl: there is no such file$/,
    succeedsIn: parts('local-process'),
    isAlone: true,
  },
  'local up': {
    args: ['--port', 'none=1'],
    says: /"none" is none of s3, dynamodb, sqs/,
    succeedsIn: 'test/unit/cli/view/local-up-text.test.ts',
    isAlone: true,
  },
  completion: {
    args: ['powershell'],
    says: /Allowed choices are bash, zsh, fish/,
    succeedsIn: 'test/unit/cli/view/completion.test.ts',
    isAlone: true,
  },
};

/** Names of the commands that run something, such as `webhook test`. */
function leavesOf(command: Command, above: readonly string[] = []): string[] {
  return command.commands.flatMap((each) => {
    const path = [...above, each.name()];
    return each.commands.length > 0 ? leavesOf(each, path) : [path.join(' ')];
  });
}

test('the table has every command, and no other', () => {
  expect(Object.keys(ROWS).sort()).toEqual(leavesOf(program).sort());
});

test.each(Object.entries(ROWS))('%s fails with a text of its own', async (name, { args, says, isAlone }) => {
  vi.stubEnv('OPENAI_API_KEY', '');
  const { exitCode } = process;
  const printed: string[] = [];
  for (const method of ['log', 'error'] as const)
    vi.spyOn(console, method).mockImplementation((line: string) => printed.push(line));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed.push(String(text));
    return true;
  });
  onTestFinished(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    process.exitCode = exitCode;
  });
  const stack = isAlone ? [] : ['--local', '--state', await stoppedState(async () => {})];
  const failed = await program.parseAsync([...name.split(' '), ...args, ...stack], { from: 'user' }).then(
    () => undefined,
    (error: Error) => error,
  );
  expect(failed).toSatisfy((error) => KINDS.some((kind) => error instanceof kind));
  expect(failed?.message).toMatch(says);
  expect(
    printed.filter((line) => !failed!.message.includes(line.trim()) && !line.includes('--help')),
  ).toEqual([]);
});

test.each(Object.entries(ROWS))('%s succeeds in the test that is named', (name, { succeedsIn }) => {
  const text = readFileSync(join(ROOT, succeedsIn), 'utf8');
  const last = name.split(' ').at(-1)!;
  expect(text).toMatch(new RegExp(`\\b${last}`, 'i'));
});
