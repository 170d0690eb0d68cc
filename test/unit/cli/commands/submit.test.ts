import { expect, test } from 'vitest';
import { nextCommand } from '../../../../cli/commands/submit.ts';

const JOB = { jobId: 'a'.repeat(32), key: 'input/films.jsonl' };

test('what was dropped is followed by the command that watches it, on the stack that it was dropped into', () => {
  expect(nextCommand([JOB], '')).toBe('batchdrop watch input/films.jsonl');
  expect(nextCommand([JOB], '--local')).toBe('batchdrop watch input/films.jsonl --local');
});

test('a key that a shell takes apart is named by its job, several files by the list of live jobs, options by nothing', () => {
  const spaced = { ...JOB, key: 'input/two films.jsonl' };
  expect(nextCommand([spaced], '')).toBe(`batchdrop watch ${JOB.jobId}`);
  expect(nextCommand([JOB, spaced], '--local')).toBe('batchdrop jobs --status live --local');
  expect(nextCommand([], '')).toBeUndefined();
});
