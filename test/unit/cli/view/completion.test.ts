import { execFileSync } from 'node:child_process';
import { Command, Option } from 'commander';
import { expect, test } from 'vitest';
import { completionScript, nodesOf, SHELLS } from '../../../../cli/view/completion.ts';

function program(): Command {
  const root = new Command('batchdrop').option('--version', 'of it');
  root
    .command('results')
    .description("what came out; a job's files")
    .argument('<job>')
    .option('--out <dir>', 'folder')
    .addOption(new Option('--file <which>', 'what is printed').choices(['output', 'errors']))
    .option('--json', 'as JSON');
  const local = root.command('local').description('on this machine');
  local.command('up').description('keep running').option('--port <port>', 'port of S3');
  return root;
}

/** What bash proposes for the words of a line; the last one is being typed. */
function bash(...words: string[]): string[] {
  const script = `${completionScript(program(), 'bash')}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_batchdrop
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8', cwd: import.meta.dirname })
    .trim()
    .split('\n');
}

test('every command of the tree is there with its options', () => {
  expect(nodesOf(program()).map(({ path }) => path)).toEqual(['', 'results', 'local', 'local up']);
  const options = nodesOf(program())[1]!.options.map(({ flag }) => flag);
  expect(options).toEqual(expect.arrayContaining(['--out', '--file', '--json']));
});

test('bash proposes commands, those below a command, options, and the choices of an option', () => {
  expect(bash('batchdrop', 're')).toEqual(['results']);
  expect(bash('batchdrop', 'local', '')).toEqual(['up', '--help']);
  expect(bash('batchdrop', 'local', 'up', '--p')).toEqual(['--port']);
  expect(bash('batchdrop', 'results', 'a', '--j')).toEqual(['--json']);
  expect(bash('batchdrop', 'results', 'a', '--file', '')).toEqual(['output', 'errors']);
});

test('bash proposes files where a value or an argument is free', () => {
  expect(bash('batchdrop', 'results', '--out', 'completion')).toEqual(['completion.test.ts']);
  expect(bash('batchdrop', 'results', 'completion')).toEqual(['completion.test.ts']);
});

test.each(SHELLS)('the script of %s names every command and option, with texts quoted', (shell) => {
  const script = completionScript(program(), shell);
  for (const word of ['results', 'local', 'up', 'port', 'out', 'json']) expect(script).toContain(word);
  if (shell !== 'bash') expect(script).toContain('what came out');
  expect(script).not.toContain('undefined');
});
