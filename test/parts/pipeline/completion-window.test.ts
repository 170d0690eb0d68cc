/** Services that are compatible with OpenAI take other completion windows: what hangs on the window follows it. */
import { expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { nextRound } from '../../../src/core/lifecycle/rounds.ts';
import { completionWindowMs } from '../../../src/core/lifecycle/time-limits.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type Pipeline } from '../../support/pipeline.ts';
import { resultsOf } from '../../support/records.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const FILE = 'input/a.jsonl';

/** A file on a route with a window; the service takes any, and does not say when a batch expires. */
async function dropWith(completionWindow: string | undefined) {
  const settings = settingsSchema.parse({
    routes: [{ ...BATCH_ONLY, name: 'r', prefix: 'input/', onLost: 'resubmit', completionWindow }],
  });
  const p = await startTestPipeline({ settings });
  const asked: (string | undefined)[] = [];
  const { createBatch, getBatch, listBatches } = p.deps.batches;
  p.deps.batches.createBatch = async ({ completionWindow: window, ...batch }) => {
    asked.push(window);
    const { expiresAt: _, ...created } = await createBatch.call(p.deps.batches, batch);
    return created;
  };
  await p.drop(FILE, [chatLine('a'), chatLine('b')].join('\n'));
  await p.drain();
  return { p, asked, getBatch, listBatches };
}

async function batchesOf(p: Pipeline): Promise<BatchRecord[]> {
  for await (const { jobId } of p.deps.jobs.listAtOpenAI()) return p.deps.jobs.listBatches(jobId);
  return [];
}

test('the create says the window of the route, and the next round keeps it', async () => {
  const { p, asked } = await dropWith('3d');
  expect(asked).toEqual(['3d']);
  const [batch] = await batchesOf(p);
  expect(batch).toMatchObject({ completionWindow: '3d' });
  const child = { manifestKey: 'm', requests: 1, bytes: 10 };
  const [next] = nextRound({ ...batch!, results: resultsOf({ next: [child] }) }, 0);
  expect(completionWindowMs(next!)).toBe(72 * HOUR_MS);
  await p.run();
  expect((await p.receipt(FILE)).result).toBe('succeeded');
});

test('without the setting it is that of OpenAI, and no record names it', async () => {
  const { p, asked } = await dropWith(undefined);
  expect(asked).toEqual([undefined]);
  const [batch] = await batchesOf(p);
  expect(batch).not.toHaveProperty('completionWindow');
  expect(completionWindowMs(batch!)).toBe(24 * HOUR_MS);
});

test.each([
  ['24h', 26],
  ['3d', 74],
])(
  'a batch that the service forgot runs again only after its window of %s: %i hours',
  async (window, hours) => {
    const { p, asked, listBatches } = await dropWith(window);
    p.deps.batches.getBatch = async () => undefined;
    p.deps.batches.listBatches = async (after) => {
      const page = await listBatches.call(p.deps.batches, after);
      return { ...page, batches: [] };
    };
    await poll(p.deps);
    const { clock } = p.emulator;
    clock.advance((hours - 0.5) * HOUR_MS);
    await poll(p.deps);
    await p.drain();
    expect(asked).toHaveLength(1);
    clock.advance(HOUR_MS);
    await poll(p.deps);
    await p.drain();
    await poll(p.deps);
    await p.drain();
    expect(asked).toEqual([window, window].map((each) => (each === '24h' ? undefined : each)));
  },
);
