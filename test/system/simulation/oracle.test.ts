/** What the oracle must not take for a broken promise, and what it must. */
import { describe, expect, it } from 'vitest';
import { HOUR_MS } from '../../../src/contract/time.ts';
import type { Job } from '../../../src/core/model/job.ts';
import { jobEnd } from '../../support/contracts/job-index.suite.ts';
import { MemoryJobIndex } from '../../support/memory/job-index.ts';
import { receiptOf } from '../../support/receipts.ts';
import { batchOf, endingOf, jobOf, remoteOf } from '../../support/records.ts';
import type { Drop } from './drops.ts';
import type { Execution, ServiceBatch } from './openai-model.ts';
import { checkDuplicates } from './oracle/duplicates.ts';
import { executionsOf } from './oracle/executions.ts';
import type { ExpectedJob } from './oracle/expectations.ts';
import { checkMonths } from './oracle/months.ts';
import { jobIdOf } from './oracle/names.ts';

const [FIRST, AGAIN, THIRD] = ['first', 'again', 'third'].map((name) => jobOf(name)) as [Job, Job, Job];
const SUCCEEDED = { state: 'completed', result: 'succeeded' } as const;
const UNREADABLE = { code: 'input_unreadable', message: 'S3 does not give it.' } as const;
const DENIED = { forMs: 100 * HOUR_MS, reason: 'AccessDenied' } as const;

interface Change {
  job?: Partial<Job>;
  drop?: Partial<Drop>;
  expected?: Partial<ExpectedJob>;
}

/** A drop of one content, at one key, with its job. */
function dropOf(index: number, base: Job, { job, drop, expected }: Change = {}) {
  const dropped: Drop = {
    index,
    stack: 0,
    sameAs: 0,
    key: 'input/a.jsonl',
    at: 0,
    lines: [],
    body: new Uint8Array(),
    isGzip: false,
    ...drop,
  };
  const recorded: Job = { ...base, ...SUCCEEDED, ...job };
  const head = { ...recorded.input, lastModified: recorded.input.lastModified + index * HOUR_MS };
  const outcome = { unreadableMs: 72 * HOUR_MS, calledOff: false, cancelled: false, ...expected };
  return { job: recorded, expected: { drop: dropped, head, ...outcome } };
}

/** What is said of jobs of the same content, none of them a duplicate in the end. */
function saidOf(...changes: [Change, Change, Change?]): string[] {
  const recorded = changes.map((change, index) => dropOf(index, [FIRST, AGAIN, THIRD][index]!, change));
  const said: string[] = [];
  const nobody = { objects: { published: new Map() }, events: { sent: [] } };
  const dropped = recorded.map(({ expected }) => expected);
  checkDuplicates({ dropped, recorded }, nobody, (text) => said.push(text));
  return said;
}

describe('the same content dropped again', () => {
  const WAS_RUN = [
    'drop 1 (input/a.jsonl): it was run although job first of the version before it owns its content',
  ];

  it('is not run while the job of the version before it has succeeded', () => {
    expect(saidOf({}, {})).toEqual(WAS_RUN);
  });

  it('may be run once the version before it was destroyed in S3, and not if that came later', () => {
    const destroyedAt = AGAIN.createdAt - 1;
    expect(saidOf({ expected: { destroyedAt } }, {})).toEqual([]);
    const later = AGAIN.createdAt + HOUR_MS;
    expect(saidOf({ expected: { destroyedAt: later } }, { expected: { destroyedAt: later } })).toEqual(
      WAS_RUN,
    );
  });

  it('is not run without versions after what was there was destroyed: the record of the job before it stays', () => {
    const { versionId: _, ...input } = AGAIN.input;
    const change = { job: { input }, expected: { destroyedAt: AGAIN.createdAt - 1 } };
    expect(saidOf(change, { job: { input } })).toEqual(WAS_RUN);
  });

  it('may be run while the version before it may wait for a job that is a day older, and not once that is younger', () => {
    const failed = { job: { result: 'failed' } } as const;
    const third = (hours: number) => ({ job: { createdAt: FIRST.createdAt + hours * HOUR_MS } });
    const again = { job: { createdAt: FIRST.createdAt + 2 * HOUR_MS } };
    expect(saidOf(failed, again, third(24))).toEqual([]);
    expect(saidOf(failed, again, third(23))).toEqual([
      'drop 2 (input/a.jsonl): it was run although job again of the version before it owns its content',
    ]);
  });

  it('may be run without versions if the job before it is of one second with another drop: nobody knows the order', () => {
    const at = (seconds: number): Change => {
      const { versionId: _, ...input } = { ...FIRST.input, lastModified: seconds * 1_000 };
      return { job: { input }, expected: { head: input } };
    };
    expect(saidOf(at(1), at(1), at(2))).toEqual([]);
    expect(saidOf(at(1), at(2), at(3))).toHaveLength(2);
  });

  it('may be rejected as unreadable if S3 let nobody look at it, and not if only its content was withheld', () => {
    const job = { result: 'rejected', rejection: UNREADABLE } as const;
    expect(saidOf({}, { job, drop: { denied: { ...DENIED, isOfHead: true } } })).toEqual([]);
    expect(saidOf({}, { job, drop: { denied: { ...DENIED, isOfHead: false } } })).toEqual(WAS_RUN);
    expect(saidOf({}, { drop: { denied: { ...DENIED, isOfHead: true } } })).toEqual(WAS_RUN);
  });
});

