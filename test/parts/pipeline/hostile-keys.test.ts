/**
 * Who drops a file chooses its key. No key may hold up the functions that look at it: ingest, and the poll's listing.
 */

import { expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { startPipeline } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

/** A matcher that backtracks takes over 20 s for each of them; the bound is for a busy machine. */
const MAX_MS = 5_000;
const settings = settingsSchema.parse({
  routes: [
    { ...BATCH_ONLY, name: 'all', prefix: 'input/', match: ['**/*_*_*_*.jsonl'], ignore: ['**/*_*_*_*.tmp'] },
  ],
});
const keys = ['_'.repeat(1_000), `${'_'.repeat(990)}.jsonl_`, `${'_'.repeat(990)}.tmp`, '_/'.repeat(500)];

test('a key of 1,000 "_" against four stars is judged at once by ingest', async () => {
  const pipeline = await startPipeline({ settings });
  try {
    const before = performance.now();
    for (const key of keys) await pipeline.drop(`input/${key}`, '');
    expect(performance.now() - before).toBeLessThan(MAX_MS);
    expect(pipeline.deps.outbox.messages).toEqual([]);
  } finally {
    await pipeline.stop();
  }
});

test('and by the listing, so that what else lies there is found', async () => {
  const pipeline = await startPipeline({ settings });
  try {
    const { objects, outbox } = pipeline.deps;
    await poll(pipeline.deps);
    pipeline.emulator.clock.advance(HOUR_MS);
    for (const key of [...keys, 'a_b_c_d.jsonl']) await objects.put(`input/${key}`, Buffer.from(''));
    pipeline.emulator.clock.advance(2 * HOUR_MS);
    const before = performance.now();
    await poll(pipeline.deps);
    expect(performance.now() - before).toBeLessThan(MAX_MS);
    expect(outbox.messages.map(({ message }) => message)).toMatchObject([{ key: 'input/a_b_c_d.jsonl' }]);
  } finally {
    await pipeline.stop();
  }
});
