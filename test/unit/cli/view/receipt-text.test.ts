import { expect, test } from 'vitest';
import { exitOf } from '../../../../cli/view/receipt-text.ts';
import type { Receipt } from '../../../../src/contract/receipt.ts';

test.each<[Partial<Receipt>, number]>([
  [{ result: 'succeeded' }, 0],
  [{ result: 'partial' }, 3],
  [{ result: 'rejected' }, 3],
  [{ result: 'duplicate', duplicateOf: { jobId: 'o', result: 'succeeded' } }, 0],
  [{ result: 'duplicate', duplicateOf: { jobId: 'o', result: 'failed' } }, 3],
])('a receipt of %j ends a command with %i', (receipt, status) => {
  expect(exitOf([receipt as Receipt])).toBe(status);
});
