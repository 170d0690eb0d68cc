/**
 * Ingest over many invocations on the synthesized stack: see bench/continuation.ts, which does the same with gigabytes.
 */
import { expect, test } from 'vitest';
import { runContinuation } from '../../../bench/continuation.ts';

test('a file that outlasts its function, killed at a checkpoint, comes out as of one pass', {
  timeout: 240_000,
}, async () => {
  const report = await runContinuation({ bytes: 300_000_000, timeoutMs: 3_000, say: () => {} });
  // How many there are depends on the machine; that what comes out is the same does not.
  expect(report.duplicates).toBe(2);
  expect(report.peakRssMb).toBeLessThan(report.memoryMb);
});
