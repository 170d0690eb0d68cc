/** The look-up that must come before a second create, over lists as services give them. */

import { beforeEach, describe, expect, it } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../../../src/contract/time.ts';
import type { BatchRecord } from '../../../../../src/core/model/batch.ts';
import type { BatchApi, RemoteBatch } from '../../../../../src/core/ports/provider.ts';
import { submit } from '../../../../../src/core/steps/submit/submit.ts';
import { jobOf } from '../../../../support/records.ts';
import { NOW, type SubmitTest, startSubmit } from '../../../../support/submit.ts';
import { expectListedEvents } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const PAGE = 100;

let run: SubmitTest;
/** Pages that were asked for, and batches that were created. */
let asked: (string | undefined)[];
let created: number;
beforeEach(() => {
  asked = [];
  created = 0;
});

const ATTEMPT = { nonce: 'mine', inputFileId: 'file-1', intentAt: NOW - HOUR_MS };

/** The same, fenced off since. */
async function startFenced(): Promise<void> {
  await startUnanswered({ ...ATTEMPT, fencedAt: NOW - HOUR_MS / 2 });
}

/** A batch whose create got no answer an hour ago. */
async function startUnanswered(attempt: NonNullable<BatchRecord['attempt']> = ATTEMPT): Promise<void> {
  run = await startSubmit({
    state: 'submitting',
    history: { attempts: 1 },
    attempt,
  });
  run.batches.createBatch = async () => {
    created++;
    throw new Error('not expected');
  };
}

function serve(pages: (after: string | undefined) => Awaited<ReturnType<BatchApi['listBatches']>>): void {
  run.batches.listBatches = async (after) => {
    asked.push(after);
    return pages(after);
  };
}

const foreign = (index: number): RemoteBatch => ({
  id: `batch_${index}`,
  status: 'completed',
  inputFileId: `file-of-${index}`,
  metadata: {},
  createdAt: run.clock.now - index * MINUTE_MS,
});

const ours = (index: number): RemoteBatch => ({
  ...foreign(index),
  status: 'in_progress',
  metadata: { batchdrop_stack: 'stack', batchdrop_nonce: 'mine' },
});

/** Pages of `count` batches, of which one may be ours. */
function serveList(count: number, at?: number): void {
  serve((after) => {
    const start = after === undefined ? 0 : Number(after.slice('batch_'.length)) + 1;
    const length = Math.min(PAGE, count - start);
    const batches = Array.from({ length }, (_, index) =>
      (start + index === at ? ours : foreign)(start + index),
    );
    return { batches, ...(start + length < count ? { next: batches.at(-1)!.id } : {}) };
  });
}

/** Each worker has time for so many pages. */
function limitPages(perWorker: number): void {
  let read = 0;
  const { listBatches } = run.batches;
  run.batches.listBatches = async (...parameters) => {
    read++;
    return listBatches.call(run.batches, ...parameters);
  };
  run.deps.deadline = { remainingMs: () => (read > 0 && read % perWorker === 0 ? 0 : 15 * MINUTE_MS) };
}

describe('a list of 200,000 batches', () => {
  it('is read over several invocations, each page once, and a batch on its last page is found', async () => {
    await startFenced();
    serveList(200_000, 199_950);
    limitPages(700);
    for (let invocations = 1; invocations <= 3; invocations++) {
      expect((await run.read()).state).toBe('submitting');
      await submit(run.deps, run.message);
    }
    expect(await run.read()).toMatchObject({ state: 'submitted', remote: { openaiBatchId: 'batch_199950' } });
    expect(asked).toHaveLength(2_000);
    expect(new Set(asked).size).toBe(2_000);
  });

  it('is read to its end before another create begins', async () => {
    await startFenced();
    serveList(200_000);
    limitPages(700);
    for (let invocations = 1; invocations <= 2; invocations++) {
      await submit(run.deps, run.message);
      expect(await run.read()).toMatchObject({ state: 'submitting', attempt: { inputFileId: 'file-1' } });
    }
    await submit(run.deps, run.message).catch(() => {});
    expect(new Set(asked).size).toBe(2_000);
    expect((await run.read()).attempt?.inputFileId).not.toBe('file-1');
  });

  it('is read from its beginning once the batch is fenced off', async () => {
    await startUnanswered({ ...ATTEMPT, lookUp: { after: 'batch_99', pages: 1, mark: 'batch_99' } });
    serveList(300);
    await submit(run.deps, run.message).catch(() => {});
    expect(asked[0]).toBe('batch_99');
    const fenced = await run.read();
    expect(fenced.attempt?.fencedAt).toBe(run.clock.now);
    expect(fenced.attempt?.lookUp).toBeUndefined();
  });
});

describe('a list that proves nothing', () => {
  it.each([
    ['leads in a circle', () => ({ batches: [foreign(1), foreign(2)], next: 'batch_2' })],
    ['says that there is more and gives no cursor', () => ({ batches: [], isCut: true })],
  ])('because it %s holds the batch, and nothing is created', async (_, page) => {
    await startFenced();
    serve(page);
    await submit(run.deps, run.message);
    expect(created).toBe(0);
    const held = await run.read();
    expect(held).toMatchObject({
      state: 'submitting',
      hold: { reason: 'unknown_create' },
      attempt: { inputFileId: 'file-1' },
    });
    expect(held.wait?.lastError).toMatch(/the list of batches, page \d+: .*; expected a list/);
    expect(held.wait?.notBefore).toBe(run.clock.now + HOUR_MS);
    // The list is whole again an hour later.
    serveList(500, 450);
    run.clock.now += HOUR_MS;
    await submit(run.deps, run.message);
    expect(await run.read()).toMatchObject({ state: 'submitted', remote: { openaiBatchId: 'batch_450' } });
  });

  it('because a page is empty is read on', async () => {
    await startUnanswered();
    serve((after) => (after === undefined ? { batches: [], next: 'more' } : { batches: [ours(1)] }));
    await submit(run.deps, run.message);
    expect(await run.read()).toMatchObject({ state: 'submitted', remote: { openaiBatchId: 'batch_1' } });
  });
});

it('a create of which nothing can be known is given up only after the completion window of its batch', async () => {
  run = await startSubmit({
    state: 'submitting',
    history: { attempts: 1 },
    attempt: ATTEMPT,
    completionWindow: '3d',
  });
  await run.deps.jobs.createJob(jobOf('job', { route: { ...jobOf('job').route, onLost: 'resubmit' } }));
  // A list that is cut off proves nothing.
  serve(() => ({ batches: [], isCut: true }));
  for (const [hours, state] of [
    [26, 'submitting'],
    [72, 'submitting'],
    [74, 'ended'],
  ] as const) {
    run.clock.now = NOW + (hours - 1) * HOUR_MS + MINUTE_MS;
    await submit(run.deps, run.message);
    expect([hours, (await run.read()).state]).toEqual([hours, state]);
  }
});
