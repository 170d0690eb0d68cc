/** What a receipt says of the prices that it reckons with. */
import { expect, test } from 'vitest';
import { DAY_MS } from '../../../src/contract/time.ts';
import { Prices } from '../../../src/core/pricing/prices.ts';
import { OPENAI_PRICES } from '../../../src/providers/openai/prices/table.ts';
import { startPipeline } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const LINE = JSON.stringify({
  custom_id: 'a',
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-6-luna', messages: [{ role: 'user', content: 'hi' }] },
});

/** The day that is so long before now, by the clock of the pipeline. */
async function receiptWith(ageDays: number) {
  const clock = await startPipeline();
  const date = new Date(clock.deps.ambient.now() - ageDays * DAY_MS).toISOString().slice(0, 10);
  await clock.stop();
  const p = await startPipeline({ prices: new Prices({ ...OPENAI_PRICES, date }) });
  try {
    await p.drop(KEY, LINE);
    await p.run(48);
    return { date, prices: (await p.receipt(KEY)).prices };
  } finally {
    await p.stop();
  }
}

test('a receipt says the day of the price table', async () => {
  const { date, prices } = await receiptWith(30);
  expect(prices).toEqual({ date });
});

test('a receipt warns if the price table is more than 60 days old', async () => {
  const { date, prices } = await receiptWith(90);
  expect(prices.date).toBe(date);
  expect(prices.warning).toMatch(
    new RegExp(`^The price table is of ${date}, 9\\d days ago: prices may have changed`),
  );
});
