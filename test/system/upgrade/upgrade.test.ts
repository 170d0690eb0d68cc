/** What the present code makes of jobs that a release has left in every stage. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import {
  type FrozenStack,
  frozenReleases,
  itemsOf,
  type OpenStack,
  readFrozen,
  thaw,
} from './frozen-stack.ts';

const RELEASES = await frozenReleases();
const POLL_MS = 2 * HOUR_MS;
/** Five days: jobs that wait for a day's budget end on the next one. */
const MAX_POLLS = 60;

const receiptKeyOf = (key: string): string =>
  key.replace(/^input\//, 'receipts/').replace(/\.jsonl$/, '.json');
const idsOf = (text: string | undefined): unknown[] =>
  text === undefined
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).custom_id);

async function startOn(frozen: FrozenStack): Promise<OpenStack> {
  const stack = await thaw(frozen);
  onTestFinished(() => stack.close());
  await stack.stack().idle();
  return stack;
}

/** Polls until each input has its receipt. */
async function finish(stack: OpenStack, frozen: FrozenStack): Promise<void> {
  const open = new Set(Object.keys(frozen.drops));
  for (let polls = 0; open.size > 0 && polls < MAX_POLLS; polls++) {
    await stack.poll(POLL_MS);
    for (const key of open) if ((await stack.read(receiptKeyOf(key))) !== undefined) open.delete(key);
  }
  expect([...open], 'inputs without a receipt').toEqual([]);
}

async function expectAllAnswered(stack: OpenStack, frozen: FrozenStack): Promise<void> {
  let countedTwice = 0;
  for (const [key, ids] of Object.entries(frozen.drops)) {
    expect(idsOf(await stack.read(key.replace(/^input\//, 'output/'))), key).toEqual(ids);
    const receipt = receiptSchema.parse(JSON.parse((await stack.read(receiptKeyOf(key)))!));
    expect(receipt, key).toMatchObject({ result: 'succeeded', counts: { succeeded: ids.length } });
    for (const count of Object.values(receipt.possiblyBilledTwice)) countedTwice += count;
    // Calls whose worker was killed have no answer that anybody can fetch: they alone are made again.
    if (!key.startsWith('input/flex/')) expect(receipt.possiblyBilledTwice, key).toEqual({});
  }
  const paid = (await stack.emulator.ledger.all()).filter(
    ({ status, billed_tokens }) => status === 200 || billed_tokens > 0,
  );
  const times = Map.groupBy(paid, ({ request_hash }) => request_hash);
  const twice = [...times.values()].filter(({ length }) => length > 1);
  expect(twice.length, 'requests paid twice that no receipt counts').toBeLessThanOrEqual(countedTwice);
}

/** What a still later release has added, before its deployment was rolled back. */
const LATER = { addedLater: { by: 'a later release' } };

function afterLaterRelease(frozen: FrozenStack): FrozenStack {
  return {
    ...frozen,
    items: frozen.items.map((item) => ({ ...item, ...LATER })),
    messages: frozen.messages.map(({ queue, body }) => ({
      queue,
      body: JSON.stringify({ ...JSON.parse(body), ...LATER }),
    })),
  };
}

describe.each(RELEASES)('live jobs of release %s', (release) => {
  test('are finished by the present code, and keep what a later release has added: each request has its answer', {
    timeout: 600_000,
  }, async () => {
    const frozen = afterLaterRelease(await readFrozen(release));
    const stack = await startOn(frozen);
    await finish(stack, frozen);
    await expectAllAnswered(stack, frozen);
    const jobs = (await itemsOf(stack)).filter(({ sk }) => sk === 'JOB');
    expect(jobs.length).toBeGreaterThan(0);
    for (const { jobId, addedLater } of jobs)
      if (frozen.items.some((item) => item.jobId === jobId)) expect(addedLater).toEqual(LATER.addedLater);
  });
});
