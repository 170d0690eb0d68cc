/**
 * Kills the pipeline before and after every single call of a port, then lets it go on: the same files must come out, and
 * no request may be answered twice.
 */
import { expect, test } from 'vitest';
import {
  chatLine,
  type Interceptor,
  type Pipeline,
  type PipelineOptions,
  startPipeline,
} from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const TEXT = [
  ...['a', 'b', 'c'].map((id) => chatLine(id)),
  'broken',
  ...['d', 'again'].map((id) => chatLine(id, { model: 'gpt-5-mini' })),
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

class KilledError extends Error {}

/** At call number `at` the process dies; no call of that invocation does anything any more. */
function killer(at: number, when: 'before' | 'after') {
  const calls: string[] = [];
  let isDead = false;
  const intercept: Interceptor = async (call, effect) => {
    if (isDead) throw new KilledError(call);
    calls.push(call);
    if (calls.length - 1 !== at) return effect();
    if (when === 'after') await effect();
    isDead = true;
    throw new KilledError(call);
  };
  const onInvocation = (): void => {
    isDead = false;
  };
  return { calls, intercept, onInvocation };
}

async function runJob(options: PipelineOptions): Promise<unknown> {
  const p = await startPipeline({ ...options, limits: { requests: 2 }, emulator: { faults: FAULTS } });
  try {
    await p.deps.objects.put(KEY, Buffer.from(TEXT));
    // S3's event comes back until it has been handled.
    for (let handled = false; !handled; ) {
      options.onInvocation?.();
      handled = await p.notify(KEY).then(
        () => true,
        () => false,
      );
    }
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

const calm = killer(-1, 'before');
expect(await runJob(calm)).toEqual(EXPECTED);

for (const { when, redeliver, fate } of [
  { when: 'before', redeliver: true, fate: 'its message comes back' },
  { when: 'after', redeliver: false, fate: 'its message is lost' },
] as const) {
  test(`a process killed ${when} any call leaves the same result, when ${fate}`, {
    timeout: 240_000,
  }, async () => {
    for (const [at, call] of calm.calls.entries()) {
      const { intercept, onInvocation } = killer(at, when);
      const result = await runJob({ intercept, onInvocation, redeliver }).catch(
        (error: Error) => error.message,
      );
      expect(result, `killed ${when} call ${at}, ${call}`).toEqual(EXPECTED);
    }
  });
}
