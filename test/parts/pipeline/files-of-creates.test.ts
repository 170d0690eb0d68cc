/** Input files that OpenAI does not have ready, does not tell the size of, or has no room for. */
import { expect, test } from 'vitest';
import type { Script } from '../../../local/openai-emulator/script.ts';
import { topicOf } from '../../../src/providers/openai/refusals.ts';
import { chatLine, type Pipeline } from '../../support/pipeline.ts';
import { expectListedEvents } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const FAULTS = 'local/openai-emulator/faults';

/** A pipeline whose uploads are counted. */
async function start(faults: string | Script) {
  let uploads = 0;
  const p = await startTestPipeline({
    emulator: { faults },
    intercept: async (name, effect) => {
      if (name === 'batches.uploadFile') uploads++;
      return effect();
    },
  });
  await p.drop(KEY, chatLine('fr1'));
  return { p, uploadsOf: () => uploads };
}
const batchOf = async ({ deps }: Pipeline) => {
  for await (const item of deps.jobs.listOverdue(Number.MAX_SAFE_INTEGER))
    if (item.kind === 'batch') return item.batch;
  for await (const batch of deps.jobs.listWaiting()) return batch;
  return undefined;
};

test('a create that is refused while its file is young is tried again with the same file, seconds later', async () => {
  const { p, uploadsOf } = await start(`${FAULTS}/young-file.json`);
  const begun = p.emulator.clock.now();
  await p.run();
  const receipt = await p.receipt(KEY);
  expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect(uploadsOf()).toBe(1);
  expect(Date.parse(receipt.batches[0]!.submittedAt!) - begun).toBeLessThan(10_000);
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});

test('a file that is never ready is tried for a quarter of an hour, then uploaded again, and in the end its batch is held', async () => {
  const { p, uploadsOf } = await start({ timings: { fileReadyMs: 365 * 24 * 3_600_000 } });
  await p.run(0.2);
  expect(uploadsOf()).toBe(1);
  await p.run(72);
  expect(uploadsOf()).toBe(10);
  expect(await batchOf(p)).toMatchObject({
    state: 'planned',
    hold: { reason: 'invalid_request' },
    history: { refusals: 10 },
  });
  expect(await Array.fromAsync(p.client.files.list())).toEqual([]);
});

test('uploads that are answered with 0 bytes, or without a size, are checked by the file and used', async () => {
  const { p, uploadsOf } = await start(`${FAULTS}/upload-without-bytes.json`);
  await p.drop('input/b.jsonl', chatLine('fr2'));
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded' });
  expect(await p.receipt('input/b.jsonl')).toMatchObject({ result: 'succeeded' });
  expect(uploadsOf()).toBe(2);
});

test('a full file storage suspends its key, so that few uploads find out when there is room', async () => {
  const { p, uploadsOf } = await start(`${FAULTS}/storage-quota.json`);
  for (const name of ['b', 'c']) await p.drop(`input/${name}.jsonl`, chatLine(name));
  await p.run();
  for (const name of ['a', 'b', 'c'])
    expect(await p.receipt(`input/${name}.jsonl`)).toMatchObject({ result: 'succeeded' });
  // Two are refused, as scripted, and three get through.
  expect(uploadsOf()).toBe(5);
});

test.each([
  [
    'POST /batches',
    '400 Cannot find file file-1, or organization org-1 does not have access to it.',
    'file_not_ready',
  ],
  ['POST /batches', '404 No such File object: file-1', 'file_not_ready'],
  ['POST /batches', '404 {"detail":"Input file not found"}', 'file_not_ready'],
  ['POST /batches', '400 The file status is not processed.', 'file_not_ready'],
  ['POST /batches', "400 Invalid value: '/v1/x'.", undefined],
  ['POST /files', '400 You have exceeded your file storage quota. Please delete old files.', 'storage_full'],
  ['POST /files', '400 The quota for files without expiry is reached. The maximum is 500.', 'storage_full'],
  ['POST /files', '400 File is too large.', undefined],
  ['POST /files', '404 No such File object: file-1', undefined],
])('%s: "%s" is about %s', (action, said, topic) => {
  expect(topicOf(action, said)).toBe(topic);
});
