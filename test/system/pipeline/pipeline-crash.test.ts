/**
 * Kills the pipeline before and after every single call of a port, then lets it go on: the same files must come out,
 * and no request may be answered twice.
 */
import { expect, test } from 'vitest';
import { type Crash, expectSameAtEachCrash, notifyUntilHandled, withoutCrash } from '../../support/crash.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const TEXT = [
  ...['a', 'b', 'c'].map((id) => chatLine(id)),
  'broken',
  ...['d', 'again'].map((id) => chatLine(id, { model: 'gpt-5.4-mini' })),
  chatLine('refused'),
].join('\n');

/** One request fails for good, one for the first time only. */
const FAULTS = [
  { match: { custom_id: '^refused$' }, effect: { kind: 'line.status', status: 400 } },
  { match: { custom_id: '^again$' }, times: 1, effect: { kind: 'line.status', status: 500 } },
] as const;

const EXPECTED = {
  result: 'partial',
  counts: { requests: 7, succeeded: 5, failed: 1, invalid: 1 },
  files: {
    output: 'output/a.jsonl',
    errors: 'errors/a.jsonl',
    retry: 'retry/a.jsonl',
    receipt: 'receipts/a.json',
  },
  output: ['a', 'b', 'c', 'd', 'again'],
  errors: [
    [4, null],
    [7, 'refused'],
  ],
  retry: `broken\n${chatLine('refused')}\n`,
  executions: { a: 1, b: 1, c: 1, d: 1, again: 2, refused: 1 },
};

async function runJob(crash: Crash, redeliver = false): Promise<unknown> {
  const p = await startPipeline({
    ...crash,
    redeliver,
    limits: { requests: 2 },
    emulator: { faults: FAULTS },
  });
  try {
    await p.deps.objects.put(KEY, Buffer.from(TEXT));
    await notifyUntilHandled(p, KEY, crash);
    await p.run(40);
    return await resultOf(p);
  } finally {
    await p.stop();
  }
}

async function resultOf(p: Pipeline): Promise<unknown> {
  const { counts, result, files } = await p.receipt(KEY);
  const executions: Record<string, number> = {};
  for (const { custom_id } of await p.emulator.ledger.all())
    executions[custom_id!] = (executions[custom_id!] ?? 0) + 1;
  return {
    result,
    counts,
    files,
    output: (await p.output(KEY)).map((line) => line.custom_id),
    errors: (await p.errors(KEY)).map((line) => [line.line, line.custom_id]),
    retry: await p.retry(KEY),
    executions,
  };
}

const calm = await withoutCrash(runJob);
expect(calm.result).toEqual(EXPECTED);

for (const { when, redeliver, fate } of [
  { when: 'before', redeliver: true, fate: 'its message comes back' },
  { when: 'after', redeliver: false, fate: 'its message is lost' },
] as const) {
  test(
    `a process killed ${when} any call leaves the same result, when ${fate}`,
    {
      timeout: 240_000,
    },
    () => expectSameAtEachCrash({ calls: calm.calls, when }, (crash) => runJob(crash, redeliver), EXPECTED),
  );
}
