import { expect, test } from 'vitest';
import type { ExplainFacts } from '../../../../cli/view/explain.ts';
import { statusOf, statusText } from '../../../../cli/view/status-view.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { batchOf, cutBatches, jobOf, remoteOf, resultsOf } from '../../../support/records.ts';
import { explainFactsOf } from './explain-facts.ts';

const NOW = Date.UTC(2026, 10, 30, 12);

const factsOf = (batches: BatchRecord[]): ExplainFacts => explainFactsOf(batches, NOW);
const textOf = (batches: BatchRecord[]): string => statusText(statusOf(factsOf(batches), []), NOW, 120, '');

test('of a batch that was cut, its parts are shown, and none of its requests was sent once more', () => {
  const text = textOf(cutBatches('j'));
  expect(text).toContain('  batches   20: 1 collected, 19 planned');
  expect(text).toContain('  requests  1 of 20 have a result');
  expect(text).not.toContain('retries');
});

test('requests that an expired batch left were sent once more', () => {
  const next = [{ manifestKey: 'work/j/next', requests: 2, bytes: 200 }];
  const expired = batchOf('j', 0, {
    state: 'collected',
    remote: remoteOf({ status: 'expired' }),
    results: resultsOf({ outcome: { succeeded: 1, retried: 2 }, next }),
  });
  const again = batchOf('j', 0, { batchId: '1-00000', round: 1, requests: 2 });
  expect(textOf([expired, again])).toContain('  retries   2 requests sent once more');
});

test('of a job whose removal has begun, since when, and the command that continues it', () => {
  const records = { job: jobOf('j', { state: 'completed', forgettingAt: NOW - 60_000 }), batches: [] };
  const text = statusText(statusOf({ ...factsOf([]), records }, []), NOW, 120, '');
  expect(text).toContain('  forgotten is being removed since 2026-11-30T11:59:00Z');
  expect(text).toContain('$ batchdrop forget j');
  expect(textOf([])).not.toContain('being removed');
});
