import { expect, test } from 'vitest';
import { requireOwnershipProof, UnprovenOwnershipError } from '../../../../src/core/lifecycle/ownership.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { INLINE_RULES } from '../../../support/memory/inline-provider.ts';

test('a provider that keeps metadata with its batches is put together with the core as it is', () => {
  expect(requireOwnershipProof(OPENAI_RULES)).toBe(OPENAI_RULES);
});

test('a provider that keeps none is refused: a create whose answer was lost could be paid for twice', () => {
  expect(() => requireOwnershipProof(INLINE_RULES)).toThrow(UnprovenOwnershipError);
  expect(() => requireOwnershipProof(INLINE_RULES)).toThrow(
    /Inline says ownership "none".*Expected is "metadata"/,
  );
});
