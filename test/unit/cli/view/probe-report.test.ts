import { expect, test } from 'vitest';
import { reportOf, reportText } from '../../../../cli/view/probe-report.ts';

test('the report says what was answered, what was not and why, and what was not tried', () => {
  const text = reportText(
    reportOf({
      at: '2026-11-30T12:00:00.000Z',
      host: 'api.openai.com',
      version: '1.0.0',
      model: 'gpt-x',
      atMostUsd: '0.0001',
      probes: [
        { name: 'one', asks: 'First?', answer: 'yes' },
        { name: 'two', asks: 'Second?', seen: { kind: 'list', batches: 0, isNewestFirst: true } },
        { name: 'three', asks: 'Third?', failure: 'HTTP 401' },
      ],
    }),
  );
  expect(text).toContain('Probes of api.openai.com by batchdrop 1.0.0, 2026-11-30T12:00:00.000Z');
  expect(text).toContain('one: First?\n  yes');
  expect(text).toContain('two: Second?\n  not answered by what was seen');
  expect(text).toContain('three: Third?\n  failed: HTTP 401');
  expect(text).toContain('Not tried:\n  the unit of the 200 MB limit: it takes uploads of 200 MB');
});
