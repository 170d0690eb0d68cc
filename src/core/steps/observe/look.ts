import type { BatchKey } from '../../model/batch.ts';

/**
 * What came of a look. `ours`: it is recorded; `early`: it is ours and cannot be recorded yet; `missing`: the provider
 * does not know it, or not yet: nobody knows whose it is; `foreign`: it is not ours.
 */
export type Look =
  | { found: 'ours'; batch: BatchKey; apiKey: string }
  | { found: 'early' }
  | { found: 'missing' }
  | { found: 'foreign' };
