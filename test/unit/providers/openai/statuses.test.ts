import { expect, test } from 'vitest';
import { BATCH_STATUSES } from '../../../../src/core/model/batch.ts';
import { statusOf } from '../../../../src/providers/openai/statuses.ts';

test.each(BATCH_STATUSES)('%s is its own word', (status) => {
  expect(statusOf(status)).toEqual({ status });
});

test.each([
  ['Validating', { status: 'validating', rawStatus: 'Validating' }],
  ['COMPLETED', { status: 'completed', rawStatus: 'COMPLETED' }],
  ['queued_by_someone', { status: 'in_progress', rawStatus: 'queued_by_someone' }],
  ['', { status: 'in_progress', rawStatus: '' }],
])('%j is kept beside the status', (raw, expected) => {
  expect(statusOf(raw)).toEqual(expected);
});
