/**
 * Kills the pipeline before and after every call of a port while it waits for late results, collects a batch that
 * failed after it was executed, and sends one again that was not: each time the same results, and nothing is bought
 * twice.
 */
import { describe, expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/faults.ts';
import { type CallFilter, type Crash, expectSameAtEachCrash, withoutCrash } from '../../support/crash.ts';
import { chatLine, startPipeline } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const TEXT = ['a', 'b', 'c'].map((id) => chatLine(id)).join('\n');
const ERRORS = [{ code: 'server_error', message: 'Batch processing failed.' }];
/** What shows on the way to here is killed elsewhere: see pipeline-crash.test.ts. */
const FIRST = /^batches\.(getBatch|fileSize)$/;

async function runJob(faults: readonly FaultRule[], crash: Crash): Promise<unknown> {
  const p = await startPipeline({ ...crash, redeliver: false, emulator: { faults } });
  try {
    await p.drop(KEY, TEXT);
    await p.run(60);
    const { result, counts, possiblyBilledTwice } = await p.receipt(KEY);
    const creates = (await Array.fromAsync(p.client.batches.list())).length;
    const twice = await p.emulator.ledger.boughtTwice();
    return { result, counts, possiblyBilledTwice, creates, twice };
  } finally {
    await p.stop();
  }
}

const SCENES: readonly [what: string, faults: FaultRule[], creates: number, first: RegExp][] = [
  ['results that are named late', [{ effect: { kind: 'batch.files_named_late', seconds: 230 } }], 1, FIRST],
  [
    'a file that is filled late',
    [{ effect: { kind: 'file.late', file: 'output', as: 'half', seconds: 240 } }],
    1,
    FIRST,
  ],
  [
    'a batch that failed after it was executed',
    [{ effect: { kind: 'batch.fail', state: 'finalizing', errors: ERRORS } }],
    1,
    /^batches\.readFile$/,
  ],
  [
    'a batch that failed before anything ran',
    [{ times: 1, effect: { kind: 'batch.fail', errors: ERRORS } }],
    2,
    /^jobs\.leaseBatch$/,
  ],
];

describe.each(SCENES)('%s', (_what, faults, creates, first) => {
  test.each(['before', 'after'] as const)(
    'comes to the same when killed %s any call',
    {
      timeout: 240_000,
    },
    async (when) => {
      const expected = {
        result: 'succeeded',
        counts: { requests: 3, succeeded: 3, failed: 0, invalid: 0 },
        possiblyBilledTwice: {},
        creates,
        twice: [],
      };
      // Counts from the first call on that looks at an ended batch.
      const counts: CallFilter = (call, counted) => counted.length > 0 || first.test(call);
      const run = (crash: Crash) => runJob(faults, crash);
      const calm = await withoutCrash(run, counts);
      expect(calm.result).toEqual(expected);
      expect(calm.calls.length).toBeGreaterThan(10);
      await expectSameAtEachCrash({ calls: calm.calls, when, counts }, run, expected);
    },
  );
});
