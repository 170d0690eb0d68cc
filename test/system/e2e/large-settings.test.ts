/** 200 routes with 50 API keys, deployed and run on this machine: each file goes with its route and its key. */

import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { manyRoutes } from '../../support/routes.ts';

test('a file of the 150th of 200 routes is run with its key, one of 50', { timeout: 240_000 }, async () => {
  const { emulator, drop, read, poll } = await startEmulatedStack({
    settings: { routes: manyRoutes(200, 50) },
    apiKeys: { 'sk-own': 'proj_own', 'sk-49': 'proj_49' },
    keys: { default: 'sk-own', 'team-49': 'sk-49' },
  });
  await drop('input/departments/team-149/a.jsonl', chatLine('a'));
  let receipt: string | undefined;
  for (let hours = 0; hours < 24 && receipt === undefined; hours++) {
    await poll(HOUR_MS);
    receipt = await read('receipts/departments/team-149/a.json');
  }
  expect(receiptSchema.parse(JSON.parse(receipt!))).toMatchObject({
    result: 'succeeded',
    route: 'route-149',
  });
  const seen = new OpenAI({ apiKey: 'sk-49', baseURL: emulator.endpoint, logLevel: 'off' });
  expect((await seen.batches.list()).data).toHaveLength(1);
});
