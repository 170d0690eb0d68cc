/** A worker of a slice in a window that dies before or after any of its side effects: nothing is lost or paid twice unseen. */
import { expect, it } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { customIds, fileOf, idsOf, KEY, paidFor, requestAt } from '../../support/background.ts';
import { type CallFilter, type Crash, expectSameAtEachCrash, withoutCrash } from '../../support/crash.ts';
import { startPipeline } from '../../support/pipeline.ts';

const IDS = idsOf(4);

/** Side effects from the first lease, when the slice is cut, until collect has it. */
const ofTheSlice: CallFilter = (call, counted) => {
  const isEffect =
    /^(background|outbox)\./.test(call) ||
    /\.(put|moveBatch|leaseBatch|changeLedger|giveBackTokens)$/.test(call);
  if (!isEffect) return false;
  return counted.length === 0 ? call === 'jobs.leaseBatch' : !counted.includes('outbox.collect');
};

/** Request 0 stays queued, 1 is being made for ever, 2 and 3 end: both are cancelled in time for standard. */
async function run(crash: Crash) {
  const routes = [
    {
      name: 'r',
      prefix: 'input/',
      budget: 'unlimited',
      tiers: ['background-2h', 'standard'],
      deadline: '4h',
    },
  ];
  const stuck = (index: number, state: 'queued' | 'in_progress') =>
    ({ match: requestAt(index), effect: { kind: 'response.stuck', state } }) as const;
  const p = await startPipeline({
    settings: settingsSchema.parse({ routes }),
    emulator: { faults: { rules: [stuck(0, 'queued'), stuck(1, 'in_progress')] } },
    intercept: crash.intercept,
    onInvocation: crash.onInvocation,
  });
  try {
    await p.drop(KEY, fileOf(IDS));
    await p.run();
    const { possiblyBilledTwice, counts } = await p.receipt(KEY);
    const counted = Object.values(possiblyBilledTwice).reduce((sum, count) => sum + count, 0);
    const twice = (await paidFor(p)).times.filter((times) => times > 1).length;
    const open = await Promise.all(
      (await p.emulator.ledger.all()).map(async ({ response_id }) =>
        response_id === null ? undefined : p.deps.background.get(response_id),
      ),
    );
    return {
      answers: customIds(await p.output(KEY)),
      succeeded: counts.succeeded,
      // Whatever was paid twice is counted; a create without an answer may be counted although it was not.
      isCounted: twice <= counted,
      isCountedForAReason: counted <= 5,
      // What a worker did not write down in time is not known, and is not deleted.
      isKept: open.filter((response) => response !== undefined).length > 4,
    };
  } finally {
    await p.stop();
  }
}

const EXPECTED = {
  answers: IDS,
  succeeded: 4,
  isCounted: true,
  isCountedForAReason: true,
  isKept: false,
};

it.each(['before', 'after'] as const)(
  'gives every request its answer, and counts what may be paid twice, if a worker dies %s any side effect',
  async (when) => {
    const { result, calls } = await withoutCrash(run, ofTheSlice);
    expect(result).toEqual(EXPECTED);
    for (const call of ['create', 'get', 'cancel', 'remove']) expect(calls).toContain(`background.${call}`);
    await expectSameAtEachCrash({ calls, when, counts: ofTheSlice }, run, EXPECTED);
  },
  120_000,
);
