/** What must not be paid twice, lost, or waited for without end in background windows: attacks, over the emulator. */
import { expect, it } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import { call } from '../../../src/core/steps/call/call.ts';
import { customIds, fileOf, idsOf, KEY, paidFor, startRoute } from '../../support/background.ts';
import type { Pipeline, PipelineOptions } from '../../support/pipeline.ts';

/** Begins in the window; standard is for what is late. */
const LADDER = { tiers: ['background-2h', 'standard'], deadline: '4h' };

const faultsOf = (...rules: FaultRule[]): PipelineOptions => ({ emulator: { faults: { rules } } });

/** The only slice that has not ended. */
async function sliceIn(p: Pipeline): Promise<BatchRecord> {
  const items = await Array.fromAsync(p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY));
  return items.flatMap((item) => (item.kind === 'batch' ? [item.batch] : []))[0]!;
}

it('what a worker did not send is not said to be unsent once another worker has the slice and sends it', async () => {
  const windowless = {
    message: 'No background.',
    type: 'invalid_request_error',
    param: 'background',
    code: null,
  };
  const refuse: FaultRule = {
    match: { route: 'POST /v1/responses' },
    times: 32,
    effect: { kind: 'http.status', status: 400, body: { error: windowless } },
  };
  const p = await startRoute(LADDER, faultsOf(refuse));
  const ids = idsOf(40);
  const { create } = p.deps.background;
  let creates = 0;
  p.deps.background.create = async (request) => {
    const answer = await create(request);
    creates++;
    if (creates !== 32) return answer;
    // This worker stands still for longer than its lease holds, and learns of the refusals when another has the slice.
    p.emulator.clock.advance(4 * MINUTE_MS);
    await call(p.deps, await sliceIn(p));
    return answer;
  };
  await p.drop(KEY, fileOf(ids));
  await p.run();
  expect(customIds(await p.output(KEY))).toEqual(ids);
  const paid = await paidFor(p);
  expect(paid.times.filter((times) => times > 1)).toEqual([]);
});
