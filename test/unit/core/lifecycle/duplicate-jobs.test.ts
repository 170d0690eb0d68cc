import { describe, expect, test } from 'vitest';
import { ownerOf } from '../../../../src/core/lifecycle/duplicate-jobs.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { jobOf } from '../../../support/records.ts';

/** Jobs of the same content under one key, each dropped after the one before it. */
function sameContent(...changes: Partial<Job>[]): Job[] {
  const { input } = jobOf('a');
  return changes.map((change, index) =>
    jobOf(`j${index}`, { input: { ...input, versionId: `v${index}` }, ...change }),
  );
}

const owner = ([first, second, third]: readonly Job[]): Promise<Job | undefined> => {
  const jobs = { getJob: async (jobId: string) => [first, second].find((job) => job!.jobId === jobId) };
  return ownerOf(jobs, third!, second);
};

describe('the owner of the third drop of the same content', () => {
  const rejection = { code: 'input_unreadable', message: 'S3 does not give it.' } as const;
  const waits = { state: 'duplicate', duplicateOf: 'j0' } as const;

  test('is the first one while that is live', async () => {
    expect((await owner(sameContent({ state: 'running' }, waits, {})))?.jobId).toBe('j0');
  });

  test.each<[string, Partial<Job>]>([
    ['was cancelled without it and has not ended', { state: 'running', cancelledAt: 1, duplicatesRun: true }],
    ['is rejected and has no receipt yet', { state: 'rejected', rejection }],
    ['is rejected', { state: 'rejected', rejection, receiptKey: 'receipts/a.json', result: 'rejected' }],
  ])('is the second one, which will run, if the first one %s', async (_what, first) => {
    expect((await owner(sameContent(first, waits, {})))?.jobId).toBe('j1');
  });

  test('is nobody if another content was dropped in between', async () => {
    const [first, second, third] = sameContent({ state: 'running' }, {}, {});
    second!.input = { ...second!.input, etag: '"other"' };
    expect(await owner([first!, second!, third!])).toBeUndefined();
  });
});