describe('the months', () => {
  const COUNTS = { requests: 3, succeeded: 3, failed: 0, invalid: 0 };
  const cost = { ...receiptOf().cost, usd: '0.00000000001' };
  const jobs = [{ ...FIRST, ...SUCCEEDED, receiptKey: 'receipts/first.json' }];
  const receipts = [receiptOf({ jobId: 'first', counts: COUNTS, cost })];
  const whole = jobEnd('first');
  const [{ amounts }] = whole.rows as [(typeof whole.rows)[number]];
  const rows = (['total', 'route', 'key', 'model', 'tier'] as const).map((of) => ({
    of,
    name: 'x',
    amounts,
  }));

  async function said(...ends: string[]): Promise<string[]> {
    const index = new MemoryJobIndex();
    for (const jobId of ends) await index.recordEnd({ ended: jobEnd(jobId).ended, rows });
    const found: string[] = [];
    await checkMonths(index, { jobs, receipts }, (text) => found.push(text));
    return found;
  }

  it('hold when each job is counted once, and not when one is missing or another is counted', async () => {
    expect(await said('first')).toEqual([]);
    expect(await said()).toContain('job first has ended and is not listed');
    const twice = await said('first', 'other');
    expect(twice).toContain('job other is listed, and has not ended');
    expect(twice).toContain('the months have 2 jobs; the receipts have 1');
    expect(twice).toContain('the months have 20 cost; the receipts have 10');
  });
});

describe('a batch that is gone at OpenAI', () => {
  const LINE = { customId: 'one', marker: '0.0', model: 'gpt-6-luna', kind: 'good', tokens: 4 };
  const { expected } = dropOf(0, FIRST, {
    drop: { lines: [{ ...LINE, number: 1, endpoint: '', text: '' } as never] },
  });
  const jobId = jobIdOf(expected.head);
  const openaiBatchId = 'batch_0001';

  /** @param batch of a file that was deleted before the create arrived. */
  function executions(status: 'validating' | 'failed'): { found: Execution[]; said: string[] } {
    const gone = { id: openaiBatchId, jobId, owner: 'stack-1', createdAt: 0, endedAt: 1, isGone: true };
    const refused = { ...gone, requests: [], uploaded: [LINE], status: 'failed', executions: [] };
    const ledger = {
      batches: [refused as unknown as ServiceBatch],
      executions: () => [],
      seenRunning: new Set<string>(),
    };
    const ending = endingOf({ status, lostAt: 25 * HOUR_MS });
    const said: string[] = [];
    const batch = batchOf(jobId, 0, { state: 'collected', remote: remoteOf({ openaiBatchId }), ending });
    return { found: executionsOf(expected, [batch], ledger, (text) => said.push(text)), said };
  }

  it('counts as a try of each request that was uploaded for it, if nobody saw that it was refused', () => {
    const { found, said } = executions('validating');
    expect(found).toMatchObject([{ marker: '0.0', customId: 'one', result: 'lost', code: 'lost_batch' }]);
    expect(said).toEqual([]);
  });

  it('counts as none if its owner saw that it was refused', () => {
    expect(executions('failed')).toEqual({ found: [], said: [] });
  });
});
