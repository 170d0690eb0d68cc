/**
 * Deadlines on the synthesized stack, with every batch stalled: what there is time for decides the tier, and so the
 * price.
 */
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { responseLine } from '../../support/background.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';

/** By route: its deadline in hours, the cheapest tier that can meet it, and what that costs of the standard price. */
const ROUTES = [
  { name: 'half-a-day', hours: 12, tier: 'background-8h', ledgerTier: 'background-8h', share: 0.6 },
  { name: 'half-a-shift', hours: 4, tier: 'background-2h', ledgerTier: 'background-2h', share: 0.7 },
  { name: 'now', hours: 1, tier: 'standard', ledgerTier: 'default', share: 1 },
];
const SETTINGS = settingsSchema.parse({
  routes: ROUTES.map(({ name, hours }) => ({
    name,
    prefix: `input/${name}/`,
    tiers: ['batch', 'background-8h', 'background-2h', 'standard'],
    deadline: `${hours}h`,
    // Room for all of a job at a time, at the standard rate: what waits for money misses its window.
    budget: { perJobUsd: '500' },
  })),
});
/** USD per token of gpt-6.2-sol in standard, as its model page says (2026-11). */
const INPUT_USD = 2 / 1_000_000;
const OUTPUT_USD = 10 / 1_000_000;
const IDS = Array.from({ length: 20 }, (_, index) => `id-${index}`);

test('jobs whose batches stall are answered in time, each in the cheapest tier that can, and nothing is paid twice', {
  timeout: 300_000,
}, async () => {
  const { clock, emulator, drop, read, poll } = await startEmulatedStack({
    settings: SETTINGS,
    faults: { rules: [{ match: {}, effect: { kind: 'batch.stuck', state: 'in_progress' } }] },
  });
  const droppedAt = clock.now();
  for (const { name } of ROUTES)
    await drop(`input/${name}/a.jsonl`, IDS.map((id) => responseLine(`${name} ${id}`)).join('\n'));
  const receipts = new Map<string, string>();
  while (receipts.size < ROUTES.length && clock.now() < droppedAt + 13 * HOUR_MS) {
    await poll(5 * MINUTE_MS);
    for (const { name } of ROUTES) {
      const receipt = receipts.has(name) ? undefined : await read(`receipts/${name}/a.json`);
      if (receipt !== undefined) receipts.set(name, receipt);
    }
  }
  const paid = (await emulator.ledger.all()).filter(
    ({ status, billed_tokens }) => status === 200 || billed_tokens > 0,
  );
  expect(new Set(paid.map(({ request_hash }) => request_hash)).size).toBe(paid.length);
  for (const { name, hours, tier, ledgerTier, share } of ROUTES) {
    const receipt = receiptSchema.parse(JSON.parse(receipts.get(name)!));
    expect(receipt.result).toBe('succeeded');
    expect(receipt.possiblyBilledTwice).toEqual({});
    expect(Date.parse(receipt.timings.completedAt) - droppedAt).toBeLessThan(hours * HOUR_MS);
    const lines = (await read(`output/${name}/a.jsonl`))!.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).custom_id)).toEqual(IDS.map((id) => `${name} ${id}`));
    // What a batch has answered before it stalled was cheaper still.
    const rows = paid.filter((row) => row.tier === ledgerTier || row.custom_id?.startsWith(`${name} `));
    expect(rows).toHaveLength(IDS.length);
    const usd = rows.reduce((sum, row) => {
      expect(row.rate).toBe(row.tier === 'batch' ? 0.5 : share);
      const { input, output } = row.usage;
      return sum + row.rate! * (input * INPUT_USD + output * OUTPUT_USD);
    }, 0);
    expect(Object.keys(receipt.cost.byTier).filter((billed) => billed !== 'batch')).toEqual([tier]);
    expect(Number(receipt.cost.usd)).toBeCloseTo(usd, 9);
  }
});
