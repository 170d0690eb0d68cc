import { expect, test } from 'vitest';
import {
  inputFilename,
  inputFileOf,
  isOurs,
  needsInputFile,
  recordKeyOf,
  requireOwnershipProof,
  UnprovenOwnershipError,
} from '../../../../src/core/lifecycle/ownership.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { INLINE_RULES } from '../../../support/memory/inline-provider.ts';
import { attemptOf, batchOf } from '../../../support/records.ts';

test('a provider that keeps metadata with its batches is put together with the core as it is', () => {
  expect(requireOwnershipProof(OPENAI_RULES)).toBe(OPENAI_RULES);
});

test('a provider that keeps none is refused: a create whose answer was lost could be paid for twice', () => {
  expect(() => requireOwnershipProof(INLINE_RULES)).toThrow(UnprovenOwnershipError);
  expect(() => requireOwnershipProof(INLINE_RULES)).toThrow(
    /Inline says ownership "none".*Expected is "metadata"/,
  );
});

const KEY = { jobId: 'c0ffee', batchId: '0-00003' };

test('an input file is found by its name, of this stack only', () => {
  const name = inputFilename('stack-1', KEY, 'ab12');
  expect(inputFileOf('stack-1', name)).toEqual(KEY);
  expect(inputFileOf('stack-2', name)).toBeUndefined();
  expect(inputFileOf('stack', name)).toBeUndefined();
});

test.each([
  'report.jsonl',
  'batchdrop-stack-1-c0ffee.jsonl',
  'batchdrop-stack-1-c0ffee-0-00003-ab12.txt',
  'batchdrop-stack-1-a-b-0-00003-ab12.jsonl',
])('%s is the input file of no batch', (name) => {
  expect(inputFileOf('stack-1', name)).toBeUndefined();
});

test('a batch of somebody else is not ours, and metadata that lack a part say nothing', () => {
  const metadata = {
    batchdrop_stack: 'stack-1',
    batchdrop_job: 'c0ffee',
    batchdrop_batch: '0-00003',
    batchdrop_nonce: 'ab12',
  };
  expect(isOurs('stack-1', { metadata })).toBe(true);
  expect(isOurs('stack-2', { metadata })).toBe(false);
  expect(isOurs('stack-1', { metadata: {} })).toBe(false);
  expect(recordKeyOf({ metadata })).toEqual({ ...KEY, nonce: 'ab12' });
  expect(recordKeyOf({ metadata: { ...metadata, batchdrop_nonce: '' } })).toBeUndefined();
});

test('an input file is needed by the record that names it, until its batch is collected', () => {
  const batch = batchOf('c0ffee', 0, { state: 'submitted', attempt: attemptOf({ inputFileId: 'file-1' }) });
  expect(needsInputFile(batch, 'file-1')).toBe(true);
  expect(needsInputFile(batch, 'file-2')).toBe(false);
  expect(needsInputFile({ ...batch, state: 'collected' }, 'file-1')).toBe(false);
  expect(needsInputFile(undefined, 'file-1')).toBe(false);
});
