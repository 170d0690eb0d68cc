import { expect, test } from 'vitest';
import { logText, logTexts, readLogLine, sortedByTime } from '../../../../cli/view/log-view.ts';

const LINE = {
  level: 'WARN',
  message: 'The batch failed.',
  timestamp: '2026-11-30T12:00:00.123Z',
  service: 'collect',
  function_name: 'f',
  xray_trace_id: '1-2',
  jobId: 'j',
  batchId: '0-00000',
  openaiBatchId: 'batch_1',
  code: 'server_error',
  waitMs: 5,
  event: 'batch.resent',
};

test('a log line is one line of plain words with the fields of its event, and nothing of what the logger adds', () => {
  const line = readLogLine(JSON.stringify(LINE))!;
  expect(line).toMatchObject({ event: 'batch.resent', at: Date.UTC(2026, 10, 30, 12, 0, 0, 123) });
  expect(line.fields).not.toHaveProperty('xray_trace_id');
  expect(logText(line)).toBe(
    '2026-11-30T12:00:00.123Z  collect   WARN The batch failed.  batchId=0-00000 openaiBatchId=batch_1 code=server_error waitMs=5',
  );
});

test('what several batches have in one second is one line with their count, and what differs stays separate', () => {
  const of = (changes: object) => readLogLine(JSON.stringify({ ...LINE, ...changes }))!;
  const batches = Array.from({ length: 19 }, (_, index) =>
    of({
      batchId: `0-000${index}`,
      openaiBatchId: undefined,
      timestamp: `2026-11-30T12:00:00.${100 + index}Z`,
    }),
  );
  const others = [
    of({ waitMs: 6, openaiBatchId: undefined }),
    of({ openaiBatchId: undefined, timestamp: '2026-11-30T12:00:01.100Z' }),
  ];
  expect(logTexts([...batches, ...others])).toEqual([
    '2026-11-30T12:00:00.100Z  collect   WARN The batch failed.  code=server_error waitMs=5  × 19',
    '2026-11-30T12:00:00.123Z  collect   WARN The batch failed.  batchId=0-00000 code=server_error waitMs=6',
    '2026-11-30T12:00:01.100Z  collect   WARN The batch failed.  batchId=0-00000 code=server_error waitMs=5',
  ]);
  const twice = [of({}), of({})];
  expect(logTexts(twice)[0]).toMatch(/ batchId=0-00000 .* × 2$/);
});

test('lines are in the order of time; what is no event is left out, one of another version is kept', () => {
  const at = (timestamp: string) => readLogLine(JSON.stringify({ ...LINE, timestamp }))!;
  const sorted = sortedByTime([at('2026-11-30T12:00:02Z'), at('2026-11-30T12:00:01Z')]);
  expect(sorted.map((line) => line.at)).toEqual([
    Date.UTC(2026, 10, 30, 12, 0, 1),
    Date.UTC(2026, 10, 30, 12, 0, 2),
  ]);
  expect(readLogLine('START RequestId: 1')).toBeUndefined();
  expect(readLogLine('{"type":"platform.report"}')).toBeUndefined();
  expect(readLogLine(JSON.stringify({ ...LINE, event: 'brand.new' }))?.fields).toEqual({ jobId: 'j' });
});
