import type { BatchKey } from '../../model/batch.ts';

/**
 * What came of a look. `ours`: it is recorded; `early`: it is ours and cannot be recorded yet; `foreign`: it is not
 * ours.
 */
export type Look =
  | { found: 'ours'; batch: BatchKey; apiKey: string }
  | { found: 'early' }
  | { found: 'foreign' };
