import { expect, test } from 'vitest';
import { type Column, tableLines } from '../../../../cli/view/table-text.ts';

interface Row {
  state: string;
  key: string;
  cost: string;
  job: string;
}
const COLUMNS: Column<Row>[] = [
  { heading: 'STATE', of: ({ state }) => state },
  { heading: 'KEY', of: ({ key }) => key, takesRest: true },
  { heading: 'COST', of: ({ cost }) => cost, isNumber: true },
  { heading: 'JOB', of: ({ job }) => job },
];
const ROWS = [
  { state: 'running', key: `input/${'deep/'.repeat(20)}films.jsonl`, cost: '$1.00', job: 'a'.repeat(32) },
  { state: 'rejected', key: 'input/b.jsonl', cost: '', job: 'b'.repeat(32) },
];

test('a table is never wider than the terminal; columns that have no room are left out, keys lose their middle', () => {
  expect(tableLines(COLUMNS, ROWS, 60)).toEqual([
    'STATE     KEY                                           COST',
    'running   input/deep/deep/deep/…deep/deep/films.jsonl  $1.00',
    'rejected  input/b.jsonl',
  ]);
  for (const width of [1, 20, 40, 60, 80, 120, 300])
    for (const line of tableLines(COLUMNS, ROWS, width)) expect(line.length).toBeLessThanOrEqual(width);
  expect(tableLines(COLUMNS, ROWS, 120)[1]).toMatch(/films\.jsonl {2}\$1\.00 {2}a{32}$/);
});

test('the key of a retry keeps its name and its end, where both do not fit whole', () => {
  const key = `input/films.retry-1-of-${'58898dc6'.repeat(4)}.jsonl`;
  const [, row] = tableLines(COLUMNS, [{ state: 'running', key, cost: '', job: '' }], 40);
  expect(row).toBe('running  input/film…dc6.jsonl');
});

test('a column that is wider than what is left does not take narrower ones behind it along', () => {
  const columns = [COLUMNS[0]!, COLUMNS[3]!, COLUMNS[2]!];
  expect(tableLines(columns, ROWS, 20)).toEqual(['STATE      COST', 'running   $1.00', 'rejected']);
});

test('a table without rows has its headings', () => {
  expect(tableLines(COLUMNS, [], 80)).toEqual(['STATE  KEY  COST  JOB']);
});
