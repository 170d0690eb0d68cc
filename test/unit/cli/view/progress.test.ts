import { expect, test } from 'vitest';
import { jobView } from '../../../../cli/view/job-view.ts';
import { describeJob, fitColumns, ProgressDisplay } from '../../../../cli/view/progress.ts';
import { jobOf } from '../../../support/records.ts';

test.each([
  ['plain.jsonl', 5, 'plain'],
  ['日本語.jsonl', 5, '日本'],
  ['日本語.jsonl', 6, '日本語'],
  ['한국어.jsonl', 7, '한국어.'],
  ['👩‍💻🎉.jsonl', 3, '👩‍💻'],
  ['e\u0301te\u0301.jsonl', 3, 'e\u0301te\u0301'],
  ['a\nb\tc.jsonl', 5, 'a?b?c'],
  ['short', 80, 'short'],
])('of "%s" in %i columns "%s" is shown', (text, columns, shown) => {
  expect(fitColumns(text, columns)).toBe(shown);
});

test('on a terminal each line is as long as its columns at most, so that it can be drawn over', () => {
  const written: string[] = [];
  const stream = { isTTY: true, columns: 20, write: (text: string) => written.push(text) };
  const display = new ProgressDisplay(stream as unknown as NodeJS.WriteStream, () => 0);
  display.show([{ name: '映画.jsonl', text: '3 of 3,201 requests' }]);
  display.show([{ name: '映画.jsonl', text: 'done' }]);
  expect(written).toEqual(['0:00  映画.jsonl  3\n', '\x1b[1A\x1b[J', '0:00  映画.jsonl  d\n']);
});

test('of a duplicate it says that it is not run, what it waits for, and how far that is', () => {
  const owner = jobOf('owner');
  const waiting = { ...jobOf('again'), state: 'duplicate', duplicateOf: 'owner' } as const;
  expect(describeJob(jobView({ job: waiting, owner, batches: [] }))).toBe(
    'not run: the same content as job owner; waiting for it · checking lines',
  );
  const answered = { ...waiting, receiptKey: 'receipts/a.again.json', result: 'duplicate' } as const;
  expect(describeJob(jobView({ job: answered, owner, batches: [] }))).toBe(
    'not run: the same content as job owner',
  );
  expect(describeJob(jobView({ job: { ...answered, result: 'rejected' }, owner, batches: [] }))).toBe(
    'cancelled: the same content as job owner',
  );
});
