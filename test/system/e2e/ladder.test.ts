/**
 * A deadline on the synthesized stack: batches that stall, flex that is refused every other time or for good, and
 * standard.
 */
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';

const POLL_MS = 5 * 60_000;
const DEADLINE_MS = 2 * 3_600_000;
const SETTINGS = settingsSchema.parse({
  routes: [
    {
      name: 'today',
      prefix: 'input/',
      tiers: ['batch', 'flex', 'standard'],
      deadline: '2h',
      budget: { perJobUsd: '5' },
    },
  ],
});
const IDS = Array.from({ length: 60 }, (_, index) => `id-${index}`);

test('a job whose batch stalls is complete before its deadline, through flex and standard, and nothing is paid twice', {
  timeout: 240_000,
}, async () => {
  const { clock, emulator, drop, read, poll } = await startEmulatedStack({
    settings: SETTINGS,
    faults: {
      rules: [
        { match: {}, effect: { kind: 'batch.stuck', state: 'in_progress' } },
        { match: { tier: '^flex$' }, share: 0.5, effect: { kind: 'line.resource_unavailable' } },
        { match: { model: '^gpt-4o' }, effect: { kind: 'line.no_flex' } },
      ],
    },
  });
  // Embeddings have no flex tier, as their endpoint tells: they go from batch to standard. Of a model OpenAI tells.
  const body = IDS.map((id, index) =>
    index % 3 < 2
      ? chatLine(id, index % 3 === 0 ? {} : { model: 'gpt-4o-mini' })
      : JSON.stringify({
          custom_id: id,
          method: 'POST',
          url: '/v1/embeddings',
          body: { model: 'text-embedding-3-small', input: id },
        }),
  );
  const droppedAt = clock.now();
  await drop('input/a.jsonl', body.join('\n'));
  let receipt: string | undefined;
  while (receipt === undefined && clock.now() < droppedAt + 2 * DEADLINE_MS) {
    await poll(POLL_MS);
    receipt = await read('receipts/a.json');
  }
  const { result, timings, possiblyBilledTwice, cost } = receiptSchema.parse(JSON.parse(receipt!));
  expect(result).toBe('succeeded');
  expect(possiblyBilledTwice).toEqual({});
  expect(Date.parse(timings.completedAt)).toBeLessThan(droppedAt + DEADLINE_MS);
  const output = (await read('output/a.jsonl'))!.trimEnd().split('\n');
  expect(output.map((line) => JSON.parse(line).custom_id)).toEqual(IDS);
  const answers = (await emulator.ledger.all()).filter(({ status }) => status === 200);
  expect(new Set(answers.map(({ request_hash }) => request_hash)).size).toBe(IDS.length);
  expect(answers).toHaveLength(IDS.length);
  const tiers = answers.map(({ tier, model }) => `${model?.replace(/-\d{4}-.*/, '')}: ${tier}`);
  expect([...new Set(tiers)].sort()).toEqual([
    'gpt-4o-mini: default',
    'gpt-6-luna: flex',
    'text-embedding-3-small: default',
  ]);
  expect(Object.keys(cost.byTier).sort()).toEqual(['flex', 'standard']);
});
