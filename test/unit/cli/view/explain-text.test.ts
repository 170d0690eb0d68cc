import { expect, test } from 'vitest';
import type { Explanation, Wait } from '../../../../cli/view/explain.ts';
import { commandsOf, explanationText, withStack, withStackFlags } from '../../../../cli/view/explain-text.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const HELD: Wait = {
  code: 'held',
  reason: 'server_error',
  batches: 1,
  requests: 3,
  text: 'held for a person: OpenAI refused it with code server_error',
  moves: 'Look the code up in the logs and at OpenAI, and fix what it says. Then release what is held.',
  command: 'batchdrop resume j',
  since: NOW - 7_200_000,
};
const explanationOf = (waits: Wait[]): Explanation => ({
  jobId: 'j',
  key: 'input/j.jsonl',
  phase: 'running',
  hasEnded: false,
  requests: { total: 3, done: 0 },
  waits,
});

test('a person reads it within the width of the terminal, the command on a line of its own', () => {
  expect(explanationText(explanationOf([HELD]), NOW, 60)).toBe(
    [
      'input/j.jsonl (job j): running, 0 of 3 requests done.',
      '',
      '1 batch (3 requests): held for a person: OpenAI refused it',
      'with code server_error, since 2026-11-30T10:00:00Z (2 h',
      'ago).',
      '  Look the code up in the logs and at OpenAI, and fix what',
      '  it says. Then release what is held.',
      '  $ batchdrop resume j',
    ].join('\n'),
  );
});

test('a second command stands below the first one', () => {
  const both = { ...HELD, otherCommand: 'batchdrop cancel j' };
  expect(explanationText(explanationOf([both]), NOW, 80)).toMatch(
    /\n {2}\$ batchdrop resume j\n {2}\$ batchdrop cancel j$/,
  );
});

test('a command of ours gets the options that name the stack, another one does not', () => {
  expect(withStack('batchdrop resume j', '--local')).toBe('batchdrop resume j --local');
  expect(withStack('batchdrop resume j', '')).toBe('batchdrop resume j');
  expect(withStack('aws s3 ls', '--stack films')).toBe('aws s3 ls');
});

test('both commands of a reason get the options that name the stack, and a reason without one keeps none', () => {
  const both = { ...HELD, command: 'aws s3 ls', otherCommand: 'batchdrop resume j' };
  expect(commandsOf(withStackFlags(both, '--local'))).toEqual(['aws s3 ls', 'batchdrop resume j --local']);
  const { command: _, ...none } = HELD;
  expect(withStackFlags(none, '--local')).toEqual(none);
});
