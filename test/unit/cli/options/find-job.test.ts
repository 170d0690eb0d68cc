import { expect, test } from 'vitest';
import { findJob } from '../../../../cli/options/find-job.ts';
import type { Stores } from '../../../../cli/options/stores.ts';
import { ObjectUnreadableError } from '../../../../src/core/base/errors.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { jobEnd } from '../../../support/contracts/job-index.suite.ts';
import { jobOf } from '../../../support/records.ts';

const ENDED = 'b'.repeat(32);
const LIVE = 'c'.repeat(32);
const KEY = 'input/films.jsonl';

const recorded = (jobId: string, lastModified: number): Job => {
  const job = jobOf(jobId, { state: 'running' });
  return { ...job, input: { ...job.input, bucket: 'drops', key: KEY, lastModified } };
};

/** A stack whose bucket refuses every look, with the jobs of one key. */
function viewed(live: readonly Job[], ended: ReturnType<typeof jobEnd>['ended'][] = []) {
  const stores = {
    jobs: {
      getJob: async (jobId: string) => recorded(jobId, 0),
      async *listLiveJobs() {
        yield* live;
      },
    },
    drops: { listDropRoutes: async () => [] },
    index: { listEndedOf: async (_bucket: string, key: string) => (key === KEY ? ended : []) },
    openBucket: () => ({
      name: 'drops',
      objects: {
        head: async () => {
          throw new ObjectUnreadableError('S3 says 403', KEY, '403');
        },
      },
    }),
  };
  return stores as unknown as Pick<Stores, 'jobs' | 'drops' | 'index' | 'openBucket'>;
}

test('who may not look at a prompt gets the job of its key that was dropped last, live or ended, and a message says so', async () => {
  const said: string[] = [];
  const ended = jobEnd(ENDED, { bucket: 'drops', key: KEY, droppedAt: 1_000 }).ended;
  const found = (live: Job[]) => findJob(viewed(live, [ended]), KEY, (text) => said.push(text));
  expect((await found([recorded(LIVE, 2_000)])).jobId).toBe(LIVE);
  expect((await found([recorded(LIVE, 500)])).jobId).toBe(ENDED);
  expect(said).toEqual([
    expect.stringContaining(`may not look at ${KEY}: this is job ${LIVE}`),
    expect.stringContaining(`this is job ${ENDED}`),
  ]);
});

test('where no job of the key is recorded either, the refusal is said and not that the object is missing', async () => {
  await expect(findJob(viewed([]), 'input/none.jsonl')).rejects.toThrow(
    'your credentials may not look whether bucket drops has an object of that key (s3:GetObject)',
  );
});
