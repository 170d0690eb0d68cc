/**
 * Two teams on the synthesized stack, each with an OpenAI project and a key of its own, of which one is refused for a
 * day.
 */

import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const SETTINGS = {
  routes: [
    { ...BATCH_ONLY, name: 'ads', prefix: 'input/ads/', apiKey: 'ads' },
    { ...BATCH_ONLY, name: 'search', prefix: 'input/search/', apiKey: 'search' },
  ],
};
/** The projects of keys that OpenAI accepts; whatever else is sent gets a 401. */
const PROJECTS = { 'sk-of-ads': 'proj_ads', 'sk-of-search': 'proj_search', 'sk-own': 'proj_own' };
const IDS = ['a', 'b', 'c'];

test('while the key of one team is refused the other one is served, and once it is set the first one is, too', {
  timeout: 240_000,
}, async () => {
  const { emulator, drop, read, poll, setKey } = await startEmulatedStack({
    settings: SETTINGS,
    apiKeys: PROJECTS,
    keys: { default: 'sk-own', ads: 'sk-of-ads', search: 'sk-revoked' },
  });
  const seenBy = (apiKey: string) => new OpenAI({ apiKey, baseURL: emulator.endpoint, logLevel: 'off' });
  const jobsSeenBy = async (apiKey: string) =>
    (await seenBy(apiKey).batches.list()).data.map(({ metadata }) => metadata!.batchdrop_job);
  const receiptOf = async (team: string) => {
    const text = await read(`receipts/${team}/a.json`);
    return text === undefined ? undefined : receiptSchema.parse(JSON.parse(text));
  };
  const lines = IDS.map((id) => chatLine(id)).join('\n');
  await drop('input/search/a.jsonl', lines);
  await drop('input/ads/a.jsonl', lines);
  for (let hours = 0; hours < 24; hours += 2) await poll(2 * HOUR_MS);
  const ads = await receiptOf('ads');
  expect(ads).toMatchObject({ result: 'succeeded', route: 'ads' });
  expect(await receiptOf('search')).toBeUndefined();
  expect(await jobsSeenBy('sk-of-ads')).toEqual([ads!.jobId]);
  expect(await jobsSeenBy('sk-of-search')).toEqual([]);

  await setKey('api-key-secret-search', 'sk-of-search');
  for (let hours = 0; hours < 24 && (await receiptOf('search')) === undefined; hours++) await poll(HOUR_MS);
  const search = await receiptOf('search');
  expect(search).toMatchObject({ result: 'succeeded', route: 'search', possiblyBilledTwice: {} });
  expect(await jobsSeenBy('sk-of-search')).toEqual([search!.jobId]);
  expect(await jobsSeenBy('sk-of-ads')).toEqual([ads!.jobId]);
  // The key of the stack itself is nobody's.
  expect(await jobsSeenBy('sk-own')).toEqual([]);
  for (const key of Object.keys(PROJECTS)) expect((await seenBy(key).files.list()).data).toEqual([]);
  expect(await emulator.ledger.all()).toHaveLength(2 * IDS.length);
});
