import { expect, test } from 'vitest';
import { retryName, retryOfKey } from '../../../../src/core/model/retry-key.ts';

const [FIRST, SECOND] = ['a', 'b'].map((digit) => digit.repeat(32)) as [string, string];

test('the key of a retry says which job it is of, and which retry of it', () => {
  const retry = { jobId: FIRST, number: 12 };
  for (const stem of ['input/nightly/films.', 'input/', 'films-'])
    expect(retryOfKey(`${stem}${retryName(retry)}`)).toEqual(retry);
});

test('the key of a retry of a retry names the job that it is of itself', () => {
  const first = `input/films.${retryName({ jobId: FIRST, number: 1 })}`;
  const again = `${first.slice(0, -'.jsonl'.length)}.${retryName({ jobId: SECOND, number: 2 })}`;
  expect(retryOfKey(again)).toEqual({ jobId: SECOND, number: 2 });
});

test('any other key names none', () => {
  for (const key of [
    'input/films.jsonl',
    'input/retry-1-of-films.jsonl',
    `input/retry-1-of-${FIRST.slice(1)}.jsonl`,
    `input/retry-1-of-${FIRST}/films.jsonl`,
    `input/${retryName({ jobId: FIRST, number: 1 })}.options.json`,
  ])
    expect(retryOfKey(key), key).toBeUndefined();
});
