/** Command lines of documents, held against the program's own tree of commands: no document says to type what fails. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { program } from '../../../cli/main.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DOCUMENTS = globSync(['README.md', 'docs/*.md', 'local/**/*.md'], { cwd: ROOT });
const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** In a line of a shell, what batchdrop is called with: up to a comment, a pipe, or the next command. */
const CALL = /^(?: *\$)? *(?:npm run (?:-s )?batchdrop --|(?:npx )?batchdrop) (?<rest>\S.*)$/;
const WORD = /"(?:\$\([^)]*\)|[^"])*"|'[^']*'|[^\s"']+/g;

function wordsOf(rest: string): string[] {
  const words: string[] = [];
  for (const [word] of rest.matchAll(WORD)) {
    if (/^(#|\||&&|;|>)/.test(word)) break;
    words.push(word.replace(/^(["'])(.*)\1$/, '$2'));
  }
  return words;
}

/** What a document tells people to type: whole in its shell blocks, which are copied; perhaps in part within its text. */
function callsOf(document: string): { words: string[]; isWhole: boolean }[] {
  const text = textOf(document);
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```/gm)].map(([, block]) => block!);
  const inline = [...text.replace(/^ *```[\s\S]*?^ *```/gm, '').matchAll(/`([^`\n]+)`/g)];
  const lines = [
    ...blocks.flatMap((block) => block.split('\n')).map((line) => ({ line, isWhole: true })),
    ...inline.map(([, line]) => ({ line: line!, isWhole: false })),
  ];
  return lines.flatMap(({ line, isWhole }) => {
    const { rest } = CALL.exec(line)?.groups ?? {};
    return rest === undefined ? [] : [{ words: wordsOf(rest), isWhole }];
  });
}

function commandOf(words: readonly string[]): { command: Command; rest: string[] } {
  let command: Command = program;
  const rest = [...words];
  for (;;) {
    const below = command.commands.find((each) => each.name() === rest[0]);
    if (below === undefined) return { command, rest };
    command = below;
    rest.shift();
  }
}

/** What commander would say of it; `undefined`: it would run. @param isWhole nothing that it takes is left out. */
function problemOf(words: readonly string[], isWhole = true): string | undefined {
  const { command, rest } = commandOf(words);
  if (command === program && !['--help', '--version'].includes(rest[0]!)) return `no command ${rest[0]}`;
  const { writeErr = () => {} } = command.configureOutput();
  command.configureOutput({ writeErr: () => {} });
  let parsed: { operands: string[]; unknown: string[] };
  try {
    parsed = command.parseOptions(rest);
  } catch (error) {
    return (error as Error).message;
  } finally {
    // Other tests use the same program.
    command.configureOutput({ writeErr });
  }
  const { operands, unknown } = parsed;
  const unknownOptions = unknown.filter((word) => word !== '-' && word !== '--help');
  if (unknownOptions.length > 0) return `no option ${unknownOptions.join(' ')}`;
  if (command.commands.length > 0) return isWhole ? 'no command below it' : undefined;
  const given = operands.length + unknown.filter((word) => word === '-').length;
  const expected = command.registeredArguments;
  const least = expected.filter(({ required }) => required).length;
  const most = expected.some(({ variadic }) => variadic) ? Number.POSITIVE_INFINITY : expected.length;
  if (given > most || (given < least && isWhole)) return `${given} arguments, not ${least} to ${most}`;
  const missing = command.options.filter(({ mandatory, long }) => mandatory && !rest.includes(long!));
  return missing.length > 0 && isWhole ? `without ${missing.map(({ long }) => long).join(' ')}` : undefined;
}

/** Commands that take the options that name a stack. */
const onStacks = program.commands.filter(({ options }) => options.some(({ long }) => long === '--stack'));

describe('command lines of documents', () => {
  it('are found in blocks and in text, and are refused where commander would refuse them', () => {
    expect(callsOf('docs/runbook.md').length).toBeGreaterThan(60);
    expect(callsOf('docs/cli.md').length).toBeGreaterThan(5);
    expect(wordsOf(`webhook test --url "$(out WebhookUrl)" # tries it`)).toEqual([
      'webhook',
      'test',
      '--url',
      '$(out WebhookUrl)',
    ]);
    expect(problemOf(['explode'])).toBe('no command explode');
    expect(problemOf(['cancel'])).toBe('0 arguments, not 1 to 1');
    expect(problemOf(['cancel', 'KEY', 'KEY'])).toBe('2 arguments, not 1 to 1');
    expect(problemOf(['cancel', 'KEY', '--force'])).toBe('no option --force');
    expect(problemOf(['jobs', '--since', 'soon'])).toContain('soon');
    expect(problemOf(['webhook', 'test'])).toBe('without --url');
    expect(problemOf(['local'])).toBe('no command below it');
  });

  it.each(DOCUMENTS)('%s says nowhere to type what the program does not take', (document) => {
    const called = callsOf(document).map(({ words, isWhole }) => [
      words.join(' '),
      problemOf(words, isWhole),
    ]);
    expect(called.filter(([, problem]) => problem !== undefined)).toEqual([]);
  });
});

describe('the list of commands in docs/cli.md', () => {
  const cells = [...textOf('docs/cli.md').matchAll(/^\| (`.+?) \| (.+) \|$/gm)];
  const rows = cells.flatMap(([, usages, text]) =>
    [...usages!.matchAll(/`([^`]+)`/g)].map(([, usage]) => ({
      words: usage!
        .replaceAll('\\|', '|')
        .replace(/[[\]]|\.{3}/g, '')
        .split(' '),
      named: [...text!.matchAll(/`(--[a-z-]+)/g)].map(([, option]) => option!),
    })),
  );

  it('has each command that works on a stack, and no other of them', () => {
    const listed = new Set(rows.map(({ words }) => words[0]!));
    expect(onStacks.map((command) => command.name()).filter((name) => !listed.has(name))).toEqual([]);
    const known = program.commands.map((command) => command.name());
    expect([...listed].filter((name) => !known.includes(name))).toEqual([]);
  });

  it.each(rows)('$words.0 has the options that the list names', ({ words, named }) => {
    const { command } = commandOf(words);
    const known = command.options.map(({ long }) => long);
    const used = words.filter((word) => word.startsWith('--'));
    expect([...used, ...named].filter((option) => !known.includes(option))).toEqual([]);
  });

  it('names no option that no command has', () => {
    const known = new Set(program.commands.flatMap(({ options }) => options.map(({ long }) => long)));
    const named = [...textOf('docs/cli.md').matchAll(/`(--[a-z-]+)/g)].map(([, option]) => option!);
    expect(named.filter((option) => !known.has(option))).toEqual([]);
  });
});

describe('messages of the program', () => {
  it('name no command of batchdrop that it does not have', () => {
    const known = program.commands.map((command) => command.name());
    const named = globSync('{cli,lib,local,src}/**/*.ts', { cwd: ROOT }).flatMap((file) =>
      [...textOf(file).matchAll(/`batchdrop ([a-z]+)/g)].map(([, command]) => ({ file, command: command! })),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter(({ command }) => !known.includes(command))).toEqual([]);
  });
});

/** All others are typed by test/system/e2e/runbook.test.ts. */
describe('lines of a shell that need AWS or OpenAI itself', () => {
  const lines = [
    'docs/runbook.md',
    'docs/cli.md',
    'README.md',
    'docs/deploy.md',
    'docs/variants.md',
    'docs/packages.md',
    'docs/security.md',
    'docs/roles.md',
    'docs/recovery.md',
  ].flatMap((document) =>
    [...textOf(document).matchAll(/^ *```sh\n([\s\S]*?)^ *```/gm)].flatMap(([, block]) => block!.split('\n')),
  );
  const isMarked = (line: string): boolean => /# not run here: needs (?:AWS|OpenAI)/.test(line);
  /** What neither the local stack nor the emulator answers. */
  const needsMore = (line: string): boolean =>
    /\baws cloudformation (?:detect|describe-stack-resource-)|\baws (?:logs|events|lambda|iam|service-quotas|dynamodb|cloudwatch)\b|\bnpx cdk (?:bootstrap|deploy|diff|destroy)\b|^deploy\b|^git |^curl /.test(
      line,
    );

  it('say in the document that they were not run, and no other line does', () => {
    expect(lines.filter(isMarked).length).toBeGreaterThan(20);
    expect(lines.filter((line) => isMarked(line) !== needsMore(line))).toEqual([]);
  });
});
